"""Looks over one msgpack value before any object is built from it: its depth, its items, its kinds.

For values from peers: 64 KiB of empty arrays would become 4 MB of lists, and a decoder takes the last of two equal
keys. `msgpack` reads heads and single values, one after the other; what they add up to is counted here, so that no container
is built and the depth of the walk is that of a list. Not for shapes: the typed decoder that runs afterwards checks those.
"""

from __future__ import annotations

import math
from typing import Any, cast

import msgpack

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "MalformedValue", "check_value"]

# a container's spec is 4 deep
MAX_DEPTH = 16
# an environment of 2,000 variables, or a sandbox that lists all its containers, fits several times
MAX_ITEMS = 8192

# the package carries no types
_msgpack = cast("Any", msgpack)
_PLAIN = (type(None), bool, int, float, str, bytes)


class MalformedValue(ValueError):
    """A value over a bound, of a kind that isn't plain, or of another shape than was asked for."""


def check_value(data: bytes) -> None:
    """Pass if `data` is exactly one plain msgpack value within the bounds.

    Raises:
        MalformedValue: it isn't; the text says why and at which byte.
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
    # of every open array or map: how many values are to come, keys counted, and the keys of a map. The first stands for the value itself
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
            # looked at before it is read: a key may be an array of any size
            if not (0xA0 <= first <= 0xBF or 0xD9 <= first <= 0xDB):
                raise MalformedValue(f"a key at byte {position} is not text")
            _key(unpacker.unpack(), keys)
        elif 0x80 <= first <= 0x8F or 0xDE <= first <= 0xDF:
            open_containers.append((2 * unpacker.read_map_header(), set()))
        elif 0x90 <= first <= 0x9F or 0xDC <= first <= 0xDD:
            open_containers.append((unpacker.read_array_header(), None))
        else:
            _scalar(unpacker.unpack(), position)
        # the value itself is no container's
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
