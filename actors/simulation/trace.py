"""The trace: everything that happens in a simulation, hashed into one digest.

Two runs have the same digest exactly when the same tasks took the same steps in the same order at the same virtual
times, with the same draws, the same envelopes and the same bytes on every agent connection. It can also be logged
line by line, to find where two runs diverge. Fast, as numbers are collected and hashed by the thousand.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Trace"]

_FOLD_STEPS = 8192
_FOLD_BYTES = 64 * 1024


class Trace:
    """`log`, if given, gets a line per entry; it makes a run several times slower."""

    def __init__(self, log: Callable[[str], None] | None = None) -> None:
        self._log = log
        self._numbers: list[int] = []
        self._folded_steps = 0
        self._steps_hash = blake2b(digest_size=16)
        self._bytes: list[bytes] = []
        self._size = 0
        self._bytes_hash = blake2b(digest_size=16)

    @property
    def steps(self) -> int:
        """Task steps so far."""
        return self._folded_steps + len(self._numbers)

    def step(self, task: int) -> None:
        """A step of one task."""
        self._numbers.append(task)
        if self._log is not None:
            self._log(f"pass {task}")
        if len(self._numbers) >= _FOLD_STEPS:
            self._fold_steps()

    def batch(self, tasks: list[int]) -> None:
        """The tasks of one scheduler pass, in running order."""
        self._numbers += tasks
        if self._log is not None:
            self._log(f"pass {' '.join(map(str, tasks))}")
        if len(self._numbers) >= _FOLD_STEPS:
            self._fold_steps()

    def task(self, number: int, name: str) -> None:
        """A new task."""
        self._add(f"task {number} {name}")

    def time(self, now: float) -> None:
        """Virtual time has advanced to `now`."""
        self._add(f"time {now!r}")

    def draw(self, stream: str, value: float) -> None:
        """A random draw."""
        self._add(f"draw {stream} {value!r}")

    def data(self, what: str, data: bytes) -> None:
        """An envelope, or bytes on a connection."""
        self._add(f"{what} {len(data)}", data)

    def digest(self) -> str:
        """The digest so far, 32 hexadecimal digits."""
        self._fold_steps()
        self._fold_bytes()
        both = self._steps_hash.digest() + self._bytes_hash.digest()
        return blake2b(both, digest_size=16).hexdigest()

    def _add(self, head: str, data: bytes = b"") -> None:
        # includes the step in which it happened
        line = f"{self.steps} {head}\n"
        self._bytes += (line.encode(), data)
        self._size += len(line) + len(data)
        if self._log is not None:
            self._log(f"{head} {data.hex()}".rstrip())
        if self._size >= _FOLD_BYTES:
            self._fold_bytes()

    def _fold_steps(self) -> None:
        self._folded_steps += len(self._numbers)
        self._steps_hash.update(array("Q", self._numbers).tobytes())
        self._numbers.clear()

    def _fold_bytes(self) -> None:
        self._bytes_hash.update(b"".join(self._bytes))
        self._bytes.clear()
        self._size = 0
