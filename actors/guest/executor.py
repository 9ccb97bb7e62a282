"""The guest's async layer: asks the model, drives the engine, reports results to the model.

Theory of operation. Services translate a protocol and call this. Calls that change a container hold its lock
(`_changing`): one runs at a time. Waiting for the lock can be cancelled; once it is held the call is shielded and
bounded by `mutate_seconds`, so that model and engine agree even if the caller has gone. Signals, stdio, waits and kills
take no lock. So a container can always be removed: `remove` first kills without the lock, which ends a call that hangs
on the container, and then takes it. Each process has a task, `_until_end`: on its end it updates the model, wakes
waiters, and starts tasks that move unread output to memory and close the descriptors (`process_io`). A process or
container is forgotten only after that end.
"""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentError, InvalidArgument, InvalidTransition, NotFound
from actors.guest.leftovers import Leftovers
from actors.guest.process_io import ProcessIo
from actors.lifecycle.container import ContainerState
from actors.nurseries import Background
from actors.wire.fields import check_fields

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from actors.guest.engines.base import Engine, EngineProcess
    from actors.guest.model import GuestModel
    from actors.limits import Limits
    from actors.schemas.oci import LinuxResources, Process, Spec
    from actors.schemas.stats import CgroupStats
    from actors.wire.spec import ExitStatus, TerminalSize

__all__ = ["Executor"]

# once the process has ended, their sender has what it wanted
_ENDING = frozenset({signal.SIGTERM, signal.SIGKILL})


class _Cell:
    """Per-container state besides the model's entry."""

    def __init__(self, annotations: Mapping[str, str]) -> None:
        self.annotations = annotations
        self.lock = trio.Lock()
        self.processes: dict[str, ProcessIo] = {}


