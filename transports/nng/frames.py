"""The frames of an nng link: what one nng message holds.

A frame is the msgpack array `[kind, acked, [message, ...]]`: several messages that left together, and how many
data frames of the peer were taken since the last frame. Pure. Not for what the messages mean, nor for when a
frame may be sent (`window`).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

import msgspec

from transports.errors import RemoteProtocolError

__all__ = ["FRAME_BYTES", "MAGIC", "MAX_MESSAGES", "Frame", "Kind", "decode_frame", "encode_frame"]

# what both ends say in their HELLO; a later format of frames gets another number
MAGIC = b"katrio/1"
# messages in one frame: bounds what a receiver does without looking up
MAX_MESSAGES = 64
# bytes of one frame: one largest message (64 KiB), or many small ones, and their headers
FRAME_BYTES = 64 * 1024 + 1024


class Kind(IntEnum):
    """What a frame is for. DATA is the only kind that carries messages and costs credit."""

    DATA = 0
    # the first frame of each side; its one message is MAGIC
    HELLO = 1
    PING = 2
    PONG = 3
    # nothing more will come; answered by BYE
    BYE = 4


class Frame(NamedTuple):
    """One decoded frame."""

    kind: Kind
    acked: int
    messages: list[bytes]


_Small = Annotated[int, msgspec.Meta(ge=0, le=2**16)]
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODER: msgspec.msgpack.Decoder[tuple[Kind, int, list[bytes]]] = msgspec.msgpack.Decoder(
    tuple[Kind, _Small, Annotated[list[bytes], msgspec.Meta(max_length=MAX_MESSAGES)]]
)


def encode_frame(kind: Kind, acked: int, messages: list[bytes]) -> bytes:
    """The bytes of one frame."""
    return _ENCODE((kind, acked, messages))


def decode_frame(data: bytes | memoryview) -> Frame:
    """One frame from the body of one nng message.

    Raises:
        RemoteProtocolError: it isn't one.
    """
    if len(data) > FRAME_BYTES:
        raise RemoteProtocolError(f"a frame of {len(data)} bytes; {FRAME_BYTES} is the most")
    try:
        return Frame(*_DECODER.decode(data))
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"not a frame: {error}") from error
