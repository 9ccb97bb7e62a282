"""Makes the C library keep freed buffers instead of returning them to the kernel each time.

For processes that stream output: buffers of half a MiB are allocated some thousand times a second, and
with glibc's default thresholds each is mapped, zeroed page by page, and unmapped. That was more than half of a guest's
CPU time (docs/performance.md). No effect on other C libraries.
"""

from __future__ import annotations

__all__ = ["keep_freed_buffers"]

# as large as the largest buffer, one ttRPC frame. glibc takes the size of the largest freed mapping for its new
# threshold, and returns memory when twice as much is free at the heap's end: this may cost up to 8 MiB
_LARGEST = 4 * 1024 * 1024


def keep_freed_buffers() -> None:
    """Raise glibc's dynamic thresholds by freeing a mapping of that size. Its pages are never touched."""
    bytes(_LARGEST)
