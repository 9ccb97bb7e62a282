"""A streaming tar reader for untrusted input: every header is checked, and truncation is always detected.

For image layers and `docker save` archives. Python's `tarfile` is not safe for hostile input: it takes a later header
that is broken or truncated for the end of the tar, its search in a PAX header of N digits takes N * N steps (1 MiB: an
hour within one call), it follows header chains by recursion, and holds a sparse file's map of any size. What counts as
a member and as broken follows Go's `archive/tar`, which Docker uses.

A tar is blocks of 512 bytes: a header, then data padded to a block; it ends with two zero blocks, or with the end of
the stream directly after a member. Extra headers may precede a header: PAX (`x`: path, link, size, owner or time; `g`:
for all later members, ignored as in Docker) and GNU's long names (`L`, `K`). Where a member may be placed is decided in
`layers`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from actors.errors import InvalidArgument, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Kind", "Member", "Readable", "TarReader"]

_BLOCK = 512
_COPY_BYTES = 1024 * 1024
_OCTAL = re.compile(rb"[0-7]*\Z")
_DECIMAL = re.compile(rb"-?[0-9]{1,19}\Z")
_SECONDS = re.compile(rb"-?[0-9]{1,19}(\.[0-9]{0,30})?\Z")


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


class Kind(Enum):
    """The type of a member."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARD_LINK = "hard link"
    DEVICE = "device"
    PIPE = "pipe"
    OTHER = "other"


_KINDS = {
    b"\0": Kind.FILE, b"0": Kind.FILE, b"7": Kind.FILE, b"1": Kind.HARD_LINK, b"2": Kind.SYMLINK, b"3": Kind.DEVICE,
    b"4": Kind.DEVICE, b"5": Kind.DIRECTORY, b"6": Kind.PIPE,
}  # fmt: skip
_WITH_DATA = (Kind.FILE, Kind.OTHER)


@dataclass(frozen=True, slots=True)
class Member:
    """One member as in its headers, unchecked except for `size`, which is not negative, and 0 for types without data.

    `name` and `link` may have any bytes except NUL; `mtime` is in seconds since 1970.
    """

    name: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    mtime: float
    link: str


