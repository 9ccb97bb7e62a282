"""The other msgpack, with types: what a program in another language would write and read. Not for our own codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgpack

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["extension", "packb", "timestamp", "unpackb"]

# the package carries no types
_msgpack = cast("Any", msgpack)

packb = cast("Callable[[object], bytes]", _msgpack.packb)
unpackb = cast("Callable[[bytes], object]", _msgpack.unpackb)
extension = cast("Callable[[int, bytes], object]", _msgpack.ExtType)
timestamp = cast("Callable[[int], object]", _msgpack.Timestamp)
