"""`scripts/fuzz`: as many spoiled frames as asked against all targets, or some, or one case again.

Prints what is going on to standard error, and the result to standard output: a table, or one JSON object. Ends with 1 when
something did not hold, 2 for a usage that makes no sense.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.fuzz.engine import Failure, Report, attempt, minimised, run, told
from tests.fuzz.target import case_of
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.fuzz.layout import Frames
    from tests.fuzz.target import Target

# seconds between two lines of progress where nobody watches; a terminal's one line is drawn more often
LOG_SECONDS, LINE_SECONDS = 15.0, 0.2


def parser(known: Mapping[str, Target]) -> argparse.ArgumentParser:
    """The command line over these targets."""
    made = argparse.ArgumentParser(
        prog="scripts/fuzz", description="Spoiled frames against every codec and both ends of every protocol."
    )
    made.add_argument(
        "--frames", type=int, default=1_000_000, metavar="N", help="over all targets together (default: 1000000)"
    )
    made.add_argument("--seed", type=int, metavar="S", help="the same seed is the same run (default: a new one)")
    made.add_argument("--target", action="append", choices=sorted(known), metavar="NAME", help="may be repeated")
    made.add_argument("--json", action="store_true", help="the result as one JSON object")
    made.add_argument("--list", action="store_true", help="the targets, and what each attacks")
    one = made.add_mutually_exclusive_group()
    one.add_argument("--case", type=int, metavar="N", help="that case of that seed again, made smaller if it fails")
    one.add_argument(
        "--replay", metavar="HEX", help="these bytes as they are; a dot between two pieces, a dash for an empty one"
    )
    return made


def main(arguments: Sequence[str] | None = None, known: Mapping[str, Target] = TARGETS) -> int:
    """See the module."""
    command = parser(known)
    chosen = command.parse_args(arguments)
    # a server tells of each link that it closes, which here are all of them
    logging.disable(logging.WARNING)
    targets = [known[name] for name in chosen.target or known]
    if chosen.list:
        for target in targets:
            print(f"{target.name:28} {target.attacks}")
        return 0
    if chosen.frames < 1:
        command.error(f"--frames {chosen.frames}: at least 1")
    seed: int | None = chosen.seed
    number: int | None = chosen.case
    if number is None and chosen.replay is None:
        seed = int(time.time()) if seed is None else seed
        return _show(_run(targets, seed, chosen.frames), seed, as_json=chosen.json)
    if len(targets) != 1:
        command.error("--case and --replay need one --target")
    if number is None:
        return _again(targets[0], 0, -1, _pieces(command, chosen.replay), smaller=False)
    if seed is None:
        command.error("--case needs the --seed that it was found with")
    return _again(targets[0], seed, number, case_of(targets[0], seed, number).pieces, smaller=True)


def _pieces(command: argparse.ArgumentParser, text: str) -> Frames:
    try:
        return tuple(bytes.fromhex("" if piece == "-" else piece) for piece in text.split("."))
    except ValueError as error:
        command.error(f"--replay: {error}; expected hexadecimal digits with dots between pieces")


def _again(target: Target, seed: int, number: int, pieces: Frames, *, smaller: bool) -> int:
    error = attempt(target, pieces, measured=True)
    if error is None:
        print(f"{target.name}: it holds")
        return 0
    whole = sum(map(len, pieces))
    if smaller:
        pieces = minimised(target, pieces, error)
    _tell(Failure(target.name, seed, number, pieces, whole, told(attempt(target, pieces, measured=True) or error)))
    return 1


def _run(targets: Sequence[Target], seed: int, frames: int) -> list[Report]:
    print(f"seed {seed}: {frames} frames over {len(targets)} targets", file=sys.stderr, flush=True)
    shares = sum(target.share for target in targets)
    reports: list[Report] = []
    progress = _Progress(frames)
    for target in targets:
        part = max(1, -(-frames * target.share // shares))
        reports.append(run(target, seed=seed, frames=part, progress=progress))
        progress.ended(reports[-1])
    return reports


class _Progress:
    """How far a run is: one line that is drawn anew on a terminal, and a line now and then elsewhere."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._before = 0
        self._terminal = sys.stderr.isatty()
        self._next = time.perf_counter() + LINE_SECONDS

    def __call__(self, report: Report) -> None:
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + (LINE_SECONDS if self._terminal else LOG_SECONDS)
        done = self._before + report.frames
        line = (
            f"{100 * done // max(1, self._frames):3} %  {done} frames  {report.target}  {len(report.failures)} failures"
        )
        print(
            f"\r\x1b[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def ended(self, report: Report) -> None:
        """The next target's turn."""
        self._before += report.frames
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _show(reports: list[Report], seed: int, *, as_json: bool) -> int:
    frames, seconds = sum(one.frames for one in reports), sum(one.seconds for one in reports)
    failures = [failure for one in reports for failure in one.failures]
    if as_json:
        told_of = [
            {
                **asdict(one),
                "failures": [
                    {"case": it.number, "error": it.error, "again": it.again, "smallest": it.smallest}
                    for it in one.failures
                ],
            }
            for one in reports
        ]
        print(json.dumps({"seed": seed, "frames": frames, "seconds": round(seconds, 3), "targets": told_of}))
        return 1 if failures else 0
    for one in reports:
        rate = one.frames / one.seconds if one.seconds else 0.0
        result = f"{len(one.failures)} FAILED" if one.failures else "held"
        print(f"{one.target:28} {one.frames:8} frames {one.cases:7} cases {one.seconds:7.1f} s {rate:8.0f}/s  {result}")
    for failure in failures:
        _tell(failure)
    print(
        f"seed {seed}: {frames} frames in {seconds:.1f} s, {frames / max(seconds, 1e-9):.0f}/s; {len(failures)} failures"
    )
    return 1 if failures else 0


def _tell(failure: Failure) -> None:
    left = sum(map(len, failure.pieces))
    print(f"\n{failure.target}: {failure.error.rstrip()}")
    print(f"  {failure.whole} bytes, made {left}. Again, whole and made smaller:")
    if failure.number >= 0:
        print(f"    {failure.again}")
    print(f"    {failure.smallest}")


if __name__ == "__main__":
    sys.exit(main())
