"""Detects that a process could not be made because of the container's own pids limit.

For engines with cgroups; the simulated one uses the same messages. Exhaustion of the whole guest
is in `exhaustion`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import ResourceExhausted
from actors.node.exhaustion import raise_if_exhausted

if TYPE_CHECKING:
    from pathlib import Path

    from actors.node.cgroups import CgroupLayout

__all__ = ["PidsLimit", "refuse_if_full"]


def refuse_if_full(container: str, running: int, limit: int | None) -> None:
    """Raises: ResourceExhausted if one more process would exceed the limit; None is unlimited."""
    if limit is not None and running >= limit:
        raise ResourceExhausted(
            f"container {container!r}: its limit of {limit} processes (pids) is reached; end one, or raise it by update",
            field="pids.limit",
            limit=limit,
        )


class PidsLimit:
    """The pids controller of one cgroup; where this machine lacks it, no limit is assumed."""

    def __init__(self, layout: CgroupLayout, container: str, group: str) -> None:
        hierarchy = layout.controller("pids")
        self._container = container
        self._directory = None if hierarchy is None else hierarchy.directory(group)
        self._hits = self._count_hits()

    def check(self) -> None:
        """Raises: ResourceExhausted if full: the kernel would let a runtime move a process in from outside, over the limit."""
        refuse_if_full(self._container, _number(self._text("pids.current")) or 0, self._limit())

    def blame(self) -> None:
        """After a failed runtime call, whose threads count too. Raises: ResourceExhausted if the limit was hit since creation."""
        limit = self._limit()
        if limit is not None and self._count_hits() > self._hits:
            raise ResourceExhausted(
                f"container {self._container!r}: its limit of {limit} processes (pids) left no room for the runtime, "
                "which needs a few more for a moment; end one, or raise it by update",
                field="pids.limit",
                limit=limit,
            )

    def _limit(self) -> int | None:
        return _number(self._text("pids.max"))

    def _count_hits(self) -> int:
        words = self._text("pids.events").split()
        return int(words[words.index("max") + 1]) if "max" in words[:-1] else 0

    def _text(self, name: str) -> str:
        directory: Path | None = self._directory
        try:
            return "" if directory is None else (directory / name).read_text()
        except OSError as error:
            raise_if_exhausted(error)
            return ""  # the group does not exist (any more)


def _number(text: str) -> int | None:
    word = text.strip()
    return int(word) if word.isdigit() else None
