"""`katrio record OUT.yaml PROGRAM.py`: runs a Python scenario and writes what it asked as a scenario file.

The file is written whatever became of the program, and checked before it is: what comes out can be run. Not for turning
asks into YAML: `actors.scenario.run.transcript`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING

import trio

from actors.api import open_embedded
from actors.cli.exits import Exit, exit_code, unwritten
from actors.cli.failures import COMMAND_ERRORS, fail
from actors.cli.files import report_problems
from actors.cli.programs import load_program
from actors.cli.say import complain, report_error, report_unwritten, say
from actors.cli.signals import handle_interrupts
from actors.nurseries import open_collapsing_nursery
from actors.reporting.files import check_writable, write_whole
from actors.scenario.reading.load import load_text
from actors.scenario.reading.problems import ScenarioError
from actors.scenario.report.lines import PlainReport
from actors.scenario.run.runner import run_scenario
from actors.scenario.run.transcript import transcript
from actors.scenario.stage.recording import Asked, RecordedOutputs, recorded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from actors.handles import SystemHandle
    from actors.scenario.language.needs import Fault, Need, Probe
    from actors.scenario.reading.scenario import Loaded
    from actors.scenario.stage.python import PythonWorld
    from actors.scenario.stage.world import World

__all__ = ["record"]


@dataclass(frozen=True)
class _RecordedWorld:
    """See `actors.scenario.stage.world.World`: another one, with a system that writes down."""

    world: World
    system: SystemHandle

    @property
    def name(self) -> str:
        return self.world.name

    @property
    def agent(self) -> str:
        return self.world.agent

    @property
    def engine(self) -> str | None:
        return self.world.engine

    async def identify(self) -> None:
        await self.world.identify()

    @property
    def missing(self) -> Mapping[Need, str]:
        return self.world.missing

    async def probe(self, kind: Probe, sandbox: str, container: str) -> str:
        return await self.world.probe(kind, sandbox, container)

    async def fault(self, kind: Fault, sandbox: str) -> None:
        await self.world.fault(kind, sandbox)


def record(out: Path, program: Path, *, engine: str, force: bool) -> int:
    """Run, write, check; the exit code is that of the run. `force`: a file that is there is written over."""
    if out.suffix == ".py":
        complain(f"{out}: found a Python file, expected OUT.yaml first, PROGRAM.py second")
        return Exit.USAGE
    if out.exists() and not force:
        complain(f"{out}: it is there already; --force writes over it")
        return Exit.USAGE
    try:
        check_writable(out)
        loaded = load_program(program)
    except OSError as error:
        report_error(error)
        return Exit.USAGE
    except ScenarioError as error:
        report_problems(list(error.problems))
        return Exit.USAGE
    session = _Session(loaded, engine)
    try:
        code = trio.run(session.run)
    except COMMAND_ERRORS as error:
        return fail(error)
    return _write(out, session, loaded, program, code)


def _write(out: Path, session: _Session, loaded: Loaded, program: Path, code: int) -> int:
    """Write what was asked; the exit code, which was `code` and tells if it could not be written."""
    why = loaded.scenario.why or f"recorded from {program.name}"
    text = transcript(session.asks, name=loaded.scenario.name, why=why, outputs=session.outputs)
    try:
        load_text(text.encode(), str(out))
        write_whole(out, text)
    except ScenarioError as error:
        # nothing that can't be run is written
        report_problems(list(error.problems))
        return code or Exit.FAILED
    except OSError as error:
        report_unwritten(out, error)
        return unwritten(code)
    say(f"wrote {out}: {len(session.asks)} asks; it expects what happened, which need not be what should")
    return code


class _Session:
    """One run of the program; ^C ends it, and the world after it in order."""

    def __init__(self, loaded: Loaded, engine: str) -> None:
        self.asks: list[Asked] = []
        self.outputs = RecordedOutputs()
        self._loaded = loaded
        self._engine = engine
        self._report = PlainReport(sys.stdout)
        self._recording = True
        self._scenario = trio.CancelScope()

    async def run(self) -> Exit:
        """The exit code. Raises: KatrioError, TransportError, OSError, when the world does not open."""
        result = None
        async with open_collapsing_nursery() as nursery:
            await nursery.start(handle_interrupts, self._interrupt, self._report.close)
            async with open_embedded(agent="kata", engine=self._engine, run_dir=None) as world:
                system = recorded(world.system, trio.current_time, self._note, self.outputs)
                watched = replace(self._loaded, program=self._until_it_ends())
                with self._scenario:
                    result = await run_scenario(watched, _RecordedWorld(world, system), listener=self._report.event)
            nursery.cancel_scope.cancel()
        if result is not None:
            self._report.result(result)
        return Exit.INTERRUPTED if result is None else exit_code([result.outcome])

    def _interrupt(self) -> None:
        self._report.notice("stopping in order; ^C again stops at once")
        self._scenario.cancel()

    def _note(self, asked: Asked) -> None:
        if self._recording:
            self.asks.append(asked)

    def _until_it_ends(self) -> Callable[[PythonWorld], Awaitable[None]]:
        program = self._loaded.program
        assert program is not None

        @wraps(program)
        async def until_it_ends(world: PythonWorld) -> None:
            try:
                await program(world)
            finally:
                # the taking down is the runner's, here and there
                self._recording = False

        return until_it_ends
