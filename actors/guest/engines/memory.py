"""A container's own limit of memory, told as such when it is what killed the half of a runtime that had gone in.

For the OCI engine, as `pids` is. What a container keeps in its files in memory counts as well, so that one may be full though
none of its processes is big. Not for kills of its own processes: `oom`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import ResourceExhausted
from actors.node.exhaustion import raise_if_exhausted

if TYPE_CHECKING:
    from actors.node.cgroups import CgroupLayout

__all__ = ["MemoryLimit"]


class MemoryLimit:
    """The OOM kills in one group, from now on; what this machine does not have limits nothing."""

    def __init__(self, layout: CgroupLayout, container: str, group: str) -> None:
        hierarchy = layout.controller("memory")
        self._container = container
        name = "memory.oom_control" if hierarchy is not None and hierarchy.version == 1 else "memory.events"
        self._file = None if hierarchy is None else hierarchy.directory(group) / name
        self._kills = self._count()

    def blame(self) -> None:
        """After a runtime failed. Raises: ResourceExhausted when the kernel killed something since."""
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
            return 0  # no group, or none any more
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
