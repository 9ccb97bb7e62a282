"""How soon a sandbox is there, the first of a process and each one after it, and how soon the first output of a container.

The first starts the template that all guests are forked from, and waits until that has imported everything.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from actors.api import open_system
from actors.node.facts import choose_engine, read_facts
from actors.wire.spec import ContainerSpec, ProcessSpec
from benchmarks.containers import in_thread, open_bundle
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, Skipped, take_turns

if TYPE_CHECKING:
    from actors.handles import SystemHandle

ROUNDS = 12
ECHO = ("/bin/echo", "hello")
IMPORTS = (sys.executable, "-I", "-c", "import trio, msgspec")


def _engine() -> str:
    engine, _ = choose_engine(read_facts())
    if engine == "processes":
        raise Skipped("needs root and runc or crun")
    return engine


async def _start(system: SystemHandle) -> float:
    """Milliseconds until the agent has answered."""
    began = perf_counter()
    box = await system.create_sandbox("bench")
    await box.start()
    taken = (perf_counter() - began) * 1000
    await box.stop()
    await box.delete()
    return taken


async def _first_start() -> float:
    async with open_system(engine=_engine()) as system:
        return await _start(system)


async def _guest_start(effort: Effort) -> Measured:
    bare = in_thread(partial(subprocess.run, IMPORTS, check=True))
    mine, imports = await take_turns(effort.rounds(ROUNDS), _first_start, bare)
    return Measured(mine, [Comparison("python -c 'import trio, msgspec'", imports, Goal(most=1.3))])


async def _sandbox_start(effort: Effort) -> Measured:
    async with open_system(engine=_engine()) as system:
        await _start(system)
        mine, first = await take_turns(effort.rounds(ROUNDS), partial(_start, system), _first_start)
    return Measured(mine, [Comparison("the first one of a system", first, Goal(most=0.15))])


async def _output(system: SystemHandle) -> float:
    began = perf_counter()
    done = await system.run("bench", ContainerSpec(process=ProcessSpec(args=ECHO)))
    taken = (perf_counter() - began) * 1000
    assert done.stdout == b"hello\n"
    return taken


async def _first_output(effort: Effort) -> Measured:
    engine = _engine()
    async with open_system(engine=engine) as system, open_bundle(*ECHO) as bundle:
        await _output(system)

        def bare_run() -> None:
            ran = subprocess.run(
                [engine, "run", "--bundle", str(bundle), "bench-output"], check=True, capture_output=True
            )
            assert ran.stdout == b"hello\n"

        sides = partial(_output, system), in_thread(bare_run), partial(_start, system), _cold_output
        mine, bare, start, cold = await take_turns(effort.rounds(ROUNDS), *sides)
    # a bare run has no sandbox: the goal is a start, and a quarter more than a run
    allowed = [one + 1.25 * other for one, other in zip(start, bare, strict=True)]
    return Measured(
        mine,
        [
            Comparison(f"a sandbox's start, and 1.25 of a bare {engine} run", allowed, Goal(most=1.0)),
            Comparison(f"{engine} run", bare),
            Comparison("the first one of a system", cold),
        ],
    )


async def _cold_output() -> float:
    async with open_system(engine=_engine()) as system:
        return await _output(system)


FIGURES = (
    Figure("guest_start", "the first sandbox's start: its template and its guest up and answering", "ms", _guest_start),
    Figure("sandbox_start", "create_sandbox and start of each sandbox after the first", "ms", _sandbox_start),
    Figure(
        "first_output", "system.run of echo: sandbox, container, its output, and all of it gone", "ms", _first_output
    ),
)
