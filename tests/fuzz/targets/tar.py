"""Layers of images: a tar of whatever bytes is read to its end or refused by name, within its own size, and costs what it has of bytes."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from actors.errors import KatrioError
from actors.images.tar import TarReader
from tests.fuzz.layout import Body, Field, Frames, Layout
from tests.fuzz.target import Target, expect

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TARGETS"]

# sizes are in base 256 here, which the reader takes as well as octal digits: so a length is a number as in other protocols
_LAYOUT = Layout(
    Body.BYTES,
    header=512,
    fields=(Field("type", 156, 1, edges=tuple(b"01257xgLKSZ")), Field("owner", 108, 4), Field("name", 0, 4), Field("time", 136, 4)),
    length=Field("size", 132, 4, edges=(512, 64 * 1024)),
    tokens=(b"ustar\x0000", b"\xff" * 12, b"12 path=a/b\n", b"9 size=-1\n", b"GNU.sparse.major=1\n", b"9" * 30, bytes(512)),
)  # fmt: skip


def _frame(name: str, kind: bytes, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.uid, info.linkname = kind, 2_000_000, "x"
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"\x80" + len(data).to_bytes(11)
    return bytes(header) + data + bytes(-len(data) % 512)


def _sessions() -> Sequence[Frames]:
    file, folder = _frame("d/a", b"0", b"1" * 700), _frame("d/", b"5", b"")
    path = _frame("PaxHeader", b"x", b"12 path=a/b\n20 mtime=123.456789\n12 size=700\n")
    long = _frame("././@LongLink", b"L", b"l" * 150 + b"\0")
    return [(folder, file, bytes(1024)), (path, file, long, file, bytes(1024)), (_frame("g", b"g", b""), file)]


def _summed(piece: bytes) -> bytes:
    """With the checksum that a header has of right: nothing else in it would be looked at."""
    if piece[257:262] != b"ustar" or len(piece) < 512:
        return piece
    total = sum(piece[:148] + b" " * 8 + piece[156:512])
    return piece[:148] + b"%06o\0 " % total + piece[156:]


def _check(pieces: Frames) -> None:
    data = b"".join(map(_summed, pieces))
    tar = TarReader(io.BytesIO(data), what="image: a layer", header_bytes=64 * 1024)
    total = 0
    try:
        for member in tar:
            size = 0
            while piece := tar.read(1024):
                size += len(piece)
            expect(size == member.size, f"a member of {member.size} bytes has {size}")
            total += size
            expect("\0" not in member.name + member.link, "a NUL in a name")
    except KatrioError as error:
        expect(error.details.get("field") == "image" and len(str(error)) < 600, "a refusal that helps nobody")
    expect(total <= len(data), "more data than bytes")


TARGETS = (Target("tar", "layers of images, as tars", _LAYOUT, _sessions, _check, calls=(4000, 60), share=2),)
