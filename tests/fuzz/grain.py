"""Where a body can be cut along its grain: the fields of protobuf, the items of msgpack, the words of a text.

For `mutate`: a field that is doubled, lost, emptied or swapped for another's reaches code that random bytes never do. It
reads generously and never fails; what it can't read has no grain.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.fuzz.layout import Body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["spans"]

Span = tuple[int, int]

_DEEPEST = 6
_MOST = 200
_WORDS = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9.]+|[A-Za-z_]+|\{[^{}]*\}|\[[^\[\]]*\]|[{}\[\]:,]|[^\sA-Za-z0-9]')


def spans(body: Body, data: bytes) -> list[Span]:
    """Places that hang together; empty when there are none."""
    return _READERS[body](data)


def _nothing(_: bytes) -> list[Span]:
    return []


def _of_text(data: bytes) -> list[Span]:
    return [match.span() for match in _WORDS.finditer(data[:4096])][:_MOST]


def _of_protobuf(data: bytes) -> list[Span]:
    found: list[Span] = []
    _fields(data, 0, len(data), found, _DEEPEST)
    return found


def _fields(data: bytes, position: int, end: int, found: list[Span], depth: int) -> bool:
    """Fields with their tags, their values alone, and what lies in them; whether all of it was fields."""
    mine: list[Span] = []
    inner: list[Span] = []
    while position < end:
        start = position
        tag, position = _varint(data, position, end)
        first = position
        match tag & 7:
            case 0:
                _, position = _varint(data, position, end)
            case 1:
                position += 8
            case 5:
                position += 4
            case 2:
                length, first = _varint(data, position, end)
                position = first + length
            case _:
                return False
        if position > end or tag < 8 or len(found) > _MOST:
            return False
        mine += [(start, position), (first, position)]
        if tag & 7 == 2:
            inner.append((first, position))
    found += mine
    if depth:
        for first, last in inner:
            _fields(data, first, last, found, depth - 1)
    return True


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return 0, end + 1


# first byte -> (bytes of the number that follows, whether that counts bytes, whether it counts items, items for each)
_SIZES: Mapping[int, tuple[int, bool, int]] = {
    0xC4: (1, True, 0), 0xC5: (2, True, 0), 0xC6: (4, True, 0), 0xD9: (1, True, 0), 0xDA: (2, True, 0),
    0xDB: (4, True, 0), 0xDC: (2, False, 1), 0xDD: (4, False, 1), 0xDE: (2, False, 2), 0xDF: (4, False, 2),
}  # fmt: skip
_FIXED: Mapping[int, int] = {
    0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
}  # fmt: skip


def _of_msgpack(data: bytes) -> list[Span]:
    found: list[Span] = []
    _item(data, 0, found, _DEEPEST)
    return found


def _item(data: bytes, position: int, found: list[Span], depth: int) -> int:
    """The item that begins there, and those in it; where it ends."""
    if position >= len(data) or len(found) > _MOST:
        return len(data)
    start, first = position, data[position]
    position += 1
    items = 0
    if first in _FIXED:
        position += _FIXED[first]
    elif first in _SIZES:
        width, counts_bytes, each = _SIZES[first]
        number = int.from_bytes(data[position : position + width])
        position += width + (number if counts_bytes else 0)
        items = number * each
    elif 0x80 <= first <= 0x9F:
        items = (first & 0x0F) * (2 if first <= 0x8F else 1)
    elif 0xA0 <= first <= 0xBF:
        position += first & 0x1F
    for _ in range(min(items, _MOST) if depth else 0):
        position = _item(data, position, found, depth - 1)
    position = min(position, len(data))
    found.append((start, position))
    return position


_READERS: Mapping[Body, Callable[[bytes], list[Span]]] = {
    Body.BYTES: _nothing,
    Body.TEXT: _of_text,
    Body.PROTOBUF: _of_protobuf,
    Body.MSGPACK: _of_msgpack,
}
