"""A range of seeds over all cores: progress, the seeds that do not hold, how to replay one.

For `seeds`. Each worker is a process of its own (`seeds_worker`), given one seed at a time; one that dies or hangs is
the answer for its seed and is replaced. Not for one seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from actors.cli.exits import Exit, exit_code
from actors.cli.replay import replay_command
from actors.cli.report_files import CommandFiles
from actors.cli.say import report_error
from actors.cli.seeds_files import ranges_junit, ranges_page
from actors.cli.seeds_report import JsonRange, PlainRange, RangeReport, Summary
from actors.cli.seeds_worker import SeedResult, Task
from actors.cli.signals import handle_interrupts
from actors.cli.streams import can_draw
from actors.scenario.stage.events import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from actors.cli.options.run import RunOptions
    from actors.scenario.reading.scenario import Loaded

__all__ = ["run_ranges"]

# real time that one seed may take: some thousand times what it usually does
_SEED_SECONDS = 120.0
# one line of a worker: a reason with every task that waits
_LINE_BYTES = 1024 * 1024


def run_ranges(options: RunOptions, loaded: Sequence[Loaded], config: dict[str, Any] | None) -> int:
    """Run every file on every seed of the range; the exit code."""
    session = _Session(options, config, _console_report(options))
    files = CommandFiles()
    try:
        files.add(options.junit, lambda: ranges_junit(session.summaries))
        files.add(options.html, lambda: ranges_page(session.summaries))
    except OSError as error:
        report_error(error)
        return Exit.USAGE

    def close() -> None:
        session.report.close()
        files.write()

    try:
        code = trio.run(session.run, loaded, close)
    except OSError as error:
        report_error(error)
        code = Exit.INFRASTRUCTURE
    finally:
        close()
    return files.settle(code)


def _console_report(options: RunOptions) -> RangeReport:
    if options.json:
        return JsonRange(sys.stdout)
    if can_draw(sys.stdout):
        from rich.console import Console

        from actors.cli.seeds_live import LiveRange

        return LiveRange(Console())
    return PlainRange(sys.stdout)


class _Session:
    """The files of one command, in order, each on all seeds."""

    def __init__(self, options: RunOptions, config: dict[str, Any] | None, report: RangeReport) -> None:
        self._options = options
        self._config = config
        self.report = report
        self.summaries: list[Summary] = []
        self._interrupted = False
        self._digests: dict[str, None] = {}
        self._work = trio.CancelScope()

    async def run(self, loaded: Sequence[Loaded], close: Callable[[], None]) -> Exit:
        outcomes: list[Outcome] = []
        async with trio.open_nursery() as nursery:
            await nursery.start(handle_interrupts, self._interrupt, close)
            nursery.start_soon(self.report.run)
            with self._work:
                for each in loaded:
                    outcome = await self._run_one(each)
                    outcomes.append(outcome)
                    if outcome.is_failure and not self._options.keep_going:
                        break
            nursery.cancel_scope.cancel()
        return Exit.INTERRUPTED if self._interrupted else exit_code(outcomes)

    async def _run_one(self, loaded: Loaded) -> Outcome:
        assert self._options.seeds is not None
        seeds = self._options.seeds
        summary = Summary(
            file=loaded.file, name=loaded.scenario.name, agent=self._options.agent, first=seeds.start, end=seeds.stop
        )
        began = trio.current_time()
        waiting = iter(seeds)
        self._digests.clear()
        self.summaries.append(summary)
        self.report.begin(summary)
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(min(self._options.jobs or _cores(), len(seeds))):
                    nursery.start_soon(self._work_through, loaded.file, waiting, summary)
        finally:
            summary.duration_s = round(trio.current_time() - began, 3)
            self.report.end(summary)
        return summary.outcome

    async def _work_through(self, file: str, waiting: Iterator[int], summary: Summary) -> None:
        """One worker after the other, until no seed is left."""
        seed = next(waiting, None)
        while seed is not None:
            async with _Worker(file, self._options, self._config) as worker:
                while seed is not None:
                    result = await worker.play(seed)
                    fresh = result.digest is not None and result.digest not in self._digests
                    if result.digest is not None:
                        self._digests[result.digest] = None
                    summary.add(result, replay_command(self._options, file, result.seed), fresh=fresh)
                    self.report.seed(summary, result)
                    seed = next(waiting, None)
                    if worker.ended:
                        break

    def _interrupt(self) -> None:
        self._interrupted = True
        self._work.cancel()


class _Worker:
    """A worker process, for as long as this is entered."""

    def __init__(self, file: str, options: RunOptions, config: dict[str, Any] | None) -> None:
        task = Task(file, options.agent, config, dict(options.given), options.keep_going)
        self._argv = [sys.executable, "-P", "-m", "actors.cli.seeds_worker", msgspec.json.encode(task).decode()]
        self._process: trio.Process | None = None
        self._rest = b""
        self.ended = False

    async def __aenter__(self) -> _Worker:
        """Raises: OSError."""
        self._process = await trio.lowlevel.open_process(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            # a terminal's ^C is ours to answer: a worker that gets it while Python starts would complain
            process_group=0,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        with trio.CancelScope(shield=True):
            self._process.kill()
            await self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    await trio.aclose_forcefully(stream)

    async def play(self, seed: int) -> SeedResult:
        """What became of it; a worker that died or hung is an error of that seed."""
        assert self._process is not None
        assert self._process.stdin is not None
        why = f"did not end within {_SEED_SECONDS:g} s of real time"
        with trio.move_on_after(_SEED_SECONDS):
            with suppress(trio.BrokenResourceError):
                await self._process.stdin.send_all(b"%d\n" % seed)
                line = await self._read_line()
                if line is not None:
                    return msgspec.json.decode(line, type=SeedResult)
            code = await self._process.wait()
            why = f"its worker process ended with code {code}; what it said is above"
        self.ended = True
        return SeedResult(seed, str(Outcome.ERROR), why, None, 0, 0.0)

    async def _read_line(self) -> bytes | None:
        assert self._process is not None
        assert self._process.stdout is not None
        while b"\n" not in self._rest and len(self._rest) < _LINE_BYTES:
            data = await self._process.stdout.receive_some()
            if not data:
                return None
            self._rest += bytes(data)
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _cores() -> int:
    return len(os.sched_getaffinity(0))
