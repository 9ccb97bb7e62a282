"""What a running scenario has at hand: handles by name, processes and their output, saved values.

For steps and topology. Every ask goes through `Attempt.ask`, so that it is timed and recorded. Not for deciding
anything: steps act, the runner judges.
"""

from __future__ import annotations

import contextlib
from collections import ChainMap, Counter
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio
from trio_util import RepeatedEvent

from actors.errors import KatrioError
from actors.scenario.language.declared import Declared, Names
from actors.scenario.language.values import UnknownProcess, fill
from actors.scenario.stage.events import (
    AskRecord,
    Failure,
    Journal,
    Noticed,
    ObservedValues,
    Printed,
    StateObserved,
    Tail,
)
from actors.scenario.stage.outputs import ProcessView
from actors.scenario.stage.refusals import Refusal, Refusals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from actors.handles import ContainerHandle, ProcessHandle, SandboxHandle
    from actors.scenario.language.conditions import Mismatch
    from actors.scenario.stage.world import World
    from actors.wire.events import ActorEvent

__all__ = ["LOOK_EVERY", "Attempt", "Scope", "Script", "Stage"]

T = TypeVar("T")

# seconds between two looks: often enough for a person's eye, seldom enough for a guest
LOOK_EVERY = 0.025
# until what actors report of their end has come: it is under way when a delete is answered
REPORT_SECONDS = 1.0
# the actor ends every stream soon after the exit, whoever still holds the pipe: this is for an actor that has gone
OUTPUT_END_SECONDS = 10.0
TAIL_LINES = 10
TAIL_PROCESSES = 3


@dataclass(frozen=True, slots=True)
class Scope:
    """The values and processes that a part of the file has named; an inner one sees what is outside it.

    `unsaved`: the values that skipped steps were to save, and why there are none.
    """

    values: ChainMap[str, str] = field(default_factory=ChainMap[str, str])
    processes: ChainMap[str, ProcessView] = field(default_factory=ChainMap[str, ProcessView])
    unsaved: ChainMap[str, str] = field(default_factory=ChainMap[str, str])

    def inner(self, **values: str) -> Scope:
        """A scope for one round, with some values of its own."""
        return Scope(self.values.new_child(dict(values)), self.processes.new_child(), self.unsaved.new_child())


