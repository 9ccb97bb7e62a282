"""What a running scenario has at hand: handles by name, processes and their output, saved values.

For steps and topology. Every ask goes through `ask`, so that it is timed and recorded. Not for deciding
anything: `steps` act, `runner` judges.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import TYPE_CHECKING, TypeVar

from actors.errors import KatrioError
from actors.scenario.events import AskRecord, Failure, Journal, Printed, StateSeen, Tail
from actors.scenario.expect import Mismatch, fill
from actors.scenario.names import Names
from actors.scenario.outputs import ProcessView

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import trio

    from actors.handles import ContainerHandle, ProcessHandle, SandboxHandle
    from actors.scenario.load import Loaded
    from actors.scenario.world import World

__all__ = ["Attempt", "Stage"]

T = TypeVar("T")

TAIL_LINES = 10


class Stage:
    """One run's things. `pumps` is the nursery whose tasks read what processes print."""

    def __init__(self, loaded: Loaded, world: World, journal: Journal, pumps: trio.Nursery) -> None:
        self.scenario = loaded.scenario
        self.lines = loaded.lines
        self.world = world
        self.journal = journal
        self.names = Names.of(loaded.scenario)
        self.values: dict[str, str] = dict(loaded.scenario.vars)
        # sandboxes that were asked for and not yet deleted, in that order
        self.standing: dict[str, SandboxHandle] = {}
        self._processes: dict[str, ProcessView] = {}
        self._used: Counter[str] = Counter()
        self._pumps = pumps

    def sandbox(self, name: str) -> SandboxHandle:
        """The handle of a sandbox of the file; asks nothing."""
        return self.world.system.sandbox(name)

    def container(self, name: str) -> ContainerHandle:
        """The handle of a container, by any of its names; asks nothing."""
        sandbox, container = self.names.containers[name].split("/")
        return self.sandbox(sandbox).container(container)

    def address(self, name: str) -> str:
        """What `name` is about: a container's `sandbox/container`, also for a process in it, or the sandbox."""
        if name in self._processes:
            return self._processes[name].container
        return self.names.container(name) or name

    def process(self, name: str) -> ProcessHandle:
        """The handle of a container's init, or of the process that an exec named."""
        if name in self._processes:
            return self._processes[name].handle
        return self.container(name).init

    def view(self, name: str) -> ProcessView:
        """What a process has printed; nothing yet for one that was not started."""
        full = self.names.container(name) or name
        if full not in self._processes:
            return ProcessView(full, full, self.process(name))
        return self._processes[full]

    def fresh_process(self, name: str | None) -> str:
        """An exec id that no earlier exec of this run had: the name, then `name-2`, `name-3`."""
        stem = name or "exec"
        self._used[stem] += 1
        return stem if self._used[stem] == 1 and name else f"{stem}-{self._used[stem]}"

    def watch(self, name: str, container: str, handle: ProcessHandle) -> None:
        """Read what a started process prints, from now to its end, under this name."""
        view = ProcessView(name, container, handle)
        self._processes[name] = view
        self._pumps.start_soon(view.pump, self._printed)

    def seen(self, name: str, state: str) -> None:
        """Tell reports of a state."""
        self.journal.tell(StateSeen(at=self.journal.now(), name=name, state=state))

    def text(self, template: str) -> str:
        """A text with its values in. Raises: UnknownValue."""
        return fill(template, self.values)

    def failure(self, mismatch: Mismatch, name: str, *, code: str = "") -> Failure:
        """A mismatch, with the last output and asks of what the step was about."""
        address = self.address(name) if name else ""
        views = [view for view in self._processes.values() if view.container == address]
        tails = [
            Tail(process=view.label, stream=stream, text=text)
            for view in views[-3:]
            for stream, output in (("stdout", view.stdout), ("stderr", view.stderr))
            if (text := output.last_lines(TAIL_LINES))
        ]
        asks = self.journal.recent(address)
        return Failure(expected=mismatch.expected, seen=mismatch.seen, code=code, tails=tuple(tails), asks=asks)

    def _printed(self, view: ProcessView, stream: str, data: bytes) -> None:
        event = Printed(at=self.journal.now(), container=view.container, process=view.label, stream=stream, data=data)
        self.journal.tell(event)


class Attempt:
    """One performance of one step: the stage, the step's path, its asks, and what it last saw."""

    def __init__(self, stage: Stage, path: str, limit: float) -> None:
        self.stage = stage
        self.path = path
        # the step's own limit always comes first; the ask's budget is there for the far side
        self.budget = None if limit == inf else limit + 1.0
        self.asks: list[AskRecord] = []
        # what `eventually` and its kin saw last: the reason, when the time runs out
        self.last: Mismatch | None = None

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
            record = AskRecord(verb=verb, to=to, at=began, seconds=journal.now() - began, code=code)
            self.asks.append(record)
            journal.asked(record)
