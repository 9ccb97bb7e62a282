"""Envelopes and values on the wire: what other languages see, and what messages from anybody may not do."""

from __future__ import annotations

import math
import struct
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.errors import InvalidArgument
from actors.wire.bounds import MAX_DEPTH, MAX_ITEMS, MalformedValue, check_value
from actors.wire.codec import decode_details, decode_envelope, decode_value, encode, encode_raw
from actors.wire.envelope import (
    Ask,
    Cancel,
    Chunk,
    Credit,
    Envelope,
    Event,
    Failure,
    Goodbye,
    Hello,
    Reply,
    Welcome,
)
from actors.wire.spec import ProcessSpec
from actors.wire.verbs import Exec, Nothing, Signal
from tests.support.foreign import extension, packb, timestamp, unpackb
from transports.errors import RemoteProtocolError

EMPTY = msgspec.Raw(b"\x80")

NO_ARGS: dict[str, object] = {}
# the arrays of docs/protocol.md: a change here breaks programs in other languages
WIRE: list[tuple[Envelope, list[object]]] = [
    (Hello((1, 2), "c", 7, 3), ["hello", [1, 2], "c", 7, 3]),
    (Welcome(1, "katrio", 256, 65536), ["welcome", 1, "katrio", 256, 65536]),
    (Goodbye("", "done"), ["goodbye", "", "done", NO_ARGS]),
    (Ask(5, "box", "start", EMPTY, None, 4), ["ask", 5, "box", "start", NO_ARGS, None, 4, 0, None]),
    (Ask(6, "", "info", EMPTY, 0, 4, 4096, "t"), ["ask", 6, "", "info", NO_ARGS, 0, 4, 4096, "t"]),
    (Reply(5, EMPTY), ["reply", 5, NO_ARGS]),
    (Failure(5, "busy", "later", EMPTY), ["failure", 5, "busy", "later", NO_ARGS]),
    (Cancel(5), ["cancel", 5]),
    (Chunk(5, 10, b"abc", 2), ["chunk", 5, 10, b"abc", 2]),
    (Event(5, 0, EMPTY, 1), ["event", 5, 0, NO_ARGS, 1]),
    (Credit(5, 100), ["credit", 5, 100]),
]


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(packb(value))


@pytest.mark.parametrize(("envelope", "array"), WIRE, ids=lambda value: type(value).__name__)
def test_an_envelope_is_the_array_that_the_protocol_says(envelope: Envelope, array: list[object]) -> None:
    assert unpackb(encode(envelope)) == array
    assert encode(decode_envelope(packb(array))) == encode(envelope)


@pytest.mark.parametrize(("_envelope", "array"), WIRE, ids=lambda value: type(value).__name__)
def test_a_reader_ignores_what_a_later_version_appends(_envelope: Envelope, array: list[object]) -> None:
    assert encode(decode_envelope(packb([*array, "new", {"a": [1]}]))) == encode(decode_envelope(packb(array)))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        packb(["ask"]),
        packb(["tell", 1]),
        packb(["ask", 0, "box", "v", NO_ARGS, None, 1]),
        packb(["ask", -1, "box", "v", NO_ARGS, None, 1]),
        packb(["ask", 2**64 - 1, "box", "v", NO_ARGS, None, 1]),
        packb(["ask", 1, "x" * 300, "v", NO_ARGS, None, 1]),
        packb(["ask", 1, "box", "", NO_ARGS, None, 1]),
        packb(["ask", 1, "box", "v", NO_ARGS, -5, 1]),
        packb(["ask", 1.5, "box", "v", NO_ARGS, None, 1]),
        packb(["hello", [1], "c" * 65, 1, 1]),
        packb(["hello", 1, "c", 1, 1]),
        packb(["hello", [1] * 17, "c", 1, 1]),
        packb(["hello", [1], b"c", 1, 1]),
        packb(["cancel", 1])[:-1],
        packb(["cancel", 1]) + b"\0",
        b"\x92\xa6cancel\xa1\xff",
        b"\x92\xa5reply" + b"\x91" * 60_000,
        packb({"cancel": 1}),
        packb("cancel"),
    ],
)
def test_what_is_no_envelope_is_a_protocol_error(message: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_envelope(message)


@given(st.binary(max_size=400))
def test_no_bytes_do_worse_than_a_protocol_error(message: bytes) -> None:
    try:
        decode_envelope(message)
    except RemoteProtocolError:
        return


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=30,
)


@given(plain, st.booleans())
def test_every_plain_value_passes_whatever_wrote_it(value: Any, single: bool) -> None:
    check_value(encode(value))
    check_value(packb(value))
    assert decode_value(raw(value), object) == value


