"""The frames of an nng link: the content of one nng message.

A frame is the msgpack array `[kind, acked, [message, ...]]`: coalesced messages, and how many of the peer's data
frames were handed on since the last frame. Pure. When to send a frame is decided in `window`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

import msgspec

from transports.errors import RemoteProtocolError

__all__ = ["FRAME_BYTES", "MAGIC", "MAX_MESSAGES", "Frame", "Kind", "decode_frame", "encode_frame"]

# sent by both ends in HELLO; a new frame format gets another number
MAGIC = b"katrio/1"
# messages in one frame: bounds a receiver's work per frame
MAX_MESSAGES = 64
# size of one frame: one largest message (64 KiB), or many small ones, with headers
FRAME_BYTES = 64 * 1024 + 1024


class Kind(IntEnum):
    """A frame's purpose. Only DATA carries messages and costs credit."""

    DATA = 0
    # each side's first frame; its one message is MAGIC
    HELLO = 1
    PING = 2
    PONG = 3
    # end of the link; answered with BYE
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
    """Encode one frame."""
    return _ENCODE((kind, acked, messages))


def decode_frame(data: bytes | memoryview) -> Frame:
    """Decode the body of one nng message.

    Raises:
        RemoteProtocolError: malformed.
    """
    if len(data) > FRAME_BYTES:
        raise RemoteProtocolError(f"a frame of {len(data)} bytes; {FRAME_BYTES} is the most")
    try:
        return Frame(*_DECODER.decode(data))
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"not a frame: {error}") from error
