"""Validates one msgpack value before objects are built from it: depth, number of items, types.

For values from peers: 64 KiB of empty arrays would become 4 MB of lists, and a decoder silently takes the last of two
equal keys. `msgpack` reads headers and single values in sequence; counting is done here, so that no container is built
and nesting costs only a list. Shapes are checked by the typed decoder afterwards.
"""

from __future__ import annotations

import math
from typing import Any, cast

import msgpack

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "MalformedValue", "check_value"]

# a container's spec is 4 deep
MAX_DEPTH = 16
# several times an environment of 2,000 variables, or a sandbox with all its containers
MAX_ITEMS = 8192

# the package has no type annotations
_msgpack = cast("Any", msgpack)
_PLAIN = (type(None), bool, int, float, str, bytes)


class MalformedValue(ValueError):
    """A value over a bound, not plain, or not of the expected shape."""


def check_value(data: bytes) -> None:
    """Accept exactly one plain msgpack value within the bounds.

    Raises:
        MalformedValue: anything else; the text says why and at which byte.
    """
    unpacker: Any = _msgpack.Unpacker(max_buffer_size=max(1, len(data)), strict_map_key=False)
    unpacker.feed(data)
    try:
        _walk(data, unpacker)
    except _msgpack.OutOfData:
        raise MalformedValue("the value is cut short") from None
    except MalformedValue:
        raise
    except UnicodeDecodeError as error:
        raise MalformedValue(f"the text at byte {unpacker.tell()} is not UTF-8") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise MalformedValue(f"the value at byte {unpacker.tell()}: {error}") from error
    if unpacker.tell() != len(data):
        raise MalformedValue(f"{len(data) - unpacker.tell()} bytes follow the value")


def _walk(data: bytes, unpacker: Any) -> None:
    items = 0
    # per open array or map: values still to come, keys included, and a map's keys so far. The first entry is for the value itself
    open_containers: list[tuple[int, set[str] | None]] = [(1, None)]
    while open_containers:
        left, keys = open_containers.pop()
        if left == 0:
            continue
        open_containers.append((left - 1, keys))
        items += 1
        if items > MAX_ITEMS:
            raise MalformedValue(f"more than {MAX_ITEMS} items")
        position: int = unpacker.tell()
        first = data[position] if position < len(data) else 0xC0
        if keys is not None and left % 2 == 0:
            # checked before it is read: a key may be an array of any size
            if not (0xA0 <= first <= 0xBF or 0xD9 <= first <= 0xDB):
                raise MalformedValue(f"a key at byte {position} is not text")
            _key(unpacker.unpack(), keys)
        elif 0x80 <= first <= 0x8F or 0xDE <= first <= 0xDF:
            open_containers.append((2 * unpacker.read_map_header(), set()))
        elif 0x90 <= first <= 0x9F or 0xDC <= first <= 0xDD:
            open_containers.append((unpacker.read_array_header(), None))
        else:
            _scalar(unpacker.unpack(), position)
        # the first entry is no container
        if len(open_containers) > MAX_DEPTH + 1:
            raise MalformedValue(f"more than {MAX_DEPTH} deep")


def _key(key: str, seen: set[str]) -> None:
    if key in seen:
        raise MalformedValue(f"the key {key!r} appears twice")
    seen.add(key)


def _scalar(value: object, position: int) -> None:
    if not isinstance(value, _PLAIN):
        raise MalformedValue(f"the value at byte {position} is of an extension type")
    if isinstance(value, float) and not math.isfinite(value):
        raise MalformedValue(f"the number at byte {position} is not finite")
