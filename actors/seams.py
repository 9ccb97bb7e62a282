"""The seams: every way in which katrio touches the world outside Trio, behind one frozen value.

For wall clock, randomness, ids, child processes, threads and files; code above asks a `Seams` for them
and nothing else, so that the simulation can replace all of them (lint forbids the modules themselves).
Not for byte streams and message channels: those are `transports`. Not for waiting: `trio` has the one
clock that schedules.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import trio

if TYPE_CHECKING:
    import signal
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "ChildProcess",
    "Clock",
    "Files",
    "Ids",
    "Processes",
    "Rng",
    "Seams",
    "Threads",
    "imported_generators",
    "real_seams",
]

T = TypeVar("T")


class Clock(Protocol):
    """Wall-clock time, for records that people read; never for waiting."""

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        ...


class Rng(Protocol):
    """Randomness that a seed can bring back."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...

    def uniform(self, low: float, high: float, /) -> float:
        """A float between the two."""
        ...

    def getrandbits(self, bits: int, /) -> int:
        """An integer of that many random bits."""
        ...


class Ids(Protocol):
    """Names that nobody else has."""

    def fresh(self, prefix: str) -> str:
        """`prefix-` and a suffix of lower-case letters and digits, unique on this host."""
        ...

    def epoch(self) -> int:
        """A number greater than that of any earlier start of this program on this host."""
        ...


class ChildProcess(Protocol):
    """One spawned program."""

    @property
    def pid(self) -> int:
        """Its process id, as the spawner sees it."""
        ...

    async def wait(self) -> int:
        """Its exit code, or minus the signal that killed it; any number of tasks may wait."""
        ...

    def poll(self) -> int | None:
        """What `wait` would return, or None while it runs."""
        ...

    def send_signal(self, signum: signal.Signals) -> None:
        """Deliver a signal; nothing happens when it has ended."""
        ...

    def close_lifeline(self) -> None:
        """Close our end of the child's standard input; idempotent."""
        ...


class Processes(Protocol):
    """Spawning of programs of our own (the guest's launcher)."""

    async def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], log: Path | int, stdin: int | None = None
    ) -> ChildProcess:
        """Start `argv` in a session of its own, its standard input a pipe that we hold (the lifeline) unless `stdin` is given,
        its output appended to `log`.

        Raises:
            OSError: the program can't be started.
        """
        ...

    def own_interpreter(self) -> str:
        """The Python interpreter to start programs of ours with."""
        ...


class Threads(Protocol):
    """Blocking calls that must not hold up the loop."""

    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        """Run `function` in a worker thread. Once begun it is cancelled by its own `checkpoint` alone."""
        ...

    def checkpoint(self) -> None:
        """For such a function, wherever it can stop: raises `trio.Cancelled` when its caller was cancelled."""
        ...


class Files(Protocol):
    """The file system, for small files and directories of ours; calls are short and synchronous."""

    def read(self, path: Path) -> bytes:
        """The whole file. Raises: FileNotFoundError, OSError."""
        ...

    def write(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Replace the file's content."""
        ...

    def make_dir(self, path: Path, *, mode: int = 0o700) -> None:
        """Make one directory and its missing parents; existing ones are left as they are."""
        ...

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and all below it; a missing one is no error. Does not follow links."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether anything is there."""
        ...

    def listing(self, path: Path) -> list[str]:
        """Sorted names in a directory; empty when it is missing."""
        ...


class Seams(NamedTuple):
    """One value with every seam; passed down, never global."""

    clock: Clock
    rng: Rng
    ids: Ids
    processes: Processes
    threads: Threads
    files: Files


class _RealClock:
    def wall(self) -> float:
        return time.time()


class _RealIds:
    _ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"

    def fresh(self, prefix: str) -> str:
        number = int.from_bytes(os.urandom(5))
        suffix = ""
        for _ in range(8):
            number, digit = divmod(number, 36)
            suffix += self._ALPHABET[digit]
        return f"{prefix}-{suffix}"

    def epoch(self) -> int:
        return time.time_ns()


class _RealChild:
    def __init__(self, process: trio.Process, lifeline: int | None) -> None:
        self._process = process
        self._lifeline = lifeline

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        return await self._process.wait()

    def poll(self) -> int | None:
        return self._process.poll()

    def send_signal(self, signum: signal.Signals) -> None:
        self._process.send_signal(signum)

    def close_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


class _RealProcesses:
    async def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], log: Path | int, stdin: int | None = None
    ) -> ChildProcess:
        with ExitStack() as opened:
            output: IO[bytes] | int = log if isinstance(log, int) else opened.enter_context(log.open("ab"))
            lifeline = None
            if stdin is None:
                stdin, lifeline = os.pipe2(os.O_CLOEXEC)
                opened.callback(os.close, stdin)
            try:
                process = await trio.lowlevel.open_process(
                    list(argv),
                    stdin=stdin,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(env),
                    start_new_session=True,
                )
            except BaseException:
                if lifeline is not None:
                    os.close(lifeline)
                raise
        return _RealChild(process, lifeline)

    def own_interpreter(self) -> str:
        return sys.executable


class _RealThreads:
    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        return trio.to_thread.run_sync(function)

    def checkpoint(self) -> None:
        trio.from_thread.check_cancelled()


class _RealFiles:
    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def write(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    def make_dir(self, path: Path, *, mode: int = 0o700) -> None:
        path.mkdir(mode=mode, parents=True, exist_ok=True)

    def remove_tree(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)

    def exists(self, path: Path) -> bool:
        return os.path.lexists(path)

    def listing(self, path: Path) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []


def real_seams() -> Seams:
    """The seams of a real host; a new value each time, nothing shared."""
    return Seams(
        clock=_RealClock(),
        rng=random.Random(),
        ids=_RealIds(),
        processes=_RealProcesses(),
        threads=_RealThreads(),
        files=_RealFiles(),
    )


def imported_generators() -> list[random.Random]:
    """Every pseudo-random generator that the modules imported so far have made: a fork must seed them anew."""
    return [found for found in gc.get_objects() if isinstance(found, random.Random)]
