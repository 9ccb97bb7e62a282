"""An agent whose guest is a few dictionaries, for the actors' tests in virtual time.

Implements the whole port `actors.agents.base.AgentConnection`. A test scripts it: what a process writes,
when it ends, which call fails, which hangs, and when the guest dies.
"""

from __future__ import annotations

import signal
from collections import Counter, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import trio

from actors.agents.base import Channels, Polls, SandboxAgent
from actors.errors import AgentUnreachable, AlreadyExists, KatrioError, NotFound, OutcomeUnknown
from actors.launchers.nothing import AnyImage
from actors.limits import DEFAULT_LIMITS
from actors.seams import real_seams
from actors.system.compose import Parts, open_actors
from actors.wire.reports import Capabilities, ContainerStats, GuestDetails
from actors.wire.sandbox_verbs import Checked
from actors.wire.spec import ContainerSpec, ExitStatus, ProcessSpec, SandboxSpec, TerminalSize
from transports.errors import Unreachable
from transports.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from actors.handles import ContainerHandle, SystemHandle
    from actors.lifecycle.container import ContainerState
    from actors.limits import Limits
    from actors.sandbox import Images
    from actors.wire.verbs import Update

R = TypeVar("R")


class ScriptedProcess:
    """One process; `ignores` are the signals that do not end it."""

    def __init__(self) -> None:
        self.ignores: frozenset[int] = frozenset()
        self.chunks: deque[bytes | KatrioError] = deque()
        self.closed = False
        self.input = bytearray()
        self.input_closed = False
        # how much it takes before it stops reading, and how long each write takes
        self.input_room: int | None = None
        self.input_seconds = 0.0
        self.size: TerminalSize | None = None
        self.signals: list[int] = []
        self.ended = trio.Event()
        self.code = 0
        # its agent can't tell its end by that signal from a clean exit
        self.ambiguous = False
        self.waits = 0
        self._changed = trio.Event()

    def write(self, data: bytes) -> None:
        """It writes to its standard output."""
        self.chunks.append(data)
        self._wake()

    def fail_read(self, error: KatrioError) -> None:
        """The read of its standard output that comes next after what it has written fails."""
        self.chunks.append(error)
        self._wake()

    def close_output(self) -> None:
        """Nobody holds its output any more."""
        self.closed = True
        self._wake()

    def exit(self, code: int, *, holds_output: bool = False) -> None:
        """It ends; a grandchild may go on holding its output."""
        self.code = code
        self.ended.set()
        if not holds_output:
            self.close_output()

    def take_signal(self, signum: int) -> None:
        self.signals.append(signum)
        if signum == signal.SIGKILL or (signum == signal.SIGTERM and signum not in self.ignores):
            self.exit(128 + signum)

    async def read(self) -> bytes:
        while not self.chunks:
            if self.closed:
                return b""
            await self._changed.wait()
        chunk = self.chunks.popleft()
        if isinstance(chunk, KatrioError):
            raise chunk
        return chunk

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@dataclass
class ScriptedGuest:
    """All of one guest's state, and the script."""

    processes: dict[tuple[str, str], ScriptedProcess] = field(default_factory=dict[tuple[str, str], ScriptedProcess])
    calls: Counter[str] = field(default_factory=Counter[str])
    log: list[str] = field(default_factory=list[str])
    # a call's name -> what it raises
    failures: dict[str, KatrioError] = field(default_factory=dict[str, KatrioError])
    # "verb container" -> the call waits for this event; "reply create_container ID": once it is done; "dial": each connection does
    gates: dict[str, trio.Event] = field(default_factory=dict[str, trio.Event])
    # container, process and number of each signal, in order
    signalled: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])
    # whether it runs processes at all
    follows_processes: bool = True
    connections: int = 0
    # what it says when it is asked for a container's state
    states: dict[str, ContainerState] = field(default_factory=dict[str, "ContainerState"])
    # what an exec does as soon as it runs
    on_exec: Callable[[ProcessSpec, ScriptedProcess], None] | None = None
    # containers whose kills next_oom tells of
    ooms: deque[str] = field(default_factory=deque[str])
    oom_told: trio.Event = field(default_factory=trio.Event)
    gone: trio.Event = field(default_factory=trio.Event)
    sandbox: str | None = None
    # with the answer to a wait, what is unread; and whether an end can be asked for
    forgets: bool = False
    polls: Polls = Polls.NEVER
    # a refusal says that the process has ended
    tells_ended: bool = False

    def init(self, container: str) -> ScriptedProcess:
        return self.processes[container, container]

    def kill_for_memory(self, container: str) -> None:
        """The kernel OOM-kills its init."""
        self.ooms.append(container)
        self.oom_told.set()
        self.init(container).take_signal(signal.SIGKILL)

    def die(self) -> None:
        """The guest is gone, with everything in it."""
        self.gone.set()

    @property
    def channels(self) -> Channels:
        async def refuse() -> trio.abc.Stream:
            raise Unreachable("scripted agents have no stream")

        return Channels(refuse)

    async def wait_gone(self) -> str:
        await self.gone.wait()
        return "the test said so"

    def kill(self) -> None:
        self.log.append("kill")

    async def launch(self, sandbox: str, *, task_status: trio.TaskStatus[ScriptedGuest]) -> None:
        self.log.append("launch")
        try:
            task_status.started(self)
            await self.gone.wait()
        finally:
            self.log.append("guest ended")

    def connect(self, channels: Channels, limits: Limits) -> ScriptedConnection:
        return ScriptedConnection(self)


