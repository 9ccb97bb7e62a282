"""What a ttRPC peer may put on the wire, and what each side must make of it: one row for each fact.

Data for `test_ttrpc_facts`, which runs every row without I/O, split anywhere, and over real sockets. The section
named in a row says what it is about: frames, ids, data, errors, sizes, closing.
"""

from __future__ import annotations

from typing import NamedTuple

from transports.ttrpc.codec import (
    DATA,
    HEADER_BYTES,
    MAX_BODY,
    REQUEST,
    RESPONSE,
    encode_frame,
    encode_method,
    encode_request,
    encode_response,
    encode_status,
)

ECHO = encode_method("t.S", "Echo")
ODD = "StreamID must be odd for client initiated streams"
REUSED = "StreamID cannot be re-used and must increment"
INACTIVE = "StreamID is no longer active"
UNARY = "StreamID is a unary call and takes no data"
# remote-closed, remote-open, no-data
CLOSED, OPEN, NO_DATA = 1, 2, 4


def call(stream_id: int, payload: bytes = b"", nanos: int = 0, flags: int = 0) -> bytes:
    """A call of t.S/Echo."""
    return encode_frame(REQUEST, stream_id, encode_request(ECHO, payload, nanos), flags)


def reply(stream_id: int, payload: bytes = b"") -> bytes:
    """An OK answer."""
    return encode_frame(RESPONSE, stream_id, encode_response(payload))


def oversize(kind: int, stream_id: int, extra: int = 1) -> bytes:
    """A frame whose body is `extra` bytes too long."""
    size = MAX_BODY + extra
    return size.to_bytes(4) + stream_id.to_bytes(4) + bytes((kind, 0)) + bytes(size)


def _fitting(head: int) -> int:
    """The payload that makes a body of exactly 4 MiB: `head`, a tag, a length of four bytes."""
    return MAX_BODY - head - 5


class Received(NamedTuple):
    """Server: `sent` by a client; `served` are (id, payload) that reach a handler, `refused` what is answered no."""

    name: str
    sent: bytes
    served: tuple[tuple[int, bytes], ...] = ()
    refused: tuple[tuple[int, int, str], ...] = ()


TOO_LONG = f"message length {MAX_BODY + 1} exceed maximum message size of {MAX_BODY}"
NEGATIVE = ECHO + b"\x20" + b"\xff" * 9 + b"\x01"
_METADATA = b"\x2a\x08\x0a\x03Key\x12\x01a" + b"\x2a\x08\x0a\x03Key\x12\x01b"

