"""Runs targets: as many frames as asked, each case bounded in time, some measured, and a failure made as small as it gets.

Deterministic: a seed, a target and a number are one case. Time is processor time, so that a busy machine accuses nobody.
Not for what is printed: `__main__` prints.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
import tracemalloc
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from tests.fuzz.target import Wrong, case_of, expect

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from tests.fuzz.layout import Frames
    from tests.fuzz.target import Target

__all__ = ["Failure", "Hung", "Report", "attempt", "measure", "minimised", "run", "told"]

# seconds of the processor's time for one case, which takes a few milliseconds
CASE_SECONDS = 10.0
# one case in so many is run again and measured: that takes several times as long
MEASURE_EVERY = 97
# a target that fails so often has been found out
MOST_FAILURES = 3
# cases that making a failure smaller may try, and seconds
MOST_TRIES, MOST_SECONDS = 3000, 30.0
# bytes that are left out together in the end: headers of our protocols and small frames have such sizes
_WINDOWS = (*range(16, 1, -1), 1)


T = TypeVar("T")


class Hung(BaseException):
    """A case took too long. No Exception, so that nothing under test swallows it."""


@dataclass(slots=True)
class Failure:
    """One case that did not hold.

    Attributes:
        pieces: made smaller; `whole` is how many bytes it had before.
        error: the traceback.
    """

    target: str
    seed: int
    number: int
    pieces: Frames
    whole: int
    error: str

    @property
    def again(self) -> str:
        """The command that shows it again."""
        return f"scripts/fuzz --target {self.target} --seed {self.seed} --case {self.number}"

    @property
    def smallest(self) -> str:
        """The command for what is left of it."""
        return f"scripts/fuzz --target {self.target} --replay {'.'.join(piece.hex() or '-' for piece in self.pieces)}"


@dataclass(slots=True)
class Report:
    """What came of one target."""

    target: str
    frames: int = 0
    cases: int = 0
    bytes: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list["Failure"])


def run(
    target: Target, *, seed: int, frames: int, first: int = 0, progress: Callable[[Report], None] | None = None
) -> Report:
    """At least so many frames, case by case from number `first`."""
    report = Report(target.name)
    began = time.perf_counter()
    number = first
    while report.frames < frames and len(report.failures) < MOST_FAILURES:
        case = case_of(target, seed, number)
        error = attempt(target, case.pieces, measured=number % MEASURE_EVERY == 0)
        if error is not None:
            pieces = minimised(target, case.pieces, error)
            found = attempt(target, pieces) or error
            report.failures.append(Failure(target.name, seed, number, pieces, sum(map(len, case.pieces)), told(found)))
        number += 1
        report.cases += 1
        # a case of no frames is one too, or a target whose sessions are empty would run for ever
        report.frames += max(1, case.frames)
        report.bytes += sum(map(len, case.pieces))
        report.seconds = time.perf_counter() - began
        if progress is not None:
            progress(report)
    return report


def attempt(
    target: Target, pieces: Frames, *, measured: bool = False, seconds: float = CASE_SECONDS
) -> BaseException | None:
    """Why it does not hold, if it does not."""
    try:
        with _bounded(seconds):
            target.check(pieces)
        if measured:
            measure(target, pieces)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return error
    return None


def measure(target: Target, pieces: Frames, *, memory: int | None = None) -> None:
    """Hold a case that holds against its target's bounds of work and memory; `memory`: against this many bytes.

    Raises:
        Wrong: it takes more.
    """
    size = sum(map(len, pieces)) + len(pieces)
    once, each = target.calls
    calls = _calls_of(target, pieces)
    expect(calls <= once + each * size, f"{calls} calls for {size} bytes; {once} and {each} for each are allowed")
    grown = _growth_of(target, pieces)
    if memory is None:
        once, each = target.memory
        memory = once + each * size
    expect(grown <= memory, f"{grown} bytes were allocated for {size}; {memory} are allowed")


def _calls_of(target: Target, pieces: Frames) -> int:
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        target.check(pieces)
    finally:
        sys.setprofile(before)
    return calls


def _growth_of(target: Target, pieces: Frames) -> int:
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        target.check(pieces)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()


@contextmanager
def _bounded(seconds: float) -> Generator[None]:
    def too_long(_signum: int, frame: FrameType | None) -> None:
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "nowhere"
        raise Hung(f"{seconds} s of work for one case, at {where}")

    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# making a failure smaller


def minimised(target: Target, pieces: Frames, error: BaseException) -> Frames:
    """The fewest pieces and bytes that were found to fail in the same way."""
    wanted = _kind(error)
    measured = isinstance(error, Wrong)
    left = MOST_TRIES
    until = time.perf_counter() + MOST_SECONDS

    def fails(candidate: Frames) -> bool:
        nonlocal left
        left -= 1
        if left < 0 or time.perf_counter() > until:
            return False
        found = attempt(target, candidate, measured=measured)
        return found is not None and _kind(found) == wanted

    if isinstance(error, Hung):
        # each try takes as long as it may
        return pieces
    if target.stream and len(pieces) > 1 and fails((b"".join(pieces),)):
        pieces = (b"".join(pieces),)
    kept = _fewer(list(pieces), lambda some: fails(tuple(some)))
    for at in range(len(kept)):
        before, after = kept[:at], kept[at + 1 :]
        kept[at] = _shorter(kept[at], partial(_fails_between, fails, before, after))
    return tuple(kept)


def _fails_between(fails: Callable[[Frames], bool], before: list[bytes], after: list[bytes], piece: bytes) -> bool:
    return fails((*before, piece, *after))


def _shorter(piece: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Bytes left out, then made zero, which lets lengths shrink, and left out again, a whole frame's header at once."""
    piece = bytes(_fewer(list(piece), lambda kept: fails(bytes(kept))))
    for at, byte in enumerate(piece):
        plainer = piece[:at] + b"\0" + piece[at + 1 :]
        if byte and fails(plainer):
            piece = plainer
    for size in _WINDOWS:
        at = 0
        while at + size <= len(piece):
            without = piece[:at] + piece[at + size :]
            if fails(without):
                piece = without
            else:
                at += 1
    return piece


def _fewer(items: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """As many left out as can be: halves, quarters, and in the end one by one."""
    size = max(1, len(items) // 2)
    while items:
        at = 0
        while at < len(items):
            without = items[:at] + items[at + size :]
            if fails(without):
                items = without
            else:
                at += size
        if size == 1:
            break
        size //= 2
    return items


def _kind(error: BaseException) -> tuple[str, str, int]:
    """What makes two failures the same one: the type, and where it was raised."""
    error = _innermost(error)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    # what is told by `expect` is raised there; who called it is what counts
    if isinstance(error, Wrong):
        last = traceback.extract_tb(error.__traceback__)[-2:-1] or last
    return (type(error).__name__, last[0].filename, last[0].lineno or 0) if last else (type(error).__name__, "", 0)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def told(error: BaseException) -> str:
    """Its traceback, and that of the one in a group that counts."""
    return "".join(traceback.format_exception(_innermost(error)))