@given(plain, st.data())
def test_a_value_that_is_cut_or_followed_by_anything_is_refused(value: Any, data: st.DataObject) -> None:
    packed = packb(value)
    cut = data.draw(st.integers(min_value=0, max_value=len(packed) - 1))
    with pytest.raises(MalformedValue):
        check_value(packed[:cut])
    with pytest.raises(MalformedValue, match="follow"):
        check_value(packed + b"\0")


# heads, keys and payloads of msgpack, odd ones among them: duplicate keys, NaN, extension types, long forms
tokens = st.lists(
    st.sampled_from(
        [b"\x81", b"\x82", b"\xde\x00\x01", b"\x91", b"\x92", b"\xa1a", b"\xa1b", b"\xd9\x01a", b"\xa1\xff", b"\x01", b"\xcc\x01",
         b"\xc0", b"\xc4\x01a", b"\xcb\x7f\xf8" + bytes(6), b"\xcb" + bytes(8), b"\xca" + bytes(4), b"\xd4\x01\x00", b"\xd6\xff" + bytes(4)]
    ),
    max_size=9,
).map(b"".join)  # fmt: skip


@given(tokens | plain.map(packb) | st.binary(max_size=40))
@example(b"\x82\xa1a\x01\xa1a\x01")
@example(b"\x91" * (MAX_DEPTH + 1) + b"\xc0")
@example(b"\x91" * 5000 + b"\xc0")
def test_what_decodes_the_short_way_is_what_the_check_lets_pass(data: bytes) -> None:
    try:
        check_value(data)
    except MalformedValue:
        with pytest.raises(InvalidArgument):
            decode_value(msgspec.Raw(data), object)
    else:
        decode_value(msgspec.Raw(data), object)


@given(st.binary(max_size=400))
def test_no_bytes_get_past_the_check_that_a_decoder_would_choke_on(data: bytes) -> None:
    try:
        check_value(data)
    except MalformedValue:
        return
    unpackb(data)


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


HOSTILE = {
    "deep": nested(MAX_DEPTH + 1),
    "very deep": nested(60_000),
    "many": packb([None] * (MAX_ITEMS + 1)),
    "empty arrays": b"\xdc\xf0\x00" + b"\x90" * 0xF000,
    "claims 4 billion": b"\xdd\xff\xff\xff\xff",
    "claims a map of 4 billion": b"\xdf\xff\xff\xff\xff",
    "claims 4 GB of text": b"\xdb\xff\xff\xff\xffabc",
    "claims 4 GB of bytes": b"\xc6\xff\xff\xff\xff",
    "extension": packb(extension(5, b"x")),
    "timestamp": packb(timestamp(0)),
    "nan": packb(math.nan),
    "infinity": packb([math.inf]),
    "single nan": b"\xca" + struct.pack(">f", math.nan),
    "bad text": b"\xa2\xff\xfe",
    "bad key": b"\x81\xa1\xff\xc0",
    "number as key": b"\x81\x01\xc0",
    "array as key": b"\x81\x90\xc0",
    "twice": b"\x82\xa1a\x01\xa1a\x02",
    "twice in two lengths": b"\x82\xa1a\x01\xd9\x01a\x02",
    "nothing": b"",
    "unused byte": b"\xc1",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_values_are_refused_before_anything_is_built(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument):
            decode_value(msgspec.Raw(data), object)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 1024 * 1024


def test_the_depth_and_the_count_that_are_allowed_are_allowed() -> None:
    check_value(nested(MAX_DEPTH))
    check_value(packb([None] * (MAX_ITEMS - 1)))


def test_arguments_say_which_field_is_wrong() -> None:
    with pytest.raises(InvalidArgument, match=r"Signal.*signal"):
        decode_value(raw({"signal": "TERM"}), Signal)
    with pytest.raises(InvalidArgument, match=r"process.args"):
        decode_value(raw({"id": "a", "process": {"args": [1]}}), Exec)
    assert decode_value(raw({"signal": 9, "later": True}), Signal) == Signal(9)


_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0=")
_WORDS = st.text(_CHARACTERS, max_size=20)


@given(
    st.lists(_WORDS, min_size=1, max_size=5),
    st.dictionaries(st.text(_CHARACTERS, min_size=1, max_size=8), _WORDS, max_size=5),
)
def test_arguments_survive_the_wire(args: list[str], env: dict[str, str]) -> None:
    given_args = Exec("p", ProcessSpec(args=tuple(args), env=env))
    assert decode_value(encode_raw(given_args), Exec) == given_args
    assert decode_value(encode_raw(Nothing()), Nothing) == Nothing()


def test_details_that_can_not_be_read_do_not_hide_the_failure() -> None:
    assert decode_details(raw({"state": "paused"})) == {"state": "paused"}
    assert decode_details(raw([1])) == {}
    assert decode_details(msgspec.Raw(b"\xc1")) == {}
