"""`katrio record OUT.yaml PROGRAM.py`: runs a Python scenario and writes what it asked as a scenario file.

The file is written whatever became of the program, and checked before it is: what comes out can be run. Not for turning
asks into YAML: `actors.scenario.transcript`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING

import trio

from actors.api import open_embedded
from actors.cli.exits import Exit, exit_code
from actors.cli.files import tell_problems
from actors.cli.programs import load_program
from actors.errors import InvalidArgument, KatrioError
from actors.scenario.load import load_text
from actors.scenario.problems import ScenarioError
from actors.scenario.recording import Asked, recorded
from actors.scenario.report.plain import PlainReport
from actors.scenario.runner import run_scenario
from actors.scenario.transcript import transcript
from transports.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from actors.handles import SystemHandle
    from actors.scenario.load import Loaded
    from actors.scenario.python import PythonWorld
    from actors.scenario.runner import Result
    from actors.scenario.world import World

__all__ = ["record"]


@dataclass(frozen=True)
class _RecordedWorld:
    """See `actors.scenario.world.World`: another one, with a system that writes down."""

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

    @property
    def provides(self) -> frozenset[str]:
        return self.world.provides

    @property
    def missing(self) -> Mapping[str, str]:
        return self.world.missing

    async def probe(self, kind: str, sandbox: str, container: str) -> str:
        return await self.world.probe(kind, sandbox, container)

    async def fault(self, kind: str, sandbox: str) -> None:
        await self.world.fault(kind, sandbox)


def record(out: Path, program: Path, *, engine: str, force: bool) -> int:
    """Run, write, check; the exit code is that of the run. `force`: a file that is there is written over."""
    if out.suffix == ".py":
        print(f"katrio: {out}: found a Python file, expected OUT.yaml first, PROGRAM.py second", file=sys.stderr)
        return Exit.USAGE
    if out.exists() and not force:
        print(f"katrio: {out}: it is there already; --force writes over it", file=sys.stderr)
        return Exit.USAGE
    try:
        loaded = load_program(program)
    except ScenarioError as error:
        tell_problems(list(error.problems))
        return Exit.USAGE
    asks: list[Asked] = []
    try:
        result = trio.run(_run, loaded, engine, asks)
    except InvalidArgument as error:
        print(f"katrio: {error}", file=sys.stderr)
        return Exit.USAGE
    except (KatrioError, TransportError, OSError) as error:
        print(f"katrio: {error}", file=sys.stderr)
        return Exit.INFRASTRUCTURE
    text = transcript(asks, name=loaded.scenario.name, why=loaded.scenario.why or f"recorded from {program.name}")
    try:
        load_text(text.encode(), str(out))
        out.write_text(text, "utf-8")
    except ScenarioError as error:
        # nothing that can't be run is written
        tell_problems(list(error.problems))
        return Exit.FAILED
    except OSError as error:
        print(f"katrio: {error}", file=sys.stderr)
        return Exit.USAGE
    print(f"wrote {out}: {len(asks)} asks; it expects what happened, which need not be what should")
    return exit_code([result.outcome])


async def _run(loaded: Loaded, engine: str, asks: list[Asked]) -> Result:
    assert loaded.program is not None
    program = loaded.program
    recording = True

    def note(asked: Asked) -> None:
        if recording:
            asks.append(asked)

    @wraps(program)
    async def until_it_ends(world: PythonWorld) -> None:
        nonlocal recording
        try:
            await program(world)
        finally:
            # the taking down is the runner's, here and there
            recording = False

    report = PlainReport(sys.stdout)
    async with open_embedded(agent="kata", engine=engine, run_dir=None) as world:
        system = recorded(world.system, trio.current_time, note)
        watched = replace(loaded, program=until_it_ends)
        result = await run_scenario(watched, _RecordedWorld(world, system), listener=report.event)
    report.result(result)
    return result
