"""The product's seams, simulated: virtual wall clock, seeded randomness and ids, threads run inline, files in memory.

`run` passes them to what it simulates. Byte streams are in `links`, messages in `transports.memory`, containers in
`engine`.
"""

from __future__ import annotations

import errno
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import trio

from actors.seams import Seams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from actors.seams import ChildProcess, Rng

__all__ = ["MemoryFiles", "simulated_seams"]

T = TypeVar("T")

# 2020-01-01T00:00:00Z: the start of every simulation
_BEGAN = 1_577_836_800.0
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class _Clock:
    def wall(self) -> float:
        return _BEGAN + trio.current_time()


class _Ids:
    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._given = 0

    def fresh(self, prefix: str) -> str:
        # the counter makes ids unique, whatever was drawn
        self._given += 1
        number = self._given * 36**6 + self._rng.getrandbits(64) % 36**6
        suffix = ""
        for _ in range(8):
            number, digit = divmod(number, 36)
            suffix = _ALPHABET[digit] + suffix
        return f"{prefix}-{suffix}"

    def epoch(self) -> int:
        self._given += 1
        return int(_BEGAN * 1e9) + self._given


class _Processes:
    """The simulated world runs no programs of ours, as its guests are tasks: every program is reported as missing."""

    async def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], log: Path | int, stdin: int | None = None
    ) -> ChildProcess:
        await trio.lowlevel.checkpoint()
        raise FileNotFoundError(errno.ENOENT, f"{argv[0]}: the simulation has no programs outside containers")

    def own_interpreter(self) -> str:
        return "/simulated/python"


class _Threads:
    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        return self._inline(function)

    def checkpoint(self) -> None:
        """A no-op: nothing takes time in memory."""

    async def _inline(self, function: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        return function()


class MemoryFiles:
    """Files of one simulation; see `actors.seams.Files`. Modes are ignored."""

    def __init__(self) -> None:
        self._files: dict[PurePosixPath, bytes] = {}
        self._dirs: dict[PurePosixPath, None] = {PurePosixPath("/"): None}

    def read(self, path: Path) -> bytes:
        found = self._files.get(PurePosixPath(path))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such file in the simulation", str(path))
        return found

    def write(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        place = PurePosixPath(path)
        if place.parent not in self._dirs:
            raise FileNotFoundError(errno.ENOENT, "no such directory in the simulation", str(path))
        self._files[place] = bytes(data)

    def make_dir(self, path: Path, *, mode: int = 0o700) -> None:
        place = PurePosixPath(path)
        for each in (place, *place.parents):
            self._dirs[each] = None

    def remove_tree(self, path: Path) -> None:
        place = PurePosixPath(path)
        self._files = {each: data for each, data in self._files.items() if not each.is_relative_to(place)}
        self._dirs = {each: None for each in self._dirs if not each.is_relative_to(place)}

    def exists(self, path: Path) -> bool:
        place = PurePosixPath(path)
        return place in self._files or place in self._dirs

    def listing(self, path: Path) -> list[str]:
        place = PurePosixPath(path)
        return sorted(each.name for each in (*self._files, *self._dirs) if each.parent == place and each != place)


def simulated_seams(rng: Rng, ids: Rng) -> Seams:
    """The seams of one simulation; `rng` is for the product's randomness, `ids` for its ids."""
    return Seams(
        clock=_Clock(),
        rng=rng,
        ids=_Ids(ids),
        processes=_Processes(),
        threads=_Threads(),
        files=MemoryFiles(),
    )
