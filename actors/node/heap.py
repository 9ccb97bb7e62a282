"""Has the C library keep the memory of freed buffers instead of giving it back to the kernel each time.

For a process through which output streams: buffers of half a MiB are made and freed some thousand times a second, and
with glibc's own thresholds each is mapped, zeroed page by page, and unmapped. That was more than half of a guest's
processor time (docs/performance.md). Not a setting for anything else, and without effect on other C libraries.
"""

from __future__ import annotations

__all__ = ["keep_freed_buffers"]

# as large as the largest buffer, one frame of ttRPC. glibc takes the size of the largest freed mapping for its new
# threshold, and gives memory back when twice as much is free at the heap's end: 8 MiB is what this may cost
_LARGEST = 4 * 1024 * 1024


def keep_freed_buffers() -> None:
    """Raise glibc's thresholds by what raises them: a mapping of that size, freed. Its pages are never touched."""
    bytes(_LARGEST)
