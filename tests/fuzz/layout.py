"""How a protocol's bytes are made: where a frame says how long it is, whose it is and what it is.

For `mutate`, which spoils a field on purpose and not by luck. Not a codec: it never judges whether bytes are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["Body", "Field", "Frames", "Layout", "frames_of"]

Frames = tuple[bytes, ...]


class Body(StrEnum):
    """What a frame's body is written in."""

    BYTES = "bytes"
    PROTOBUF = "protobuf"
    MSGPACK = "msgpack"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Field:
    """A big-endian number of a frame's header.

    Attributes:
        edges: values at which something changes, beside those at which every number of its size does.
    """

    name: str
    offset: int
    size: int
    edges: tuple[int, ...] = ()
    little: bool = False

    def read(self, frame: bytes | bytearray) -> int:
        """What stands there."""
        return int.from_bytes(frame[self.offset : self.offset + self.size], self._order)

    def write(self, frame: bytearray, value: int) -> None:
        """Put it there; what has no room is cut off."""
        low = value % (1 << 8 * self.size)
        frame[self.offset : self.offset + self.size] = low.to_bytes(self.size, self._order)

    @property
    def values(self) -> tuple[int, ...]:
        """Numbers worth trying."""
        top = 1 << 8 * self.size
        common = (0, 1, 2, 3, top // 2 - 1, top // 2, top - 1)
        return (*common, *self.edges, *(edge + 1 for edge in self.edges), *(max(0, edge - 1) for edge in self.edges))

    @property
    def _order(self) -> Literal["little", "big"]:
        return "little" if self.little else "big"


@dataclass(frozen=True, slots=True)
class Layout:
    """A frame's header and body.

    Attributes:
        header: bytes before the body; 0 when messages have none.
        length: the field that tells the length, if any.
        inclusive: the length counts the header too.
        tokens: bytes that mean something to a reader of the body.
    """

    body: Body
    header: int = 0
    fields: tuple[Field, ...] = ()
    length: Field | None = None
    inclusive: bool = False
    tokens: tuple[bytes, ...] = ()

    def body_length(self, frame: bytes) -> int:
        """How long the body is that this header announces."""
        if self.length is None:
            return 0
        return max(0, self.length.read(frame) - (self.header if self.inclusive else 0))

    def refit(self, frame: bytearray) -> None:
        """Let the header tell the length that the body has."""
        if self.length is not None and len(frame) >= self.header:
            self.length.write(frame, len(frame) - (0 if self.inclusive else self.header))


def frames_of(layout: Layout, stream: bytes) -> Frames:
    """A well-formed stream cut into its frames; a rest that is none stays the last."""
    frames: list[bytes] = []
    while len(stream) >= layout.header > 0:
        size = layout.header + layout.body_length(stream)
        frames.append(stream[:size])
        stream = stream[size:]
    return (*frames, stream) if stream else tuple(frames)
