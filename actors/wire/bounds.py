"""Looks over one msgpack value before any object is built from it: its depth, its items, its kinds.

For values from peers: 64 KiB of empty arrays would become 4 MB of lists, and a decoder takes the last of two equal
keys. Not for shapes: the typed decoder that runs afterwards checks those.
"""

from __future__ import annotations

import math
import struct

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "MalformedValue", "check_value"]

# a container's spec is 4 deep
MAX_DEPTH = 16
# an environment of 2,000 variables, or a sandbox that lists all its containers, fits several times
MAX_ITEMS = 8192


class MalformedValue(ValueError):
    """A value over a bound, of a kind that isn't plain, or of another shape than was asked for."""


# first byte -> (bytes of the length that follows, bytes of the payload when there is no length)
_SCALARS = {
    0xC0: 0,
    0xC2: 0,
    0xC3: 0,
    0xCC: 1,
    0xCD: 2,
    0xCE: 4,
    0xCF: 8,
    0xD0: 1,
    0xD1: 2,
    0xD2: 4,
    0xD3: 8,
}
_FLOATS = {0xCA: struct.Struct(">f"), 0xCB: struct.Struct(">d")}
_BINARIES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_STRINGS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}


class _Container:
    """An array or map that is being walked; `left` counts its values, and its keys if it has them."""

    __slots__ = ("keys", "left")

    def __init__(self, left: int, keys: set[bytes] | None) -> None:
        self.left = left
        self.keys = keys


def check_value(data: bytes) -> None:
    """Pass if `data` is exactly one plain msgpack value within the bounds.

    Raises:
        MalformedValue: it isn't; the text says why and at which byte.
    """
    try:
        end = _walk(data)
    except (IndexError, struct.error) as error:
        raise MalformedValue("the value is cut short") from error
    if end != len(data):
        raise MalformedValue(f"{len(data) - end} bytes follow the value")


def _walk(data: bytes) -> int:
    position = items = 0
    # the sentinel at the bottom stands for the one value that we want
    open_containers = [_Container(1, None)]
    while True:
        while open_containers[-1].left == 0:
            open_containers.pop()
            if not open_containers:
                return position
        top = open_containers[-1]
        top.left -= 1
        items += 1
        if items > MAX_ITEMS:
            raise MalformedValue(f"more than {MAX_ITEMS} items")
        if top.keys is not None and top.left % 2 == 1:
            position = _key(data, position, top.keys)
            continue
        position, inner = _item(data, position)
        if inner is not None:
            if inner.left > 2 * len(data):
                raise MalformedValue(f"a container at byte {position} claims more items than the message has bytes")
            if len(open_containers) > MAX_DEPTH:
                raise MalformedValue(f"more than {MAX_DEPTH} deep")
            open_containers.append(inner)


def _key(data: bytes, position: int, seen: set[bytes]) -> int:
    first = data[position]
    if not (0xA0 <= first <= 0xBF or first in _STRINGS):
        raise MalformedValue(f"a key at byte {position} is not text")
    end = _text(data, position)
    # the whole encoding would let one key stand in two lengths of header
    key = data[_text_start(data, position) : end]
    if key in seen:
        raise MalformedValue(f"the key {key.decode()!r} appears twice")
    seen.add(key)
    return end


def _item(data: bytes, position: int) -> tuple[int, _Container | None]:
    first = data[position]
    if first <= 0x7F or first >= 0xE0:
        return position + 1, None
    if first <= 0x8F:
        return position + 1, _Container(2 * (first & 0x0F), set())
    if first <= 0x9F:
        return position + 1, _Container(first & 0x0F, None)
    if first <= 0xBF or first in _STRINGS:
        return _text(data, position), None
    if (size := _SCALARS.get(first)) is not None:
        return _within(data, position + 1 + size), None
    if (width := _BINARIES.get(first)) is not None:
        return _within(data, position + 1 + width + _number(data, position, width)), None
    if (shape := _FLOATS.get(first)) is not None:
        if not math.isfinite(shape.unpack_from(data, position + 1)[0]):
            raise MalformedValue(f"the number at byte {position} is not finite")
        return position + 1 + shape.size, None
    if (width := _ARRAYS.get(first)) is not None:
        return position + 1 + width, _Container(_number(data, position, width), None)
    if (width := _MAPS.get(first)) is not None:
        return position + 1 + width, _Container(2 * _number(data, position, width), set())
    raise MalformedValue(f"byte {position} starts an extension type or nothing at all (0x{first:02x})")


def _text_start(data: bytes, position: int) -> int:
    return position + 1 + _STRINGS.get(data[position], 0)


def _text(data: bytes, position: int) -> int:
    first = data[position]
    start = _text_start(data, position)
    length = first & 0x1F if first <= 0xBF else _number(data, position, start - position - 1)
    end = _within(data, start + length)
    try:
        data[start:end].decode()
    except UnicodeDecodeError as error:
        raise MalformedValue(f"the text at byte {position} is not UTF-8") from error
    return end


def _number(data: bytes, position: int, width: int) -> int:
    return int.from_bytes(data[position + 1 : _within(data, position + 1 + width)])


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise MalformedValue("the value is cut short")
    return end