SERVER = (
    Received("frame: one call", call(1, b"x"), ((1, b"x"),)),
    Received(
        "frame: many in one read", b"".join(call(n, b"%d" % n) for n in (1, 3, 5)), ((1, b"1"), (3, b"3"), (5, b"5"))
    ),
    Received("frame: a payload of no bytes", call(1), ((1, b""),)),
    Received("frame: unknown type", encode_frame(9, 1, b"?") + call(1), ((1, b""),)),
    Received("frame: type 0", encode_frame(0, 0, b"") + call(1), ((1, b""),)),
    Received("frame: a response to a server", reply(1, b"?") + call(1), ((1, b""),)),
    *(
        Received(f"frame: flags {flags:#x} on a unary request", call(1, b"x", flags=flags), ((1, b"x"),))
        for flags in (CLOSED, OPEN, NO_DATA, OPEN | NO_DATA, 0xFF)
    ),
    Received(
        "message: metadata, a key twice, any letter case", encode_frame(REQUEST, 1, ECHO + _METADATA), ((1, b""),)
    ),
    Received("message: unknown fields", encode_frame(REQUEST, 1, ECHO + b"\x32\x01z\x38\x01"), ((1, b""),)),
    Received("ids: zero", call(0) + call(1), ((1, b""),), ((0, 3, ODD),)),
    Received("ids: even", call(2) + call(1), ((1, b""),), ((2, 3, ODD),)),
    Received("ids: even and highest", call(2**32 - 2) + call(1), ((1, b""),), ((2**32 - 2, 3, ODD),)),
    Received("ids: the highest", call(2**32 - 1), ((2**32 - 1, b""),)),
    Received("ids: gaps", call(1) + call(99), ((1, b""), (99, b""))),
    # ttrpc-rust's client draws an id before it queues the frame, in many threads; its server takes them, Go's since 1.2 does not
    Received("ids: overtaken", call(7) + call(5) + call(9), ((7, b""), (5, b""), (9, b""))),
    Received("ids: overtaken by a hundred", call(203) + call(3), ((203, b""),), ((3, 3, REUSED),)),
    Received("data: for an id never used", encode_frame(DATA, 3, b"x") + call(3), ((3, b""),), ((3, 3, INACTIVE),)),
    Received(
        "data: an end for an id never used", encode_frame(DATA, 1, b"", 5) + call(1), ((1, b""),), ((1, 3, INACTIVE),)
    ),
    Received("data: on an even id", encode_frame(DATA, 4, b"x"), (), ((4, 3, ODD),)),
    Received(
        "errors: undecodable request", encode_frame(REQUEST, 1, b"\x0a\x05"), (), ((1, 3, "unmarshal request error: "),)
    ),
    Received(
        "errors: a string that is not UTF-8",
        encode_frame(REQUEST, 1, b"\x0a\x01\xff"),
        (),
        ((1, 3, "unmarshal request error: "),),
    ),
    Received(
        "errors: a group in a request",
        encode_frame(REQUEST, 1, b"\x0b\x0c"),
        (),
        ((1, 3, "unmarshal request error: "),),
    ),
    Received(
        "errors: an undecodable request has used its id up",
        encode_frame(REQUEST, 1, b"\x0a\x05") + call(1),
        (),
        ((1, 3, "unmarshal"), (1, 3, REUSED)),
    ),
    Received(
        "errors: negative timeout", encode_frame(REQUEST, 1, NEGATIVE), (), ((1, 4, "context deadline exceeded"),)
    ),
    Received("deadline: the longest", call(1, b"x", 2**63 - 1), ((1, b"x"),)),
    Received("size: exactly 4 MiB", call(1, bytes(_fitting(len(ECHO)))), ((1, bytes(_fitting(len(ECHO)))),)),
    Received("size: a request one byte over", oversize(REQUEST, 1) + call(3), ((3, b""),), ((1, 8, TOO_LONG),)),
    Received("size: data one byte over", oversize(DATA, 1) + call(3), ((3, b""),), ((1, 8, TOO_LONG),)),
    Received("size: an unknown type over", oversize(9, 1) + call(1), ((1, b""),)),
    Received(
        "size: 12 MiB",
        oversize(REQUEST, 1, 8 * 1024 * 1024) + call(3),
        ((3, b""),),
        ((1, 8, "message length 12582912 "),),
    ),
)

# what the handler of an open call gives is dropped after these: an id is answered once
SPOILED = (
    Received("ids: reused while its call runs", call(1) + call(1), ((1, b""),), ((1, 3, REUSED),)),
    Received("data: on a live unary call", call(1) + encode_frame(DATA, 1, b"x"), ((1, b""),), ((1, 3, UNARY),)),
    Received(
        "data: an end on a live unary call", call(1) + encode_frame(DATA, 1, b"", 5), ((1, b""),), ((1, 3, UNARY),)
    ),
    Received(
        "data: after a request that said remote-open",
        call(1, flags=OPEN) + encode_frame(DATA, 1, b"x"),
        ((1, b""),),
        ((1, 3, UNARY),),
    ),
)

# sent once the call of id 1 has been answered
FINISHED = (
    Received("ids: reused after its answer", call(1), (), ((1, 3, REUSED),)),
    Received("data: for a finished id", encode_frame(DATA, 1, b"x"), (), ((1, 3, INACTIVE),)),
    Received("data: an end for a finished id", encode_frame(DATA, 1, b"", 5), (), ((1, 3, INACTIVE),)),
)


class Answered(NamedTuple):
    """Client with calls 1 and 3 in flight: `sent` by a server; what each call gives: bytes, a code, or None (waits).

    `broken` says what ended the connection; then calls without an answer fail with it. `dropped` are counted frames.
    """

    name: str
    sent: bytes
    first: bytes | int | None
    second: bytes | int | None = b"3"
    dropped: int = 0
    broken: str = ""


