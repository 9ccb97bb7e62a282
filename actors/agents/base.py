"""The agent interface: what one actor may ask of the guest, over a connection of its own.

The port between actors and agents, as a base class: an agent (`noop`, `kata`, `hyperstart`) derives from `SandboxAgent` and
defines what its guest can do; what it leaves out answers `unsupported`. Not for lifecycle rules: the actor has checked
those before it calls, and the guest checks them again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, TypeVar

import trio

from actors.errors import Unsupported
from actors.wire.reports import Capabilities, ContainerStats, GuestDetails
from actors.wire.sandbox_verbs import Checked, Interfaces, Routes
from actors.wire.spec import ExitStatus

if TYPE_CHECKING:
    from actors.lifecycle.container import ContainerState
    from actors.limits import Limits
    from actors.wire.reports import Interface
    from actors.wire.sandbox_verbs import CopyFile, OnlineCpuMem, ReseedRandom, SetGuestTime, UpdateInterface
    from actors.wire.spec import ContainerSpec, ProcessSpec, SandboxSpec, TerminalSize
    from actors.wire.verbs import Update
    from transports.base import Dialer

__all__ = ["AgentConnection", "AgentFactory", "Channels", "Polls", "SandboxAgent"]

R = TypeVar("R")


class Channels(NamedTuple):
    """How a guest's agent is dialled. `streams`: hyperstart's second channel, None with an agent that has one for all."""

    agent: Dialer
    streams: Dialer | None = None


class Polls(Enum):
    """How often `AgentConnection.poll_process` may be asked."""

    NEVER = "it is of no use, or not needed"
    SELDOM = "an end at the same instant may cost the last output, or the code"
    OFTEN = "it changes nothing"


class AgentConnection:
    """One actor's live link to the guest; what a derived class does not define is `unsupported`.

    A process is named by its container's id and its own; a container's init has the container's id.
    Every method may raise, besides what it names:
        AgentUnreachable: the link is down and could not be brought back in time; nothing was sent.
        OutcomeUnknown: the link broke after a call that changes state was sent.
        AgentError: the agent refused, with a status that has no code of ours.
        AgentProtocolError: the agent broke its protocol.
        Unsupported: this agent can't do it.
    Calls that change nothing carry the caller's remaining time to the guest; the others run to their own end.
    """

    # who can't do it, in the message of a refusal
    guest: ClassVar[str] = "this agent's guest"

    async def _without(self, verb: str, zero: R) -> R:
        """The answer of a call that the derived class does not define; `zero` is virtcontainers' noop answer to it."""
        await trio.lowlevel.checkpoint()
        raise Unsupported(f"{verb}: {self.guest} can't do it", verb=verb)

    @property
    def follows_processes(self) -> bool:
        """Whether its processes really run, and so end by themselves; False for noop alone."""
        return True

    @property
    def keeps_output_after_wait(self) -> bool:
        """Whether output can still be read once `wait_process` has answered.

        A real Kata agent closes a process's streams then; our guest keeps them until the container is removed.
        """
        return True

    @property
    def polls(self) -> Polls:
        """Whether an end can be asked for while the output goes on. Of use where output does not outlive a wait."""
        return Polls.NEVER

    @property
    def tells_ended(self) -> bool:
        """Whether it says so when it refuses something because the process, or the container, has ended: our guest alone."""
        return True

    @property
    def isolates_processes(self) -> bool:
        """Whether `ps` in a container shows that container's processes alone.

        The containers of a real hyperstart guest share one pid namespace.
        """
        return True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Dial and keep the link until cancelled; a broken one is dialled again, with backoff.

        Started once the first link is up. Raises AgentUnreachable when that never happens in time.
        """
        task_status.started()
        await trio.sleep_forever()

    async def check(self) -> Checked:
        """Ask the agent whether it serves, and its version."""
        return await self._without("check", Checked(serving=True, agent_version=""))

    async def disconnect(self) -> None:
        """Close the link; calls in flight end at once, and the next call dials again. Idempotent."""
        await self._without("disconnect", None)

    async def capabilities(self) -> Capabilities:
        """What the agent can be given."""
        return await self._without("capabilities", Capabilities())

    async def get_guest_details(self) -> GuestDetails:
        """What the guest is."""
        return await self._without("get_guest_details", GuestDetails(agent_version=""))

    async def create_sandbox(self, sandbox: str, spec: SandboxSpec) -> None:
        """Set the guest up for one sandbox. Raises AlreadyExists."""
        await self._without("create_sandbox", None)

    async def destroy_sandbox(self) -> None:
        """End every container and the sandbox; idempotent."""
        await self._without("destroy_sandbox", None)

    async def create_container(self, container: str, spec: ContainerSpec, rootfs: str) -> None:
        """Make a container whose init waits to be started; `rootfs` is an unpacked root in the guest's sight.

        Raises: AlreadyExists, InvalidArgument, NotFound.
        """
        await self._without("create_container", None)

    async def start_container(self, container: str) -> None:
        """Let the init run. Raises: NotFound, InvalidTransition."""
        await self._without("start", None)

    async def remove_container(self, container: str) -> None:
        """Kill what is left of the container and forget it. Raises: NotFound."""
        await self._without("remove", None)

    async def exec_process(self, container: str, process: str, spec: ProcessSpec) -> None:
        """Start one more process. Raises: NotFound, AlreadyExists, InvalidTransition, InvalidArgument."""
        await self._without("exec", None)

    async def signal_process(self, container: str, process: str, signum: int) -> None:
        """Signal one process; one that has ended is no error.

        Raises: NotFound; with `process` in the details the agent says of one that it had that it has ended.
        """
        await self._without("signal", None)

    async def kill_all(self, container: str) -> None:
        """SIGKILL to every process of the container, a frozen one included. Raises: NotFound."""
        await self._without("signal", None)

    async def winsize_process(self, container: str, process: str, size: TerminalSize) -> None:
        """Resize its terminal. Raises: NotFound; InvalidTransition when it has none."""
        await self._without("winsize", None)

    async def write_stdin(self, container: str, process: str, data: bytes) -> int:
        """Write, waiting for room; how many bytes went in, 0 when its input was closed. `data` is not empty."""
        return await self._without("write_stdin", 0)

    async def close_stdin(self, container: str, process: str) -> None:
        """End of file on its input; idempotent, and on a terminal nothing happens."""
        await self._without("close_stdin", None)

    async def read_stdout(self, container: str, process: str, limit: int) -> bytes:
        """At least one byte of its output, at most `limit`; empty is the end."""
        return await self._without("read_stdout", b"")

    async def read_stderr(self, container: str, process: str, limit: int) -> bytes:
        """Like `read_stdout`; always at its end for a process with a terminal."""
        return await self._without("read_stderr", b"")

    async def wait_process(self, container: str, process: str) -> ExitStatus:
        """Wait for its end; the same answer however often it is asked until the container is removed."""
        return await self._without("wait", ExitStatus(0))

    async def poll_process(self, container: str, process: str) -> ExitStatus | None:
        """How it ended, if it has, though others hold its output: answers soon. What is unread of that may be gone then.

        None: it has not, or that can't be told.
        """
        await trio.lowlevel.checkpoint()
        return None

    async def pause_container(self, container: str) -> None:
        """Freeze every process. Raises: InvalidTransition."""
        await self._without("pause", None)

    async def resume_container(self, container: str) -> None:
        """Thaw. Raises: InvalidTransition."""
        await self._without("resume", None)

    async def container_state(self, container: str) -> ContainerState | None:
        """Its state, as the guest has it; None when the agent can't tell. Raises: NotFound."""
        await trio.lowlevel.checkpoint()
        return None

    async def update_container(self, container: str, args: Update) -> None:
        """Change limits, all or none. Raises: NotFound, InvalidArgument, Unsupported (the field)."""
        await self._without("update", None)

    async def stats_container(self, container: str) -> ContainerStats:
        """What it uses. Raises: NotFound; Unsupported where nothing counts it."""
        return await self._without("stats", ContainerStats())

    async def list_pids(self, container: str) -> tuple[int, ...]:
        """The pids of all of its processes. Raises: NotFound; Unsupported: the actor then runs `ps` in it."""
        return await self._without("list_processes", ())

    async def list_table(self, container: str, args: tuple[str, ...]) -> str:
        """What `ps ARGS` prints of its processes. Raises: like `list_pids`, and InvalidArgument."""
        return await self._without("list_processes", "")

    async def next_oom(self) -> str:
        """Wait for the next OOM kill: the container's id. One caller gets each."""
        return await self._without("oom events", "")

    async def online_cpu_mem(self, args: OnlineCpuMem) -> None:
        """Bring up what was plugged in. Raises: Unsupported outside a VM."""
        await self._without("online_cpu_mem", None)

    async def set_guest_time(self, args: SetGuestTime) -> None:
        """Set the guest's clock. Raises: Unsupported outside a VM."""
        await self._without("set_guest_time", None)

    async def reseed_random(self, args: ReseedRandom) -> None:
        """Mix its bytes into the kernel's pool."""
        await self._without("reseed_random", None)

    async def copy_file(self, args: CopyFile) -> None:
        """One piece of a file. Raises: InvalidArgument, PermissionDenied, ResourceExhausted."""
        await self._without("copy_file", None)

    async def list_interfaces(self) -> Interfaces:
        """The sandbox's network devices. Raises: Unsupported where it has no network of its own."""
        return await self._without("list_interfaces", Interfaces())

    async def update_interface(self, args: UpdateInterface) -> Interface:
        """Change one; how it is then. Raises: NotFound, InvalidArgument, Unsupported."""
        return await self._without("update_interface", args.interface)

    async def list_routes(self) -> Routes:
        """The sandbox's routes. Raises: Unsupported where it has no network of its own."""
        return await self._without("list_routes", Routes())

    async def update_routes(self, args: Routes) -> Routes:
        """Replace them; how they are then. Raises: InvalidArgument, Unsupported."""
        return await self._without("update_routes", args)


class SandboxAgent(AgentConnection, ABC):
    """The sandbox's own connection, from which its containers get theirs."""

    @property
    def spoils_roots(self) -> bool:
        """Whether what answers may write into a root that it is given, or remove it: all but our own guest; once it runs."""
        return True

    @abstractmethod
    def lease(self) -> AgentConnection:
        """One for a container's actor, which runs it. A link of its own with an agent that takes several."""

    async def wait_lost(self) -> str:
        """Wait until the guest can't be asked any more, for good; why, for people.

        Never ends with an agent whose links are dialled again: there the guest's end is the launcher's to tell.
        """
        await trio.sleep_forever()
        raise AssertionError("unreachable")


class AgentFactory(Protocol):
    """Makes one sandbox's agent; it dials only once it runs."""

    def __call__(self, channels: Channels, limits: Limits) -> SandboxAgent: ...