class Script(Protocol):
    """What a stage needs to know of a scenario; `actors.scenario.reading.scenario.Loaded` says what each is."""

    @property
    def file(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def scenario(self) -> Declared: ...
    @property
    def lines(self) -> Mapping[str, int]: ...
    @property
    def files(self) -> Mapping[str, str]: ...
    @property
    def targets(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def slow(self) -> float: ...


class Stage:
    """One run's things. `pumps` is the nursery whose tasks read what processes print."""

    def __init__(self, loaded: Script, world: World, journal: Journal, pumps: trio.Nursery) -> None:
        self.scenario = loaded.scenario
        self.file = loaded.file
        self.source = loaded.source
        self.lines = loaded.lines
        self.files = loaded.files
        self.targets = loaded.targets
        # times that are not the file's own have so many times as long as well
        self.slow = loaded.slow
        self.world = world
        self.journal = journal
        self.names = Names.of(loaded.scenario.sandboxes)
        self.scope = Scope(ChainMap(dict(loaded.scenario.vars)))
        # sandboxes that were asked for and not yet deleted, in that order
        self.standing: dict[str, SandboxHandle] = {}
        self.refusals = Refusals()
        # sandboxes that were deleted: the last event of each is that it has gone
        self.deleted: set[str] = set()
        # what each container's processes print, the latest last
        self._views: dict[str, list[ProcessView]] = {}
        self._used: Counter[str] = Counter()
        self._states: dict[str, str] = {}
        self._changed = RepeatedEvent()
        self._following = False
        self._pumps = pumps

    def sandbox(self, name: str) -> SandboxHandle:
        """The handle of a sandbox of the file; asks nothing."""
        return self.world.system.sandbox(name)

    def container(self, name: str) -> ContainerHandle:
        """The handle of a container, by any of its names; asks nothing. Raises: UnknownProcess, for any other name."""
        found = self.names.container(name)
        if found is None:
            raise UnknownProcess(f"the step that starts {name!r} did not hold, or has not run")
        sandbox, container = found.split("/")
        return self.sandbox(sandbox).container(container)

    def fresh_process(self, name: str | None) -> str:
        """An exec id that no earlier exec of this run had: the name, then `name-2`, `name-3`."""
        stem = name or "exec"
        self._used[stem] += 1
        # ids on the wire have two characters at least
        return stem if self._used[stem] == 1 and name and len(name) > 1 else f"{stem}-{self._used[stem]}"

    def pump(self, view: ProcessView) -> None:
        """Read what a started process prints, from now to its end."""
        views = self._views.setdefault(view.container, [])
        views.append(view)
        # a failure shows the latest; what thousands of short-lived ones printed need not stay
        del views[:-TAIL_PROCESSES]
        self._pumps.start_soon(view.pump, self._printed)

    async def follow(self) -> None:
        """Record the events that actors report, for as long as they can be received."""
        try:
            with contextlib.suppress(KatrioError):
                async with self.world.system.open_events() as events:
                    self._following = True
                    async for seen in events:
                        self._happened(seen.event)
        finally:
            self._following = False
            self._changed.set()

    async def reports_complete(self) -> None:
        """Wait until the end of what was deleted has been reported, for `REPORT_SECONDS` at most."""
        with trio.move_on_after(REPORT_SECONDS):
            while self._following and any(self._states.get(name, "gone") != "gone" for name in self.deleted):
                await self._changed.wait()

    def _happened(self, event: ActorEvent) -> None:
        mine = event.source.partition("/")[0]
        if mine not in self.names.sandboxes and mine not in self.standing:
            return  # of somebody else's sandbox, in a system that is shared
        state = "gone" if event.kind == "deleted" else event.state
        at = self.journal.now()
        if state:
            if self._states.get(event.source) == state:
                return  # recorded already: the initial state, and a change to it
            self._states[event.source] = state
            self._changed.set()
            self.journal.record(StateObserved(at=at, name=event.source, state=state))
        else:
            code = event.exit.code if event.exit is not None else None
            noticed = Noticed(at=at, name=event.source, kind=event.kind, process=event.process, code=code)
            self.journal.record(noticed)
        ended = f" of {event.process or 'its init'}: code {event.exit.code}" if event.exit is not None else ""
        self.journal.happened(event.source, f"{event.kind} {event.state}".rstrip() + ended)

    def failure(self, mismatch: Mismatch, address: str, *, code: str = "") -> Failure:
        """A mismatch, with the last output and asks of what the step was about."""
        tails = [
            Tail(process=view.label, stream=stream, text=text)
            for view in self._views.get(address, ())
            for stream, output in (("stdout", view.stdout), ("stderr", view.stderr))
            if (text := output.last_lines(TAIL_LINES))
        ]
        events = self.journal.recent(address)
        return Failure(
            expected=mismatch.expected, seen=mismatch.seen, code=code, tails=tuple(tails), about=address, events=events
        )

    def _printed(self, view: ProcessView, stream: str, data: bytes) -> None:
        event = Printed(at=self.journal.now(), container=view.container, process=view.label, stream=stream, data=data)
        self.journal.record(event)


class Attempt:
    """One performance of one step: the stage, the step's path and scope, its asks, and what it last saw."""

    def __init__(self, stage: Stage, path: str, limit: float, scope: Scope) -> None:
        self.stage = stage
        self.path = path
        self.scope = scope
        # the step's own limit always comes first; the ask's timeout is there for the far side
        self.budget = None if limit == inf else limit + 1.0
        self.began = stage.journal.now()
        self.asks: list[AskRecord] = []
        # what `eventually` and its kin saw last: the reason, when the time runs out
        self.last: Mismatch | None = None
        # codes that the step expects of its asks: no errors for thresholds
        self.expected: tuple[str, ...] = ()
        # what came of it, for the journal
        self.seen = ObservedValues()

    def text(self, template: str) -> str:
        """A text with its values in. Raises: UnknownValue."""
        return fill(template, self.scope.values)

    def address(self, name: str) -> str:
        """What `name` is about: a container's `sandbox/container`, also for a process in it, or the sandbox."""
        name = self.text(name)
        if name in self.scope.processes:
            return self.scope.processes[name].container
        return self.stage.names.container(name) or name

    def is_sandbox(self, name: str) -> bool:
        """Whether it is a sandbox that is meant."""
        return self.text(name) in self.stage.names.sandboxes

    def sandbox(self, name: str) -> SandboxHandle:
        """The handle of a sandbox; asks nothing."""
        return self.stage.sandbox(self.text(name))

    def container(self, name: str) -> ContainerHandle:
        """The handle of a container, or of the one that a process is in; asks nothing."""
        return self.stage.container(self.address(name))

    def process(self, name: str) -> ProcessHandle:
        """The handle of a container's init, or of the process that an exec named."""
        return self.view(name).handle

    def view(self, name: str) -> ProcessView:
        """What a process has printed; nothing yet for one that was not started."""
        name = self.text(name)
        full = self.stage.names.container(name) or name
        found = self.scope.processes.get(full)
        if found is None:
            found = ProcessView(full, full, self.stage.container(full).init)
            found.stdout.ended.set()
            found.stderr.ended.set()
        return found

    async def whole(self, name: str) -> ProcessView:
        """What a process has printed, once all of it has come: that may be a little behind the exit."""
        view = self.view(name)
        with trio.move_on_after(OUTPUT_END_SECONDS * self.stage.slow):
            await view.stdout.ended.wait()
            await view.stderr.ended.wait()
        return view

    def watch(self, name: str, container: str, handle: ProcessHandle) -> None:
        """Read what a started process prints, and let later steps of this scope know it by the name."""
        view = ProcessView(name, container, handle)
        # a container's own name means the same everywhere
        known = self.scope.processes.maps[-1 if name in self.stage.names.containers else 0]
        known[name] = view
        self.stage.pump(view)

    def refused(self, name: str, container: str, handle: ProcessHandle, why: str) -> None:
        """Let later steps of this scope know that a process of this name never started."""
        view = ProcessView(name, container, handle, refused=why)
        view.stdout.ended.set()
        view.stderr.ended.set()
        self.scope.processes[name] = view

    async def state_of(self, name: str) -> str:
        """The state that the actor of a sandbox or container is in. Raises: KatrioError."""
        address = self.address(name)
        handle = self.sandbox(name) if self.is_sandbox(name) else self.container(address)
        return (await self.ask("info", address, handle.info(timeout=self.budget))).state

    def absence(self, name: str) -> Refusal | None:
        """Why what a step is about never came to be; None when it did, or should have."""
        name = self.text(name)
        view = self.scope.processes.get(self.stage.names.container(name) or name)
        if view is not None and view.refused:
            return Refusal(view.refused)
        return self.stage.refusals.find(self.address(name))

    def where(self) -> str:
        """Where the step stands, for people."""
        file, line = self.stage.files.get(self.path, self.stage.file), self.stage.lines.get(self.path, 0)
        return f"line {line}" if file == self.stage.file else f"{file}:{line}"

    async def ask(self, verb: str, to: str, answer: Awaitable[T]) -> T:
        """Wait for an answer and record the ask. Raises: what the ask raises."""
        journal = self.stage.journal
        began = journal.now()
        code = "cancelled"
        try:
            result = await answer
            code = ""
            return result
        except KatrioError as error:
            code = error.code
            raise
        finally:
            expected = bool(code) and code in self.expected
            record = AskRecord(verb=verb, to=to, at=began, seconds=journal.now() - began, code=code, expected=expected)
            self.asks.append(record)
            journal.asked(record)