class Executor:
    """Start `run` before anything else is called: `await nursery.start(executor.run)`."""

    def __init__(self, engine: Engine, model: GuestModel, limits: Limits) -> None:
        self._engine = engine
        self.model = model
        self._limits = limits
        self._cells: dict[str, _Cell] = {}
        self._clearing: list[Callable[[], Awaitable[None]]] = []
        self._leftovers = Leftovers(limits.leftover_bytes)
        self._background = Background()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the engine, and a task per process that reports its end; until cancelled."""
        async with self._background.open() as nursery:
            await nursery.start(self._engine.run)
            task_status.started()
            await trio.sleep_forever()

    # containers

    async def create(self, container: str, spec: Spec) -> None:
        """Raises: AlreadyExists, InvalidArgument, ResourceExhausted, and what the engine raises."""
        check_fields(spec)
        self.model.begin_create(container)
        cell = self._cells[container] = _Cell(spec.annotations)
        try:
            async with self._changing(cell, "create", container):
                process = await self._engine.create(container, spec)
        except BaseException:
            self.model.create_failed(container)
            del self._cells[container]
            raise
        self.model.created(container)
        self._follow(cell, container, container, process)

    async def start(self, container: str) -> None:
        """Raises: NotFound, InvalidTransition."""
        cell = self._cell(container)
        async with self._changing(cell, "start", container):
            self.model.begin_start(container)
            try:
                await self._engine.start(container)
            except BaseException:
                self.model.start_failed(container)
                raise
            self.model.started(container)

    async def pause(self, container: str) -> None:
        """Returns once every process is frozen. Raises: NotFound, InvalidTransition, Unsupported."""
        cell = self._cell(container)
        async with self._changing(cell, "pause", container):
            self.model.check("pause", container)
            try:
                await self._engine.pause(container)
            finally:
                # if its init has ended meanwhile, report that rather than the engine's error
                self.model.check("pause", container)
            self.model.paused(container)

    async def resume(self, container: str) -> None:
        """Raises: NotFound, InvalidTransition."""
        cell = self._cell(container)
        async with self._changing(cell, "resume", container):
            self.model.check("resume", container)
            await self._engine.resume(container)
            # a signal that was pending while frozen may have ended it by now: the resume has succeeded all the same
            if self.model.container(container).state is not ContainerState.STOPPED:
                self.model.resumed(container)

    async def update(self, container: str, resources: LinuxResources) -> None:
        """Apply all limits or none. Raises: NotFound, InvalidTransition, Unsupported, InvalidArgument."""
        cell = self._cell(container)
        async with self._changing(cell, "update", container):
            self.model.check("update", container)
            check_fields(resources)
            await self._engine.update(container, resources)

    async def stats(self, container: str) -> CgroupStats:
        """Takes no lock: must not delay a kill. Raises: NotFound, InvalidTransition, Unsupported."""
        self.model.check("stats", container)
        try:
            return await self._engine.stats(container)
        finally:
            # counters of a cgroup that is being removed are meaningless
            self.model.check("stats", container)

    async def list_pids(self, container: str) -> tuple[int, ...]:
        """Raises: NotFound, InvalidTransition."""
        self.model.check("list_processes", container)
        return await self._engine.list_pids(container)

    async def list_table(self, container: str, arguments: tuple[str, ...]) -> str:
        """Raises: NotFound, InvalidTransition, InvalidArgument (`args`), Unsupported."""
        self.model.check("list_processes", container)
        return await self._engine.list_table(container, arguments)

    async def annotated_text(self, container: str, annotation: str, most_bytes: int) -> str:
        """The first bytes of the file in its rootfs named by an annotation; empty if the file is missing.

        Raises: NotFound; InvalidArgument without such an annotation; Unsupported.
        """
        path = self._cell(container).annotations.get(annotation)
        if not path:
            raise InvalidArgument(
                f"container {container!r}: it has no annotation {annotation}, which names the file",
                field="container_id",
            )
        return await self._engine.read_text(container, path, most_bytes)

    async def next_oom(self) -> str:
        """The container of the next OOM kill, for a single caller; a cancelled wait loses nothing."""
        return await self._engine.next_oom()

    async def exec(self, container: str, process: str, document: Process) -> None:
        """Raises: NotFound, InvalidTransition (at once when it is paused), AlreadyExists, InvalidArgument."""
        check_fields(document)
        cell = self._cell(container)
        self.model.check("exec", container)
        async with self._changing(cell, "exec", container):
            unread = [name for name, known in cell.processes.items() if not known.read_to_end]
            forgotten = self.model.begin_exec(container, process, unread)
            if forgotten is not None:
                await cell.processes.pop(forgotten).aclose()
            try:
                found = await self._engine.exec(container, document)
            except BaseException:
                self.model.exec_failed(container, process)
                raise
            self.model.exec_started(container, process)
            self._follow(cell, container, process, found)

    async def kill_all(self, container: str) -> None:
        """SIGKILL every process, frozen ones included; returns once they have ended. Raises: NotFound."""
        cell = self._cell(container)
        with trio.CancelScope(shield=True):
            await self._kill(cell, container)

    async def _kill(self, cell: _Cell, container: str) -> None:
        await self._engine.kill_all(container)
        with trio.move_on_after(self._limits.mutate_seconds):
            for process in list(cell.processes.values()):
                await process.ended.wait()
            return
        raise AgentError(f"kill of container {container!r}: it has not ended", status="not killed")

    async def remove(self, container: str) -> None:
        """Kill what runs, and forget the container; waiters for its processes get their result. Raises: NotFound."""
        cell = self._cell(container)
        self.model.check("stop", container)
        # before taking the lock: a call that hangs on the container ends with it
        await self.kill_all(container)
        async with self._changing(cell, "remove", container):
            if self._cells.get(container) is not cell:
                raise NotFound(f"remove of container {container!r}: it was removed meanwhile")
            self.model.begin_remove(container)
            await self._kill(cell, container)
            await self._engine.delete(container)
            self.model.removed(container)
            del self._cells[container]
            for process in cell.processes.values():
                await process.aclose()

    def when_empty(self, clear: Callable[[], Awaitable[None]]) -> None:
        """Register cleanup to run at a sandbox's end, after its containers are gone: the next sandbox must find nothing."""
        self._clearing.append(clear)

    async def destroy(self) -> None:
        """Kill and remove every container, then forget the sandbox with everything it left; idempotent.

        Raises: the first failure, at the end; then the sandbox still exists.
        """
        with self.model.destroying():
            await self.remove_all()
            for clear in self._clearing:
                await clear()
            self.model.destroy_sandbox()

    async def remove_all(self) -> None:
        """Kill and remove every container; idempotent. The first failure is raised at the end."""
        failure: Exception | None = None
        for action in (self.kill_all, self._remove_in_turn):
            for container in list(self._cells):
                try:
                    await action(container)
                except NotFound:
                    continue
                except Exception as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    async def _remove_in_turn(self, container: str) -> None:
        """Also handles a container that is still being created: waits for that to succeed or fail."""
        async with self._cell(container).lock:
            pass
        await self.remove(container)

    # processes

    def process(self, container: str, process: str) -> ProcessIo:
        """Its streams and exit; an empty id is the init. Raises: NotFound."""
        entry = self.model.process(container, process)
        found = self._cell(container).processes.get(entry.id)
        if found is None:
            raise NotFound(f"process {entry.id!r} of container {container!r}: it is still being created")
        return found

    async def signal(self, container: str, process: str, signum: int) -> None:
        """Signal one process; SIGTERM and SIGKILL to an ended one are no errors.

        An init without a SIGTERM handler would ignore it, being pid 1 of its namespace: it gets SIGKILL, as Kata's
        agents do. SIGKILL to a frozen init would stay pending until it is thawed (cgroup v1); as its end is the
        container's, all processes are killed.

        Raises: NotFound, InvalidArgument; InvalidTransition for any other signal to an ended process.
        """
        found = self.process(container, process)
        if found.ended.is_set() and signum not in _ENDING:
            raise InvalidTransition(
                f"signal {signum} to process {process or container!r} of container {container!r}: it has ended",
                state="exited",
                verb="signal",
            )
        frozen = self.model.container(container).state is ContainerState.PAUSED
        is_init = process in ("", container)
        signum = self.sent_for(signum, found) if is_init else signum
        if signum == signal.SIGKILL and frozen and is_init:
            await self.kill_all(container)
        else:
            found.signal(signum)

    @staticmethod
    def sent_for(signum: int, init: ProcessIo) -> int:
        """The signal actually sent to an init: see `signal`."""
        unseen = signum == signal.SIGTERM and not init.ended.is_set() and not init.engine.handles(signum)
        return signal.SIGKILL if unseen else signum

    def resize(self, container: str, process: str, size: TerminalSize) -> None:
        """Raises: NotFound; InvalidTransition without a terminal; InvalidArgument."""
        self.process(container, process).resize(size)

    async def wait(self, container: str, process: str) -> ExitStatus:
        """Wait for its exit status, for any number of waiters, however late; not for end of output. Raises: NotFound."""
        found = self.process(container, process)
        status = await found.wait()
        # the id may belong to another process by now
        if (cell := self._cells.get(container)) is not None and cell.processes.get(process or container) is found:
            self.model.told(container, process)
        return status

    # internals

    def _cell(self, container: str) -> _Cell:
        self.model.container(container)
        return self._cells[container]

    @asynccontextmanager
    async def _changing(self, cell: _Cell, verb: str, container: str) -> AsyncGenerator[None]:
        """Hold the container's lock. Waiting for it can be cancelled; the body is shielded, up to its time limit."""
        async with cell.lock:
            with trio.move_on_after(self._limits.mutate_seconds, shield=True) as bound:
                yield
        if bound.cancelled_caught:
            raise AgentError(
                f"{verb} of container {container!r}: not done within {self._limits.mutate_seconds:.0f} s",
                status="timeout",
            )

    def _follow(self, cell: _Cell, container: str, process: str, found: EngineProcess) -> None:
        streams = ProcessIo(found, self._leftovers, self._limits)
        cell.processes[process] = streams
        self._background.start_soon(self._until_end, container, process, streams)

    async def _until_end(self, container: str, process: str, streams: ProcessIo) -> None:
        status = await streams.engine.wait()
        # the entry still exists: neither process nor container is forgotten before the end
        self.model.exited(container, process, status)
        streams.finish(status)
        self._background.start_soon(streams.keep_stdout)
        self._background.start_soon(streams.keep_stderr)
        await streams.close_input()