class TarReader:
    """Iterate over members; `read` returns the current one's data. Unread data is skipped.

    Raises (from both): InvalidArgument, if malformed or truncated; Unsupported, for a sparse file; whatever `source`
    raises.
    """

    def __init__(
        self, source: Readable, *, what: str, header_bytes: int, skip: Callable[[int], object] | None = None
    ) -> None:
        """`what` names it in errors; `header_bytes` limits the headers of one member.

        `skip` skips bytes of `source`, where that is possible without reading them.
        """
        self._source = source
        self._what = what
        self._header_bytes = header_bytes
        self._skip_bytes = skip or self._read_over
        # bytes of extra headers before the current member's own
        self.overhead = 0
        self._left = 0
        self._padding = 0
        self._name = ""

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next()) is not None:
            self._name = member.name
            self._left, self._padding = member.size, -member.size % _BLOCK
            yield member
            self._skip_bytes(self._left + self._padding)

    def read(self, size: int = _COPY_BYTES) -> bytes:
        """At most `size` bytes of the current member's data; empty at its end."""
        if not self._left:
            return b""
        data = self._source.read(min(size, self._left))
        if not data:
            raise self._broken(f"{self._name[:200]!r} is cut short")
        self._left -= len(data)
        return data

    def _read_over(self, size: int) -> None:
        while self._left:
            size -= len(self.read())
        # the very last block need not be padded
        self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        """`size` bytes, or fewer at the end of the stream."""
        found = b""
        while len(found) < size:
            data = self._source.read(size - len(found))
            if not data:
                break
            found += data
        return found

    def _next(self) -> Member | None:
        """The next member with all its headers; None at the end."""
        pax: dict[bytes, bytes] = {}
        spent, pending = 0, False
        while True:
            block = self._exactly(_BLOCK)
            if not block and not pending:
                return None
            if len(block) < _BLOCK:
                raise self._broken("it is cut short in a header")
            if not block.strip(b"\0"):
                if pending or self._exactly(_BLOCK).strip(b"\0"):
                    raise self._broken("it has an empty block in between")
                return None
            self._check_sum(block)
            flag = block[156:157]
            if flag not in b"xgLK":
                self.overhead = spent
                return self._member(block, flag, pax)
            size = self._size(self._number(block[124:136], "size"))
            spent += _BLOCK + size
            if spent > self._header_bytes:
                raise self._broken(f"a member's headers have over {self._header_bytes} bytes")
            data = self._exactly(size + -size % _BLOCK)
            if len(data) < size:
                raise self._broken("it is cut short in a header")
            pending |= flag != b"g"
            if flag == b"x":
                pax.update(self._records(data[:size]))
            elif flag != b"g":
                # a PAX path takes precedence
                pax.setdefault(b"path" if flag == b"L" else b"linkpath", data[:size].partition(b"\0")[0])

    def _member(self, block: bytes, flag: bytes, pax: dict[bytes, bytes]) -> Member:
        if flag == b"S" or any(key.startswith(b"GNU.sparse.") for key in pax):
            raise Unsupported(f"{self._what}: a sparse file; save it without tar's --sparse", field="image")
        name = pax.get(b"path") or self._plain_name(block)
        kind = _KINDS.get(flag, Kind.OTHER)
        if flag == b"\0" and name.endswith(b"/"):
            kind = Kind.DIRECTORY
        size = self._size(self._figure(pax, b"size", block[124:136]))
        mtime = pax.get(b"mtime") or b""
        if mtime and not _SECONDS.match(mtime):
            raise self._broken("a member's mtime is no number")
        return Member(
            name=os.fsdecode(name),
            kind=kind,
            mode=self._number(block[100:108], "mode"),
            uid=self._figure(pax, b"uid", block[108:116]),
            gid=self._figure(pax, b"gid", block[116:124]),
            size=size if kind in _WITH_DATA else 0,
            mtime=float(mtime) if mtime else self._number(block[136:148], "mtime"),
            link=os.fsdecode(pax.get(b"linkpath") or block[157:257].partition(b"\0")[0]),
        )

    def _plain_name(self, block: bytes) -> bytes:
        name = block[:100].partition(b"\0")[0]
        prefix = b""
        if block[257:265] == b"ustar\x0000":
            # the older star format has times behind a shorter prefix
            prefix = block[345 : 476 if block[508:] == b"tar\0" else 500].partition(b"\0")[0]
        return prefix + b"/" + name if prefix else name

    def _figure(self, pax: dict[bytes, bytes], key: bytes, field: bytes) -> int:
        text = pax.get(key)
        if not text:
            return self._number(field, key.decode())
        if not _DECIMAL.match(text):
            raise self._broken(f"a member's {key.decode()} is no number")
        return int(text)

    def _number(self, field: bytes, what: str) -> int:
        """Octal digits; or, if the first bit is set, the other bits as a base-256 number."""
        if field[0] & 0x80:
            bits = 8 * len(field) - 1
            value = int.from_bytes(field) & (1 << bits) - 1
            return value - (1 << bits) if value >> (bits - 1) else value
        digits = field.strip(b" \0").partition(b"\0")[0]
        if not _OCTAL.match(digits):
            raise self._broken(f"a header's {what} is no number")
        return int(digits or b"0", 8)

    def _size(self, size: int) -> int:
        if size < 0:
            raise self._broken("a header tells a negative size")
        return size

    def _check_sum(self, block: bytes) -> None:
        rest = block[:148] + b" " * 8 + block[156:]
        recorded, found = self._number(block[148:156], "checksum"), sum(rest)
        # some old writers summed signed bytes
        if recorded != found and recorded != found - 256 * sum(byte > 127 for byte in rest):
            raise self._broken("a header's checksum is wrong")

    def _records(self, data: bytes) -> dict[bytes, bytes]:
        """The records of a PAX header: `LENGTH KEY=VALUE` and a newline, LENGTH counting the whole record."""
        found: dict[bytes, bytes] = {}
        position = 0
        while position < len(data):
            space = data.find(b" ", position, position + 20)
            digits = data[position:space] if space > 0 else b""
            end = position + int(digits) if digits.isdigit() else 0
            key, equals, value = data[space + 1 : end - 1].partition(b"=")
            if not equals or not key or end > len(data) or data[end - 1 : end] != b"\n":
                raise self._broken("a PAX header is no list of records")
            if key in (b"path", b"linkpath") and b"\0" in value:
                raise self._broken("a PAX header has a name with a NUL")
            found[key] = value
            position = end
        return found

    def _broken(self, why: str) -> InvalidArgument:
        return InvalidArgument(f"{self._what} is no proper tar: {why}", field="image")
