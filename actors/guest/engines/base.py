"""The engine port: create, start, exec, freeze, signal, delete, and the streams of each process.

For the guest's executor, which has checked states and ids with the model before it calls. Not for
protocols: an engine is given OCI values and knows nothing of who asked.
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
        """Its end, for any number of waiters; at once when it has ended."""
        ...

    def signal(self, signum: int) -> bool:
        """Signal this very process (never one that got its pid later); False when it has ended."""
        ...

    def handles(self, signum: int) -> bool:
        """Whether its program catches, ignores or blocks the signal; False before it is started, and when it has ended."""
        ...

    def resize(self, size: TerminalSize) -> None:
        """Set its terminal's size. Raises: InvalidTransition when it has none."""

    async def aclose(self) -> None:
        """Close our ends of its streams; the process itself is left as it is."""


class Engine(Protocol):
    """What really runs. Calls for one container never overlap; for different ones they may.

    Failures are `KatrioError`s: InvalidArgument (a program, user or directory that isn't there: `field` names it),
    Unsupported, ResourceExhausted, AgentError (the runtime's own text).
    """

    @property
    def name(self) -> str:
        """`runc`, `crun`, `processes` or `simulated`."""
        ...

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Background work (reaping) until cancelled. Nothing else may be called before it has started."""

    async def create(self, container: str, spec: Spec) -> EngineProcess:
        """Make the container, its init waiting to be started. On failure nothing of it is left."""
        ...

    async def start(self, container: str) -> None:
        """Let the init run."""

    async def exec(self, container: str, process: Process) -> EngineProcess:
        """Start one more process in the container."""
        ...

    async def pause(self, container: str) -> None:
        """Freeze; returns once every process stands still. Raises: Unsupported."""

    async def resume(self, container: str) -> None:
        """Thaw."""

    async def kill_all(self, container: str) -> None:
        """SIGKILL to every process of the container, thawing it; returns once none is left."""

    async def delete(self, container: str) -> None:
        """Remove what is left of the container: processes, cgroup, mounts, files. Idempotent."""

    # counts and limits

    async def update(self, container: str, resources: LinuxResources) -> None:
        """Apply limits live. A zero, and what is not named, stays as it is.

        Raises:
            Unsupported: a field that this engine can't apply here (`field` names it); nothing was applied.
            InvalidArgument: a value that the kernel refuses; what had been applied was taken back.
        """

    async def stats(self, container: str) -> CgroupStats:
        """What the container's control groups count. Raises: Unsupported where there are none, never zeros."""
        ...

    async def list_pids(self, container: str) -> tuple[int, ...]:
        """Its processes, as the guest's pid namespace numbers them, sorted."""
        ...

    async def list_table(self, container: str, arguments: tuple[str, ...]) -> str:
        """What `ps ARGUMENTS` prints, header and the container's rows alone; `-ef` when there are no arguments.

        Raises: InvalidArgument (`field` is `args`: ps refuses them, or prints no PID), Unsupported (no ps here).
        """
        ...

    async def read_text(self, container: str, path: str, most_bytes: int) -> str:
        """The beginning of a regular file in the container's root, whose links can't lead out; empty when there is none.

        Raises: Unsupported where containers have no root of their own.
        """
        ...

    async def next_oom(self) -> str:
        """The container of the next OOM kill that was not told yet, waiting for it (for ever, without control groups).

        Several kills in one container may be told as one. A cancelled wait loses nothing.
        """
        ...
