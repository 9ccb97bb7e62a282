"""The pure model of a guest: one sandbox, its containers, their processes, and which verbs are allowed.

The executor asks it before it calls an engine, and reports the result afterwards; a simulated guest
uses the same model. No I/O, no clock, no Trio.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from actors.errors import AlreadyExists, InvalidTransition, NotFound, ResourceExhausted
from actors.ids import check_id
from actors.lifecycle.container import CONTAINER, ContainerEvent, ContainerState
from actors.lifecycle.process import PROCESS, ProcessEvent, ProcessState
from actors.limits import DEFAULT_LIMITS, Limits
from actors.wire.spec import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Generator


__all__ = ["ContainerEntry", "GuestModel", "ProcessEntry"]


class ProcessEntry(Struct):
    """One process; its exit status is kept until its container is removed, or its slot is reused."""

    id: str
    state: ProcessState = ProcessState.CREATING
    exit: ExitStatus | None = None
    # its exit status was delivered to a caller
    told: bool = False


class ContainerEntry(Struct):
    """One container; its init is the process of the same id."""

    id: str
    state: ContainerState = ContainerState.CREATING
    processes: dict[str, ProcessEntry] = {}

    @property
    def init(self) -> ProcessEntry:
        return self.processes[self.id]


class GuestModel:
    """See the module. Every method either makes the stated change, or raises and changes nothing."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self.sandbox: str | None = None
        self._destroying = 0
        self.containers: dict[str, ContainerEntry] = {}

    def check_id(self, value: str, what: str) -> None:
        """Reject ids that could alias a path or another id. Raises: InvalidArgument."""
        check_id(value, what, max(self._limits.id_length, self._limits.foreign_id_length))

    # sandbox

    def create_sandbox(self, sandbox: str) -> None:
        """An empty id is allowed. Raises: AlreadyExists, InvalidArgument, InvalidTransition."""
        if sandbox:
            self.check_id(sandbox, "sandbox id")
        self._check_not_destroying(f"create of sandbox {sandbox!r}")
        if self.sandbox is not None:
            raise AlreadyExists(f"create of sandbox {sandbox!r}: this guest has {self.sandbox!r} already")
        self.sandbox = sandbox

    @contextmanager
    def destroying(self) -> Generator[None]:
        """Within the block nothing can be created, so that an emptied sandbox stays empty."""
        self._destroying += 1
        try:
            yield
        finally:
            self._destroying -= 1

    def _check_not_destroying(self, what: str) -> None:
        if self._destroying:
            raise InvalidTransition(
                f"{what}: the guest's sandbox is being destroyed; wait for its end", state="stopping", verb="create"
            )

    def destroy_sandbox(self) -> None:
        """Forget the sandbox; its containers must have been removed already. Idempotent."""
        if self.containers:
            raise InvalidTransition(
                "destroy of the sandbox: it has containers; remove them first", state="running", verb="destroy"
            )
        self.sandbox = None

    # lookup

    def container(self, container: str) -> ContainerEntry:
        """Raises: NotFound."""
        entry = self.containers.get(container)
        if entry is None:
            raise NotFound(f"container {container[:80]!r}: no such container in this guest", container=container[:80])
        return entry

    def process(self, container: str, process: str) -> ProcessEntry:
        """One process; an empty id is the container's init. Raises: NotFound."""
        entry = self.container(container)
        found = entry.processes.get(process or container)
        if found is None:
            raise NotFound(
                f"process {process[:80]!r} of container {container!r}: no such process", process=process[:80]
            )
        return found

    def check(self, verb: str, container: str) -> ContainerEntry:
        """Whether the container's state allows the verb. Raises: NotFound, InvalidTransition."""
        entry = self.container(container)
        CONTAINER.check(verb, entry.state, container)
        return entry

    # create

    def begin_create(self, container: str) -> ContainerEntry:
        """Reserve the id. Raises: AlreadyExists, InvalidArgument, InvalidTransition, ResourceExhausted."""
        self.check_id(container, "container id")
        self._check_not_destroying(f"create of container {container!r}")
        if container in self.containers:
            raise AlreadyExists(f"create of container {container!r}: it exists; remove it first", container=container)
        if len(self.containers) >= self._limits.containers:
            raise ResourceExhausted(
                f"create of container {container!r}: {self._limits.containers} containers exist; remove one first",
                limit=self._limits.containers,
            )
        entry = ContainerEntry(container)
        entry.processes[container] = ProcessEntry(container)
        self.containers[container] = entry
        return entry

    def created(self, container: str) -> None:
        """The init exists and waits for its start."""
        entry = self.container(container)
        entry.state = CONTAINER.move(entry.state, ContainerEvent.CREATED)
        entry.init.state = PROCESS.move(entry.init.state, ProcessEvent.CREATED)

    def create_failed(self, container: str) -> None:
        """Forget the container; the id is free again."""
        del self.containers[container]

    # start

    def begin_start(self, container: str) -> None:
        """Raises: NotFound, InvalidTransition."""
        entry = self.check("start", container)
        entry.state = CONTAINER.move(entry.state, ContainerEvent.START)

    def started(self, container: str) -> None:
        """The init runs, unless it has already ended or the container is stopping."""
        entry = self.container(container)
        if CONTAINER.can(entry.state, ContainerEvent.STARTED):
            entry.state = CONTAINER.move(entry.state, ContainerEvent.STARTED)
        if PROCESS.can(entry.init.state, ProcessEvent.STARTED):
            entry.init.state = PROCESS.move(entry.init.state, ProcessEvent.STARTED)

    def start_failed(self, container: str) -> None:
        """The init still waits for its start, unless it has ended."""
        entry = self.container(container)
        if CONTAINER.can(entry.state, ContainerEvent.START_FAILED):
            entry.state = CONTAINER.move(entry.state, ContainerEvent.START_FAILED)

    # exec

    def begin_exec(self, container: str, process: str, unread: Collection[str] = ()) -> str | None:
        """Reserve the process id; returns the id of an ended process that is forgotten to make room, or None.

        The id of an ended process is free once its exit status was delivered: it is forgotten then, as Kata's agents do
        at once. To make room, the host forgets the same process: of those that have ended and are not `unread`, the one
        started first.

        Raises: NotFound, InvalidTransition, AlreadyExists, InvalidArgument, ResourceExhausted.
        """
        self.check_id(process, "exec id")
        entry = self.check("exec", container)
        known, forgotten = entry.processes.get(process), None
        if known is not None:
            if process == container or not known.told:
                raise AlreadyExists(
                    f"exec {process!r} in container {container!r}: the id is another's, whose end nobody has waited for",
                    process=process,
                )
            forgotten = process
            del entry.processes[process]
        elif len(entry.processes) >= self._limits.processes:
            forgotten = self._oldest_ended(entry, unread)
            del entry.processes[forgotten]
        entry.processes[process] = ProcessEntry(process)
        return forgotten

    def _oldest_ended(self, entry: ContainerEntry, unread: Collection[str]) -> str:
        ended = [
            process.id
            for process in entry.processes.values()
            if process.state is ProcessState.EXITED and process.id != entry.id
        ]
        for process in ended:
            if process not in unread:
                return process
        if ended:
            # a host that never reads must not prevent new processes
            return ended[0]
        raise ResourceExhausted(
            f"exec in container {entry.id!r}: {self._limits.processes} processes run in it; end one first",
            limit=self._limits.processes,
        )

    def exec_started(self, container: str, process: str) -> None:
        """It runs, or has already ended."""
        entry = self.process(container, process)
        entry.state = PROCESS.move(entry.state, ProcessEvent.STARTED)

    def exec_failed(self, container: str, process: str) -> None:
        """Forget the process; its id is free again."""
        entry = self.containers.get(container)
        if entry is not None:
            entry.processes.pop(process, None)

    # end

    def told(self, container: str, process: str) -> None:
        """A process's exit status was delivered."""
        entry = self.containers.get(container)
        found = entry.processes.get(process or container) if entry is not None else None
        if found is not None and found.exit is not None:
            found.told = True

    def exited(self, container: str, process: str, status: ExitStatus) -> None:
        """A process has ended; called once for each. The init's end is the container's."""
        entry = self.container(container)
        found = entry.processes[process]
        found.state = PROCESS.move(found.state, ProcessEvent.EXITED)
        found.exit = status
        if process == container:
            entry.state = CONTAINER.move(entry.state, ContainerEvent.EXITED)

    def paused(self, container: str) -> None:
        """Every process is frozen.

        Raises:
            InvalidTransition: its init has ended meanwhile.
        """
        self._moved("pause", container, ContainerEvent.PAUSED)

    def resumed(self, container: str) -> None:
        """It runs again. Raises: InvalidTransition if its init has ended meanwhile."""
        self._moved("resume", container, ContainerEvent.RESUMED)

    def _moved(self, verb: str, container: str, event: ContainerEvent) -> None:
        entry = self.check(verb, container)
        entry.state = CONTAINER.move(entry.state, event)

    def begin_remove(self, container: str) -> None:
        """Nothing but its removal is allowed from now on. Raises: NotFound; InvalidTransition while it is being created."""
        entry = self.check("stop", container)
        if CONTAINER.can(entry.state, ContainerEvent.STOP):
            entry.state = CONTAINER.move(entry.state, ContainerEvent.STOP)

    def removed(self, container: str) -> None:
        """Forget it with its processes and their exit statuses."""
        del self.containers[container]