_BIG = bytes(_fitting(0))
CLIENT = (
    Answered("frame: both in one read", reply(1, b"1") + reply(3, b"3"), b"1"),
    Answered("frame: in the other order", reply(3, b"3") + reply(1, b"1"), b"1"),
    Answered(
        "frame: flags on a response", encode_frame(RESPONSE, 1, encode_response(b"1"), 0xFF) + reply(3, b"3"), b"1"
    ),
    Answered("frame: unknown type", encode_frame(9, 1, b"?") + reply(1, b"1") + reply(3, b"3"), b"1"),
    Answered("frame: a request to a client", call(1) + reply(1, b"1") + reply(3, b"3"), b"1"),
    Answered("message: no status (Go)", encode_frame(RESPONSE, 1, b"\x12\x01x") + reply(3, b"3"), b"x"),
    Answered("message: an empty status (Rust)", encode_frame(RESPONSE, 1, b"\x0a\x00\x12\x01x") + reply(3, b"3"), b"x"),
    Answered("message: no bytes at all", encode_frame(RESPONSE, 1, b"") + reply(3, b"3"), b""),
    Answered("message: an empty status alone", encode_frame(RESPONSE, 1, b"\x0a\x00") + reply(3, b"3"), b""),
    Answered(
        "message: code 0 with a text",
        encode_frame(RESPONSE, 1, b"\x0a\x05\x08\x00\x12\x01t\x12\x01x") + reply(3, b"3"),
        b"x",
    ),
    Answered(
        "message: details", encode_frame(RESPONSE, 1, b"\x0a\x09\x08\x05\x1a\x05\x0a\x01u\x12\x00") + reply(3, b"3"), 5
    ),
    Answered(
        "message: a code that gRPC does not have",
        encode_frame(RESPONSE, 1, encode_status(999, "?")) + reply(3, b"3"),
        999,
    ),
    Answered("message: a negative code", encode_frame(RESPONSE, 1, encode_status(-1, "?")) + reply(3, b"3"), -1),
    Answered(
        "errors: a payload beside a failure",
        encode_frame(RESPONSE, 1, encode_status(9, "no") + encode_response(b"p")) + reply(3, b"3"),
        9,
    ),
    Answered(
        "errors: undecodable response",
        reply(3, b"3") + encode_frame(RESPONSE, 1, b"\x0a\x05"),
        None,
        broken="can't be decoded",
    ),
    Answered(
        "errors: not UTF-8",
        reply(3, b"3") + encode_frame(RESPONSE, 1, b"\x0a\x03\x12\x01\xff"),
        None,
        broken="can't be decoded",
    ),
    Answered("ids: unknown", reply(99, b"?") + reply(1, b"1") + reply(3, b"3"), b"1", dropped=1),
    Answered("ids: even and zero", reply(0) + reply(2) + reply(1, b"1") + reply(3, b"3"), b"1", dropped=2),
    Answered("ids: of a call that comes later", reply(5, b"early") + reply(1, b"1") + reply(3, b"3"), b"1", dropped=1),
    Answered("ids: answered twice", reply(1, b"1") + reply(1, b"2") + reply(3, b"3"), b"1", dropped=1),
    Answered("ids: one is never answered", reply(3, b"3"), None),
    Answered("data: on a unary call", reply(3, b"3") + encode_frame(DATA, 1, b"x"), None, broken="got a Data frame"),
    Answered(
        "data: an end on a unary call", reply(3, b"3") + encode_frame(DATA, 1, b"", 5), None, broken="got a Data frame"
    ),
    Answered(
        "data: for a finished call", reply(1, b"1") + encode_frame(DATA, 1, b"x") + reply(3, b"3"), b"1", dropped=1
    ),
    Answered(
        "data: for an id never used", encode_frame(DATA, 77, b"x") + reply(1, b"1") + reply(3, b"3"), b"1", dropped=1
    ),
    Answered("size: exactly 4 MiB", reply(1, _BIG) + reply(3, b"3"), _BIG),
    Answered("size: one byte over", oversize(RESPONSE, 1) + reply(3, b"3"), 8),
    Answered("size: over, for nobody", oversize(RESPONSE, 99) + reply(1, b"1") + reply(3, b"3"), b"1", dropped=1),
    Answered(
        "size: data over, on a unary call",
        reply(3, b"3") + oversize(DATA, 1)[: HEADER_BYTES + 1],
        None,
        broken="got a Data frame",
    ),
    Answered(
        "size: 16 MiB announced",
        reply(3, b"3") + (2**24).to_bytes(4) + (1).to_bytes(4) + bytes((RESPONSE, 0)),
        None,
        broken="is this ttRPC?",
    ),
    Answered("size: not ttRPC at all", reply(3, b"3") + b"HTTP/1.1 400 Bad Request\r\n", None, broken="is this ttRPC?"),
)
