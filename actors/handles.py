"""Typed handles: what a program holds to drive a system, its sandboxes, containers and processes.

For every caller: scenario steps, the command line, embedding code. A handle is a courier and an address,
no state: it may be copied, kept, and used by any number of tasks at once. Not for owning anything: a
sandbox lives until somebody stops it, whatever happens to its handles.

Every verb may raise a `KatrioError`; `budget` is the seconds that the caller is ready to wait, None is for ever.
"""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.errors import NotFound
from actors.limits import DEFAULT_LIMITS
from actors.nurseries import open_plain_nursery
from actors.wire.codec import decode_value
from actors.wire.events import ActorEvent
from actors.wire.reports import Capabilities, ContainerStats, GuestDetails, Interface, Route
from actors.wire.spec import (
    ContainerSpec,
    ExitStatus,
    ProcessSpec,
    ResourceSpec,
    SandboxSpec,
    TerminalSize,
)
from actors.wire.verbs import (
    Checked,
    CopyFile,
    CreateContainer,
    Created,
    CreateSandbox,
    Delete,
    Exec,
    Info,
    Interfaces,
    ListedProcesses,
    ListProcesses,
    Nothing,
    OnlineCpuMem,
    ProcessRef,
    ReadOutput,
    ReseedRandom,
    Routes,
    SetGuestTime,
    Signal,
    Signalled,
    Stop,
    Update,
    UpdateInterface,
    Winsize,
    WriteStdin,
    Written,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.mailbox import Courier, StreamPart

__all__ = [
    "ActorEvent",
    "Completed",
    "ContainerHandle",
    "ProcessHandle",
    "SandboxHandle",
    "SeenEvent",
    "SystemHandle",
]

BUDGET = DEFAULT_LIMITS.ask_seconds
SYSTEM_ADDRESS = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that has ended, with all of its output; `lost` counts bytes that nobody read in time."""

    code: int
    stdout: bytes
    stderr: bytes
    lost: int = 0


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One event of a subscription; `lost` counts those before it that were left out, as we did not keep up."""

    event: ActorEvent
    lost: int


@asynccontextmanager
async def _open_events(courier: Courier, address: str) -> AsyncGenerator[AsyncIterator[SeenEvent]]:
    async def seen() -> AsyncGenerator[SeenEvent]:
        async for part in parts:
            yield SeenEvent(decode_value(part.value, ActorEvent), part.lost)

    async with courier.open_events(address, "events", Nothing()) as parts, aclosing(seen()) as events:
        yield events


async def _delete(courier: Courier, address: str, *, force: bool, budget: float | None) -> None:
    try:
        await courier.ask(address, "delete", Delete(force), Nothing, budget=budget)
    except NotFound:
        if not force:
            raise


@dataclass(frozen=True, slots=True)
class SystemHandle:
    """The root of one system of actors."""

    courier: Courier

    async def create_sandbox(
        self,
        name: str,
        spec: SandboxSpec | None = None,
        *,
        budget: float | None = BUDGET,
    ) -> SandboxHandle:
        """Make a sandbox actor; nothing runs before its `start`. Raises: AlreadyExists, InvalidArgument."""
        made = await self.courier.ask(
            SYSTEM_ADDRESS,
            "create_sandbox",
            CreateSandbox(name, spec or SandboxSpec()),
            Created,
            budget=budget,
        )
        return SandboxHandle(self.courier, made.address)

    async def info(self, *, budget: float | None = BUDGET) -> Info:
        """The system's own view: its sandboxes are the `children`."""
        return await self.courier.ask(SYSTEM_ADDRESS, "info", Nothing(), Info, budget=budget)

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to every sandbox and container: what is the case, then what changes."""
        return _open_events(self.courier, SYSTEM_ADDRESS)

    def sandbox(self, name: str) -> SandboxHandle:
        """A handle on a sandbox that exists already; asks nothing."""
        return SandboxHandle(self.courier, name)


@dataclass(frozen=True, slots=True)
class SandboxHandle:
    """One sandbox: a guest and the containers in it."""

    courier: Courier
    address: str

    async def start(self, *, budget: float | None = BUDGET) -> None:
        """Bring up its guest and connect. Raises: GuestDied, AgentUnreachable, InvalidTransition."""
        await self.courier.ask(self.address, "start", Nothing(), Nothing, budget=budget)

    async def stop(self, *, grace: float | None = None, budget: float | None = BUDGET) -> None:
        """Stop every container (polite signal, `grace` seconds, SIGKILL), then the guest. Repeated is fine."""
        await self.courier.ask(self.address, "stop", Stop(grace_seconds=grace), Nothing, budget=budget)

    async def delete(self, *, force: bool = False, budget: float | None = BUDGET) -> None:
        """Forget it. Raises: InvalidTransition while it runs, unless `force`: then it is stopped first, without grace.

        With `force` one that is not there is fine.
        """
        await _delete(self.courier, self.address, force=force, budget=budget)

    async def check(self, *, budget: float | None = BUDGET) -> Checked:
        """Ask its agent whether it serves."""
        return await self.courier.ask(self.address, "check", Nothing(), Checked, budget=budget)

    async def info(self, *, budget: float | None = BUDGET) -> Info:
        """Its state, and its containers as `children`."""
        return await self.courier.ask(self.address, "info", Nothing(), Info, budget=budget)

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to it and its containers: what is the case, then what changes; ends when it is deleted."""
        return _open_events(self.courier, self.address)

    async def capabilities(self, *, budget: float | None = BUDGET) -> Capabilities:
        """What its agent can be given."""
        return await self.courier.ask(self.address, "capabilities", Nothing(), Capabilities, budget=budget)

    async def get_guest_details(self, *, budget: float | None = BUDGET) -> GuestDetails:
        """What its guest says of itself."""
        return await self.courier.ask(self.address, "get_guest_details", Nothing(), GuestDetails, budget=budget)

    async def disconnect(self, *, budget: float | None = BUDGET) -> None:
        """Close its own connection to the agent; it is dialled again when it is next needed. Repeated is fine.

        What was in flight on it ends at once; its containers have connections of their own.
        """
        await self.courier.ask(self.address, "disconnect", Nothing(), Nothing, budget=budget)

    async def online_cpu_mem(
        self, cpus: int, *, cpu_only: bool = False, wait: bool = False, budget: float | None = BUDGET
    ) -> None:
        """Bring up what was plugged into its machine. Raises: Unsupported where the guest is no VM."""
        args = OnlineCpuMem(cpus, cpu_only, wait)
        await self.courier.ask(self.address, "online_cpu_mem", args, Nothing, budget=budget)

    async def set_guest_time(self, seconds: int, microseconds: int = 0, *, budget: float | None = BUDGET) -> None:
        """Set its clock, since 1970. Raises: Unsupported where the guest shares this machine's clock."""
        args = SetGuestTime(seconds, microseconds)
        await self.courier.ask(self.address, "set_guest_time", args, Nothing, budget=budget)

    async def reseed_random(self, data: bytes, *, budget: float | None = BUDGET) -> None:
        """Mix 1 to 512 random bytes into its kernel's pool. Raises: InvalidArgument."""
        await self.courier.ask(self.address, "reseed_random", ReseedRandom(data), Nothing, budget=budget)

    async def copy_file(
        self,
        path: str,
        data: bytes,
        *,
        mode: int = 0o644,
        directory_mode: int = 0o755,
        uid: int = 0,
        gid: int = 0,
        budget: float | None = BUDGET,
    ) -> None:
        """Put a file into its guest's shared directory, in pieces; it appears there whole, or not at all.

        A container mounts it by its path below /run/kata-containers/shared/containers. One writer to a path.
        Raises: InvalidArgument, PermissionDenied for a path that leads elsewhere, ResourceExhausted.
        """
        for offset in range(0, max(len(data), 1), DEFAULT_LIMITS.chunk_bytes):
            piece = CopyFile(
                path=path,
                size=len(data),
                data=data[offset : offset + DEFAULT_LIMITS.chunk_bytes],
                offset=offset,
                mode=mode,
                directory_mode=directory_mode,
                uid=uid,
                gid=gid,
            )
            await self.courier.ask(self.address, "copy_file", piece, Nothing, budget=budget)

    async def list_interfaces(self, *, budget: float | None = BUDGET) -> tuple[Interface, ...]:
        """Its network devices. Raises: Unsupported where the guest has no network of its own."""
        answer = await self.courier.ask(self.address, "list_interfaces", Nothing(), Interfaces, budget=budget)
        return answer.interfaces

    async def update_interface(self, interface: Interface, *, budget: float | None = BUDGET) -> Interface:
        """Give a network device its addresses, and what else is named; how it is then."""
        args = UpdateInterface(interface)
        return await self.courier.ask(self.address, "update_interface", args, Interface, budget=budget)

    async def list_routes(self, *, budget: float | None = BUDGET) -> tuple[Route, ...]:
        """Its routes. Raises: Unsupported where the guest has no network of its own."""
        return (await self.courier.ask(self.address, "list_routes", Nothing(), Routes, budget=budget)).routes

    async def update_routes(self, routes: tuple[Route, ...], *, budget: float | None = BUDGET) -> tuple[Route, ...]:
        """Replace its routes; how they are then."""
        return (await self.courier.ask(self.address, "update_routes", Routes(routes), Routes, budget=budget)).routes

    async def create_container(
        self, name: str, spec: ContainerSpec, *, budget: float | None = BUDGET
    ) -> ContainerHandle:
        """Make a container whose init waits for `start`. Raises: AlreadyExists, InvalidArgument."""
        made = await self.courier.ask(
            self.address,
            "create_container",
            CreateContainer(name, spec),
            Created,
            budget=budget,
        )
        return ContainerHandle(self.courier, made.address)

    def container(self, name: str) -> ContainerHandle:
        """A handle on a container that exists already; asks nothing."""
        return ContainerHandle(self.courier, f"{self.address}/{name}")


@dataclass(frozen=True, slots=True)
class ProcessHandle:
    """One process of a container; the empty id is the container's init."""

    courier: Courier
    address: str
    id: str

    async def wait(self, *, budget: float | None = None) -> ExitStatus:
        """Wait for its end; the same answer for every asker until the container is deleted."""
        return await self.courier.ask(self.address, "wait", ProcessRef(self.id), ExitStatus, budget=budget)

    async def signal(self, signum: int, *, budget: float | None = BUDGET) -> Signalled:
        """Signal it; one that has ended is fine and counts 0."""
        return await self.courier.ask(self.address, "signal", Signal(signum, self.id), Signalled, budget=budget)

    async def winsize(self, rows: int, columns: int, *, budget: float | None = BUDGET) -> None:
        """Resize its terminal. Raises: InvalidTransition when it has none."""
        args = Winsize(TerminalSize(rows, columns), self.id)
        await self.courier.ask(self.address, "winsize", args, Nothing, budget=budget)

    async def write(self, data: bytes, *, budget: float | None = BUDGET) -> int:
        """Write to its input, in chunks; how many bytes went in, less than given once it was closed."""
        sent = 0
        while sent < len(data):
            chunk = data[sent : sent + DEFAULT_LIMITS.chunk_bytes]
            args = WriteStdin(chunk, self.id)
            taken = (await self.courier.ask(self.address, "write_stdin", args, Written, budget=budget)).length
            sent += taken
            if taken == 0:
                break
        return sent

    async def close_stdin(self, *, budget: float | None = BUDGET) -> None:
        """End of file on its input; repeated is fine."""
        await self.courier.ask(self.address, "close_stdin", ProcessRef(self.id), Nothing, budget=budget)

    @asynccontextmanager
    async def _open(self, verb: str) -> AsyncGenerator[AsyncIterator[StreamPart]]:
        async with self.courier.open_stream(self.address, verb, ReadOutput(self.id)) as parts:
            yield parts

    def open_stdout(self) -> AbstractAsyncContextManager[AsyncIterator[StreamPart]]:
        """Its output from where the last reader stopped; the iterator ends with the output."""
        return self._open("read_stdout")

    def open_stderr(self) -> AbstractAsyncContextManager[AsyncIterator[StreamPart]]:
        """Like `open_stdout`; ends at once for a process with a terminal."""
        return self._open("read_stderr")

    async def collect(self) -> Completed:
        """Read both outputs to their end, then wait. Bound it with a cancel scope of yours."""
        outputs: dict[str, bytearray] = {
            "read_stdout": bytearray(),
            "read_stderr": bytearray(),
        }
        lost = 0

        async def drain(verb: str) -> None:
            nonlocal lost
            async with self._open(verb) as parts:
                async for part in parts:
                    outputs[verb] += part.data
                    lost += part.gap

        async with open_plain_nursery() as nursery:
            for verb in outputs:
                nursery.start_soon(drain, verb)
        status = await self.wait()
        return Completed(
            status.code,
            bytes(outputs["read_stdout"]),
            bytes(outputs["read_stderr"]),
            lost,
        )


@dataclass(frozen=True, slots=True)
class ContainerHandle:
    """One container of a sandbox."""

    courier: Courier
    address: str

    def open_events(self) -> AbstractAsyncContextManager[AsyncIterator[SeenEvent]]:
        """Subscribe to its state and its processes' ends: what is the case, then what changes; ends with its delete."""
        return _open_events(self.courier, self.address)

    @property
    def init(self) -> ProcessHandle:
        """Its first process."""
        return ProcessHandle(self.courier, self.address, "")

    def process(self, name: str) -> ProcessHandle:
        """A handle on a process that `exec` made; asks nothing."""
        return ProcessHandle(self.courier, self.address, name)

    async def start(self, *, budget: float | None = BUDGET) -> None:
        """Let its init run. Raises: InvalidTransition."""
        await self.courier.ask(self.address, "start", Nothing(), Nothing, budget=budget)

    async def pause(self, *, budget: float | None = BUDGET) -> None:
        """Freeze every process of it; its neighbours run on. Raises: InvalidTransition, Unsupported."""
        await self.courier.ask(self.address, "pause", Nothing(), Nothing, budget=budget)

    async def resume(self, *, budget: float | None = BUDGET) -> None:
        """Thaw it. Raises: InvalidTransition."""
        await self.courier.ask(self.address, "resume", Nothing(), Nothing, budget=budget)

    async def exec(self, name: str, spec: ProcessSpec, *, budget: float | None = BUDGET) -> ProcessHandle:
        """Start one more process, named `name`. Raises: AlreadyExists, InvalidTransition, InvalidArgument."""
        await self.courier.ask(self.address, "exec", Exec(name, spec), Nothing, budget=budget)
        return ProcessHandle(self.courier, self.address, name)

    async def update(self, resources: ResourceSpec, *, budget: float | None = BUDGET) -> None:
        """Change its limits while it runs; all of them or none. Raises: InvalidArgument, Unsupported (the field)."""
        await self.courier.ask(self.address, "update", Update(resources), Nothing, budget=budget)

    async def stats(self, *, budget: float | None = BUDGET) -> ContainerStats:
        """What it uses. Raises: Unsupported where nothing counts that."""
        return await self.courier.ask(self.address, "stats", Nothing(), ContainerStats, budget=budget)

    async def list_processes(self, *, budget: float | None = BUDGET) -> tuple[int, ...]:
        """The pids of all of its processes, as its guest numbers them."""
        return (await self._list(ListProcesses(), budget)).pids

    async def process_table(self, *args: str, budget: float | None = BUDGET) -> str:
        """What `ps ARGS` prints of its processes; "-ef" when there are no arguments."""
        return (await self._list(ListProcesses("table", args), budget)).table

    async def _list(self, args: ListProcesses, budget: float | None) -> ListedProcesses:
        return await self.courier.ask(self.address, "list_processes", args, ListedProcesses, budget=budget)

    async def signal(self, signum: int, *, all_processes: bool = False, budget: float | None = BUDGET) -> Signalled:
        """Signal its init, or every process of it."""
        return await self.courier.ask(
            self.address,
            "signal",
            Signal(signum, all=all_processes),
            Signalled,
            budget=budget,
        )

    async def disconnect(self, *, budget: float | None = BUDGET) -> None:
        """Close its own connection to the agent; it is dialled again when it is next needed. Repeated is fine.

        What was in flight on it ends at once; waits and readers go on over the next one.
        """
        await self.courier.ask(self.address, "disconnect", Nothing(), Nothing, budget=budget)

    async def stop(
        self,
        *,
        signum: int = 15,
        grace: float | None = None,
        force: bool = False,
        budget: float | None = BUDGET,
    ) -> ExitStatus:
        """Polite signal, `grace` seconds, SIGKILL to all; how its init ended. Repeated is fine.

        With `force` it ends stopped whatever fails. Raises then: OutcomeUnknown when nobody can tell how it ended.
        """
        return await self.courier.ask(self.address, "stop", Stop(signum, grace, force), ExitStatus, budget=budget)

    async def delete(self, *, force: bool = False, budget: float | None = BUDGET) -> None:
        """Forget it and its cached results. Raises: InvalidTransition while it runs, unless `force`: then it is
        stopped first, without grace. With `force` one that is not there is fine.
        """
        await _delete(self.courier, self.address, force=force, budget=budget)

    async def info(self, *, budget: float | None = BUDGET) -> Info:
        """Its state; its processes as `children`; how its init ended, once it has."""
        return await self.courier.ask(self.address, "info", Nothing(), Info, budget=budget)
