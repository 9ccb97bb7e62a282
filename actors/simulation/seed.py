"""One seed, and the named random streams derived from it.

Each part of a simulation has its own stream, so that an extra draw in one part does not affect
another. Every draw goes into the trace. The product itself uses `actors.seams.Rng`.
"""

from __future__ import annotations

import random
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Draws", "generator"]


def generator(seed: int, name: str) -> random.Random:
    """A stream's generator: the same for a seed and name on every machine."""
    return random.Random(blake2b(f"{seed}/{name}".encode(), digest_size=32).digest())


class Draws:
    """One named stream; an `actors.seams.Rng`. `note` is called with the name and every value drawn."""

    def __init__(self, seed: int, name: str, note: Callable[[str, float], None]) -> None:
        self._name = name
        self._random = generator(seed, name)
        self._note = note

    def random(self) -> float:
        """A float in [0, 1)."""
        value = self._random.random()
        self._note(self._name, value)
        return value

    def uniform(self, low: float, high: float, /) -> float:
        """A float between the bounds."""
        return low + (high - low) * self.random()

    def getrandbits(self, bits: int, /) -> int:
        """An integer of that many random bits; at most 64."""
        value = self._random.getrandbits(bits)
        self._note(self._name, value)
        return value
