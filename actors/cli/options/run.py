"""`katrio run`: its arguments, what they become, and which of the three kinds of run they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from actors.cli.commands import CommandLine, UsageError, work
from actors.cli.exits import EXIT_CODES
from actors.cli.options.arguments import (
    add_address,
    add_agent,
    add_engine,
    add_filter,
    add_jobs,
    add_json,
    add_repeat,
    add_report_files,
    add_run_dir,
    add_slow,
    file_path,
    number,
)
from actors.cli.options.checks import check_dialect, filter_words, is_agent
from actors.words import AUTO, WORLDS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["RUN", "RunOptions"]

# of one command: the digests of all are kept
MAX_SEEDS = 1_000_000
_RANGE = re.compile(r"([0-9]{1,20}):([0-9]{1,20})")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Of `katrio run`. `run_dir` None: the default of this user on this host."""

    files: tuple[Path, ...]
    world: str
    agent: str
    engine: str
    seed: int | None
    json: bool
    run_dir: Path | None
    keep_going: bool
    address: str | None = None
    # the agent's
    agent_config: Path | None = None
    dialect: str | None = None
    # for the files' vars
    given: tuple[tuple[str, str], ...] = ()
    # of --filter
    words: tuple[str, ...] = ()
    dry_run: bool = False
    jobs: int = 1
    repeat: int = 1
    # how many times as long as usual a guest may take
    slow: float = 1.0
    journal: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    diff: tuple[Path, Path] | None = None
    # of the simulated world; `jobs` 0 is then one for each core
    seeds: range | None = None
    trace: Path | None = None

    @classmethod
    def parsed(cls, words: argparse.Namespace) -> RunOptions:
        """Validate what argparse found. Raises: UsageError."""
        seeds = _seeds(words)
        if words.engine != AUTO and words.world != "embedded":
            raise UsageError(f"--engine is for --world embedded; the {words.world} world brings its own")
        if words.engine != AUTO and words.agent == "noop":
            raise UsageError("--engine has no effect with --agent noop, which runs nothing")
        check_dialect(words)
        if words.world == "attached" and words.address is None and not words.diff:
            raise UsageError("--world attached needs --address URL: where another katrio, or an agent, listens")
        if words.address is not None and words.world != "attached" and not words.diff:
            raise UsageError(f"--address is for --world attached; the {words.world} world starts its own agents")
        if words.address is not None and (words.jobs or 1) > 1 and is_agent(words.address):
            raise UsageError("--jobs is for worlds with many sandboxes; an agent at an --address has one at a time")
        if bool(words.files) == bool(words.diff):
            raise UsageError("--diff compares two journals and runs nothing" if words.diff else "which files to run?")
        return cls(
            files=tuple(Path(file) for file in words.files),
            world=words.world,
            agent=words.agent,
            engine=words.engine,
            seed=words.seed,
            json=words.json,
            run_dir=words.run_dir,
            keep_going=words.keep_going,
            address=words.address,
            agent_config=words.agent_config,
            dialect=words.dialect,
            given=tuple(_given(word) for word in words.var),
            words=filter_words(words.filter),
            dry_run=words.dry_run,
            jobs=0 if seeds and words.jobs is None else words.jobs or 1,
            repeat=words.repeat,
            slow=words.slow,
            journal=words.journal,
            junit=words.junit,
            html=words.html,
            diff=(Path(words.diff[0]), Path(words.diff[1])) if words.diff else None,
            seeds=seeds,
            trace=words.trace,
        )


def _seeds(words: argparse.Namespace) -> range | None:
    """The range, and that what belongs to the simulated world goes together. Raises: UsageError."""
    if words.world != "simulated":
        for option in ("seed", "seeds", "trace"):
            if getattr(words, option) is not None:
                raise UsageError(f"--{option} is for --world simulated; the {words.world} world has none")
        return None
    if words.slow != 1:
        raise UsageError("--slow is for time that passes; the simulated world's is virtual, and its guests never wait")
    if words.repeat != 1:
        raise UsageError("--repeat in the simulated world would do the same again; --seeds A:B does others")
    if words.seeds is not None and "-" in words.files:
        raise UsageError("--seeds reads a file many times, and standard input can be read once")
    if words.seeds is None:
        if words.jobs is not None:
            raise UsageError("--jobs in the simulated world is for --seeds A:B; one seed needs one process")
        return None
    for option in ("seed", "trace", "journal"):
        if getattr(words, option) is not None:
            raise UsageError(f"--{option} is for one run and --seeds for many; write one of them")
    found = _RANGE.fullmatch(words.seeds)
    first, end = (int(found[1]), int(found[2])) if found else (0, 0)
    if first >= end:
        raise UsageError(f"--seeds {words.seeds:.50}: expected A:B with A less than B, as in 0:200")
    if end - first > MAX_SEEDS:
        raise UsageError(f"--seeds {words.seeds}: {MAX_SEEDS:,} are the most in one command")
    return range(first, end)


def _given(word: str) -> tuple[str, str]:
    name, equals, text = word.partition("=")
    if not equals or not name:
        raise UsageError(f"--var {word}: expected NAME=TEXT")
    return name, text


def _add_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "files", nargs="*", metavar="FILE", help="scenario files (.yaml, .py), directories of them, - for stdin"
    )
    run.add_argument("--world", choices=WORLDS, default="embedded", help="where to run (default: %(default)s)")
    add_agent(run)
    run.add_argument(
        "--agent-config", type=file_path, metavar="FILE", help="the agent's configuration: .toml, .yaml or .json"
    )
    add_engine(run, "of the embedded world")
    run.add_argument(
        "--seed",
        type=number(int, what="a whole number"),
        metavar="N",
        help="of the simulated world; drawn and printed when left out",
    )
    run.add_argument("--seeds", metavar="A:B", help="every seed from A up to and not including B, on all cores")
    run.add_argument(
        "--trace", type=file_path, metavar="FILE", help="write what happened in the simulated world, a line each"
    )
    add_json(run, "one JSON object a file")
    add_run_dir(run)
    run.add_argument(
        "--keep-going", action="store_true", help="go on with the next step, and the next file, after one did not hold"
    )
    add_address(run, "of the attached world: where another program takes requests, or where an agent listens")
    run.add_argument("--var", action="append", default=[], metavar="NAME=TEXT", help="a value for the file's vars")
    add_filter(run, "only files with one of these words (one,other) in name, file, group or labels")
    run.add_argument("--dry-run", action="store_true", help="print what would run, step by step, and start nothing")
    add_jobs(run, "run so many files at once, each in a world of its own")
    add_repeat(run, "run every file so many times")
    add_slow(run, "give the guest, and all that files allow a time for, N times as long")
    run.add_argument(
        "--journal", type=file_path, metavar="FILE", help="write everything that happened, a JSON object a line"
    )
    add_report_files(run, page="lanes over time")
    run.add_argument("--diff", nargs=2, metavar="JOURNAL", help="compare two journals step by step, and run nothing")


def _prepare(words: argparse.Namespace) -> Callable[[], int]:
    options = RunOptions.parsed(words)
    if options.diff is not None:
        return partial(work("diff:diff"), *options.diff, json=options.json)
    if options.world == "simulated":
        return partial(work("seeds:run_simulated"), options)
    return partial(work("run:run"), options)


RUN = CommandLine(
    _prepare,
    _add_arguments,
    description="Run scenario files, one after the other or several at once; the first that does not hold stops the rest.",
    epilog=EXIT_CODES,
)
