"""The engine interface: create, start, exec, freeze, signal, delete, and the streams of each process.

Called by the guest's executor, which has checked states and ids with the model. Engines take OCI values and know no
protocol or caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import trio

if TYPE_CHECKING:
    from actors.schemas.oci import LinuxResources, Process, Spec
    from actors.schemas.stats import CgroupStats
    from actors.wire.spec import ExitStatus, TerminalSize

__all__ = ["Engine", "EngineProcess"]


class EngineProcess(Protocol):
    """One process that an engine runs. With a terminal there is no `stderr`."""

    @property
    def stdin(self) -> trio.abc.SendStream | None: ...

    @property
    def stdout(self) -> trio.abc.ReceiveStream: ...

    @property
    def stderr(self) -> trio.abc.ReceiveStream | None: ...

    async def wait(self) -> ExitStatus:
        """Wait for its exit status, for any number of waiters; returns at once if it has ended."""
        ...

    def signal(self, signum: int) -> bool:
        """Signal exactly this process (pidfd: never a later one with the same pid); False if it has ended."""
        ...

    def handles(self, signum: int) -> bool:
        """Whether its program catches, ignores or blocks the signal; False before its start and after its end."""
        ...

    def resize(self, size: TerminalSize) -> None:
        """Set its terminal's size. Raises: InvalidTransition without a terminal."""

    async def aclose(self) -> None:
        """Close our ends of its streams; the process itself is not affected."""


class Engine(Protocol):
    """Runs containers. Calls for one container never overlap; calls for different ones may.

    Failures are `KatrioError`s: InvalidArgument (a missing program, user or directory; `field` names it),
    Unsupported, ResourceExhausted, AgentError (with the runtime's own text).
    """

    @property
    def name(self) -> str:
        """`runc`, `crun`, `processes` or `simulated`."""
        ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Background work (reaping) until cancelled. Must have started before any other call."""

    async def create(self, container: str, spec: Spec) -> EngineProcess:
        """Create the container, its init waiting to be started. On failure nothing is left behind."""
        ...

    async def start(self, container: str) -> None:
        """Start the init's program."""

    async def exec(self, container: str, process: Process) -> EngineProcess:
        """Start another process in the container."""
        ...

    async def pause(self, container: str) -> None:
        """Freeze; returns once every process is frozen. Raises: Unsupported."""

    async def resume(self, container: str) -> None:
        """Thaw."""

    async def kill_all(self, container: str) -> None:
        """SIGKILL every process of the container, thawing it; returns once none is left."""

    async def delete(self, container: str) -> None:
        """Remove the container's processes, cgroup, mounts and files. Idempotent."""

    # counters and limits

    async def update(self, container: str, resources: LinuxResources) -> None:
        """Apply limits live. Zero or absent values stay unchanged.

        Raises:
            Unsupported: a field that this engine can't apply here (`field` names it); nothing was applied.
            InvalidArgument: a value that the kernel rejects; earlier writes were rolled back.
        """

    async def stats(self, container: str) -> CgroupStats:
        """The counters of the container's cgroups. Raises: Unsupported where there are none; never made-up zeros."""
        ...

    async def list_pids(self, container: str) -> tuple[int, ...]:
        """The pids of its processes in the guest's pid namespace, sorted."""
        ...

    async def list_table(self, container: str, arguments: tuple[str, ...]) -> str:
        """What `ps ARGUMENTS` prints: header and the container's rows only; `-ef` when there are no arguments.

        Raises: InvalidArgument (`field` is `args`: rejected by ps, or no PID column), Unsupported (no ps here).
        """
        ...

    async def read_text(self, container: str, path: str, most_bytes: int) -> str:
        """The first bytes of a regular file in the container's rootfs, resolved within it; empty if missing.

        Raises: Unsupported where containers have no rootfs of their own.
        """
        ...

    async def next_oom(self) -> str:
        """Wait for the next unreported OOM kill; returns its container (waits for ever without cgroups).

        Several kills in one container may be reported as one. A cancelled wait loses nothing.
        """
        ...