class ScriptedConnection(SandboxAgent):
    """See `actors.agents.base.AgentConnection`; what is not defined here is counted, and answers what noop does."""

    def __init__(self, guest: ScriptedGuest) -> None:
        self._guest = guest
        self._up = False

    @property
    def keeps_output_after_wait(self) -> bool:
        return not self._guest.forgets

    @property
    def tells_ended(self) -> bool:
        return self._guest.tells_ended

    @property
    def polls(self) -> Polls:
        return self._guest.polls

    @property
    def follows_processes(self) -> bool:
        return self._guest.follows_processes

    def lease(self) -> ScriptedConnection:
        return ScriptedConnection(self._guest)

    @property
    def spoils_roots(self) -> bool:
        return False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        if (dialled := self._guest.gates.get("dial")) is not None:
            await dialled.wait()
        self._up = True
        self._guest.connections += 1
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            self._up = False
            self._guest.connections -= 1

    async def _without(self, verb: str, zero: R) -> R:
        await self._call(verb, "")
        return zero

    async def _call(self, verb: str, container: str) -> None:
        guest = self._guest
        guest.calls[verb] += 1
        guest.log.append(f"{verb} {container}".strip())
        await trio.lowlevel.checkpoint()
        if not self._up or guest.gone.is_set():
            raise AgentUnreachable("the scripted link is down")
        gate = guest.gates.get(f"{verb} {container}")
        if gate is not None:
            await gate.wait()
        if verb in guest.failures:
            failure = guest.failures[verb]
            raise type(failure)(failure.message, **failure.details)

    def _process(self, container: str, process: str) -> ScriptedProcess:
        found = self._guest.processes.get((container, process))
        if found is None:
            raise NotFound(f"no process {process} in {container}")
        return found

    async def check(self) -> Checked:
        await self._call("check", "")
        return Checked(serving=True, agent_version="scripted")

    async def create_sandbox(self, sandbox: str, spec: SandboxSpec) -> None:
        await self._call("create_sandbox", "")
        self._guest.sandbox = sandbox

    async def destroy_sandbox(self) -> None:
        await self._call("destroy_sandbox", "")
        for process in self._guest.processes.values():
            process.take_signal(signal.SIGKILL)

    async def create_container(self, container: str, spec: ContainerSpec, rootfs: str) -> None:
        await self._call("create_container", container)
        if (container, container) in self._guest.processes:
            raise AlreadyExists(container)
        self._guest.processes[container, container] = ScriptedProcess()
        reply = self._guest.gates.get(f"reply create_container {container}")
        if reply is not None:
            await reply.wait()

    async def start_container(self, container: str) -> None:
        await self._call("start_container", container)

    async def remove_container(self, container: str) -> None:
        await self._call("remove_container", container)
        mine = [key for key in self._guest.processes if key[0] == container]
        if not mine:
            raise NotFound(container)
        for key in mine:
            self._guest.processes.pop(key).take_signal(signal.SIGKILL)

    async def exec_process(self, container: str, process: str, spec: ProcessSpec) -> None:
        await self._call("exec_process", container)
        made = self._guest.processes[container, process] = ScriptedProcess()
        if self._guest.on_exec is not None:
            self._guest.on_exec(spec, made)

    async def signal_process(self, container: str, process: str, signum: int) -> None:
        await self._call("signal_process", container)
        self._guest.signalled.append((container, process, signum))
        self._process(container, process).take_signal(signum)

    async def kill_all(self, container: str) -> None:
        await self._call("kill_all", container)
        for key, process in self._guest.processes.items():
            if key[0] == container:
                process.take_signal(signal.SIGKILL)

    async def winsize_process(self, container: str, process: str, size: TerminalSize) -> None:
        await self._call("winsize_process", container)
        self._process(container, process).size = size

    async def poll_process(self, container: str, process: str) -> ExitStatus | None:
        await self._call("poll_process", container)
        found = self._process(container, process)
        return ExitStatus(found.code) if found.ended.is_set() else None

    async def write_stdin(self, container: str, process: str, data: bytes) -> int:
        await self._call("write_stdin", container)
        found = self._process(container, process)
        if found.input_room is not None and len(found.input) + len(data) > found.input_room:
            await trio.sleep_forever()
        await trio.sleep(found.input_seconds)
        found.input += data
        return len(data)

    async def close_stdin(self, container: str, process: str) -> None:
        await self._call("close_stdin", container)
        self._process(container, process).input_closed = True

    async def read_stdout(self, container: str, process: str, limit: int) -> bytes:
        await trio.lowlevel.checkpoint()
        return await self._process(container, process).read()

    async def read_stderr(self, container: str, process: str, limit: int) -> bytes:
        await trio.lowlevel.checkpoint()
        return b""

    async def wait_process(self, container: str, process: str) -> ExitStatus:
        found = self._process(container, process)
        if (failure := self._guest.failures.get("wait_process")) is not None:
            await trio.lowlevel.checkpoint()
            raise type(failure)(failure.message, **failure.details)
        await found.ended.wait()
        found.waits += 1
        if found.ambiguous and found.signals:
            raise OutcomeUnknown(f"0 after signal {found.signals[-1]}", signal=found.signals[-1])
        return ExitStatus(found.code)

    async def pause_container(self, container: str) -> None:
        await self._call("pause_container", container)

    async def resume_container(self, container: str) -> None:
        await self._call("resume_container", container)

    async def disconnect(self) -> None:
        await self._call("disconnect", "")

    async def capabilities(self) -> Capabilities:
        await self._call("capabilities", "")
        return Capabilities(features=("scripted",))

    async def get_guest_details(self) -> GuestDetails:
        await self._call("get_guest_details", "")
        return GuestDetails(agent_version="scripted")

    async def container_state(self, container: str) -> ContainerState | None:
        await self._call("container_state", container)
        return self._guest.states.get(container)

    async def update_container(self, container: str, args: Update) -> None:
        await self._call("update_container", container)

    async def stats_container(self, container: str) -> ContainerStats:
        await self._call("stats_container", container)
        return ContainerStats()

    async def list_pids(self, container: str) -> tuple[int, ...]:
        await self._call("list_pids", container)
        return (1,)

    async def list_table(self, container: str, args: tuple[str, ...]) -> str:
        await self._call("list_table", container)
        return "PID\n1\n"

    async def next_oom(self) -> str:
        await self._call("next_oom", "")
        while not self._guest.ooms:
            await self._guest.oom_told.wait()
            self._guest.oom_told = trio.Event()
        return self._guest.ooms.popleft()


@asynccontextmanager
async def scripted_system(
    guest: ScriptedGuest, limits: Limits = DEFAULT_LIMITS, images: Images | None = None
) -> AsyncGenerator[SystemHandle]:
    """A whole system of actors over the in-memory transport, with that guest for every sandbox."""
    parts = Parts(
        transport=MemoryTransport(),
        address="memory://test",
        launch=guest.launch,
        connect=guest.connect,
        images=images or AnyImage(),
        seams=real_seams(),
        limits=limits,
    )
    async with open_actors(parts) as system:
        yield system


@asynccontextmanager
async def one_running(guest: ScriptedGuest, limits: Limits = DEFAULT_LIMITS) -> AsyncGenerator[ContainerHandle]:
    """A running container `one` in the sandbox `box` of such a system."""
    async with scripted_system(guest, limits=limits) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", ContainerSpec(process=ProcessSpec(args=("sh",))))
        await one.start()
        yield one
