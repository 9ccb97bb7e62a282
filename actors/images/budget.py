"""What one image may still unpack: bytes, files, names, and the space left in the store.

Sizes of documents and headers are limited where they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import ResourceExhausted

if TYPE_CHECKING:
    from actors.limits import Limits

__all__ = ["ENTRY_BYTES", "LayerBudget"]

# disk usage of a file, directory or link beside its bytes: an inode, a name, the end of its last block
ENTRY_BYTES = 4096


class LayerBudget:
    """What one image may still unpack, over all its layers; `room` is the space left in the store."""

    def __init__(self, limits: Limits, room: int | None = None) -> None:
        self._limits = limits
        self._bytes = limits.image_bytes
        self._entries = limits.image_entries
        self._room = limits.image_store_bytes if room is None else room
        self._names = limits.image_name_bytes

    def name(self, size: int) -> None:
        """Charge a name or a link target of that many characters, which is held in memory. Raises: ResourceExhausted."""
        self._names -= size
        if self._names < 0:
            raise ResourceExhausted(
                f"image: its names and links have over {self._limits.image_name_bytes} characters",
                limit=self._limits.image_name_bytes,
                field="image",
            )

    def entry(self, size: int) -> None:
        """Charge one more file or directory, with that many bytes (extended headers included).

        Raises: ResourceExhausted.
        """
        self._entries -= 1
        self._bytes -= size
        self._room -= size + ENTRY_BYTES
        if self._entries < 0 or self._bytes < 0:
            raise ResourceExhausted(
                f"image: unpacked it has over {self._limits.image_bytes} bytes or {self._limits.image_entries} files",
                limit=self._limits.image_bytes,
                field="image",
            )
        if self._room < 0:
            raise ResourceExhausted(
                f"image: the store has no room for it: all images together have at most {self._limits.image_store_bytes} bytes; "
                "remove those that no container uses",
                limit=self._limits.image_store_bytes,
                field="image",
            )
