"""The other msgpack, with types: what a program in another language would write and read. Not for our own codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["extension", "pack", "timestamp", "unpack"]

# the package carries no types
_msgpack = cast("Any", msgpack)

pack = cast("Callable[[object], bytes]", _msgpack.packb)
unpack = cast("Callable[[bytes], object]", _msgpack.unpackb)
extension = cast("Callable[[int, bytes], object]", _msgpack.ExtType)
timestamp = cast("Callable[[int], object]", _msgpack.Timestamp)
