"""Detects that a runtime failed because its process in the container's cgroup was OOM-killed.

For the OCI engine, like `pids`. A container's tmpfs files count against its memory limit, so it may be full though
none of its processes is big. OOM kills of its own processes are in `oom`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import ResourceExhausted
from actors.node.exhaustion import raise_if_exhausted

if TYPE_CHECKING:
    from actors.node.cgroups import CgroupLayout

__all__ = ["MemoryLimit"]


class MemoryLimit:
    """OOM kills in one cgroup since creation; where this machine lacks the counter, no limit is assumed."""

    def __init__(self, layout: CgroupLayout, container: str, group: str) -> None:
        hierarchy = layout.controller("memory")
        self._container = container
        name = "memory.oom_control" if hierarchy is not None and hierarchy.version == 1 else "memory.events"
        self._file = None if hierarchy is None else hierarchy.directory(group) / name
        self._kills = self._count()

    def blame(self) -> None:
        """Call after a runtime failed. Raises: ResourceExhausted if an OOM kill has happened since creation."""
        if self._count() > self._kills:
            raise ResourceExhausted(
                f"container {self._container!r}: its limit of memory is reached (what its files in memory take counts), and "
                "left no room for the runtime; free some, or raise it by update",
                field="memory.limit",
            )

    def _count(self) -> int:
        try:
            lines = [] if self._file is None else self._file.read_text().splitlines()
        except OSError as error:
            raise_if_exhausted(error)
            return 0  # the group does not exist (any more)
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
