"""`python -m tests.support.drawing ...`: a template whose guests say what they draw at random, and end.

What a fork has in common with its siblings is what its template had imported: module level generators, Trio's own among them.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import trio

from actors.guest.template import main

# as a module of a library might have one
own = random.Random(20)


def prepare(protocol: object) -> None:
    """Nothing to build."""


def serve(*args: Any, **options: Any) -> int:
    """Print a draw of each generator that was there before the fork."""
    trios: random.Random = trio._core._run._r
    print("drawn:", own.random(), random.random(), trios.random(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(serving="tests.support.drawing"))
