"""HPACK, without doing the same header list twice: calls of one connection differ in little but their messages.

Theory of operation. What a header block decodes to, and a header list encodes to, depends on nothing but itself and HPACK's dynamic
table. A block that leaves the table as it was is kept with its result, until the table changes: an entry is added at its front, or it
is resized. In practice a method's first call adds its headers to the table, and its second call's block, indexes alone, is kept. So
that the table is not changed by each call, what differs from call to call (`never_indexed`) does not enter it.

Few and short blocks are kept, as the peer chooses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import hpack

from transports.grpc.headers import HeaderList

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transports.grpc.headers import Header

__all__ = ["BlockDecoder", "BlockEncoder", "never_indexed"]

Key = TypeVar("Key")
Result = TypeVar("Result")

# a program calls a dozen methods; each has up to three blocks
KEPT_BLOCKS = 64
# bytes; a byte can stand for a header of 4 KiB, which lies in the table and not here
KEPT_BYTES = 64


class _Kept(Generic[Key, Result]):
    """Results that hold for one state of a table."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._results: dict[Key, Result] = {}
        self._state = self._now()

    def results(self) -> dict[Key, Result]:
        """Those that hold now."""
        state, now = self._state, self._now()
        # by identity: an equal entry may have been added
        if state[0] is not now[0] or state[1:] != now[1:]:
            self._state = now
            self._results.clear()
        return self._results

    def keep(self, key: Key, result: Result, size: int) -> None:
        """Keep a result of `size` bytes compressed, unless the table has changed since the last `results`."""
        state, results = self._state, self.results()
        if size <= KEPT_BYTES and self._state is state:
            if len(results) >= KEPT_BLOCKS:
                results.clear()
            results[key] = result

    def _now(self) -> tuple[Any, int, int, bool]:
        table = self._table
        entries = table.dynamic_entries
        return entries[0] if entries else None, len(entries), table.maxsize, table.resized


class BlockDecoder(hpack.Decoder):
    """Decodes as its base does, raw; see there for what is raised."""

    def __init__(self, max_header_list_size: int) -> None:
        super().__init__(max_header_list_size)
        self._kept: _Kept[bytes, HeaderList] = _Kept(self.header_table)

    def decode(self, data: bytes, raw: bool = True) -> HeaderList:  # h2 asks for raw ones as well
        """The header list of a whole block."""
        fields = self._kept.results().get(data)
        if fields is None:
            fields = HeaderList(super().decode(data, raw=True))
            self._kept.keep(data, fields, len(data))
        return fields


class BlockEncoder(hpack.Encoder):
    """Encodes as its base does."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: _Kept[tuple[Any, ...], bytes] = _Kept(self.header_table)

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:
        """The block of a header list."""
        fields = tuple(headers)
        block = self._kept.results().get(fields)
        if block is None:
            block = super().encode(fields, huffman)
            self._kept.keep(fields, block, len(block))
        return block


def never_indexed(name: bytes, value: bytes) -> Header:
    """A header that the table does not remember, for a value that seldom comes again."""
    return cast("Header", hpack.NeverIndexedHeaderTuple(name, value))
