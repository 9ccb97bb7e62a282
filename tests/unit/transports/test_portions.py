"""What is read of an untrusted peer at once: portions, turns, and how much for nobody is overlooked."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from transports.errors import RemoteProtocolError
from transports.hyperstart.codec import Code, ControlDecoder, StreamDecoder, encode_control, encode_stream
from transports.hyperstart.control import HostControl
from transports.hyperstart.streams import HostStreams
from transports.portions import PORTION_BYTES, PortionReader
from transports.strays import MOST_STRAYS
from transports.ttrpc.codec import DATA, RESPONSE, FrameDecoder, encode_frame
from transports.ttrpc.connection import ClientConnection
from transports.yamux.codec import FrameDecoder as YamuxDecoder
from transports.yamux.codec import Kind, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

READ_BYTES = 256 * 1024


class Read(trio.abc.ReceiveStream):
    """A stream whose reads give what it holds, as much at once as a socket's do."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        data, self._data = self._data[:READ_BYTES], self._data[READ_BYTES:]
        return data

    async def aclose(self) -> None: ...


class Decoder(Protocol):
    @property
    def lacking(self) -> int: ...

    def feed(self, data: bytes) -> Sequence[object]: ...


# protocol -> its decoder, and one frame of a size
CODECS: Mapping[str, tuple[Callable[[], Decoder], Callable[[int], bytes]]] = {
    "ttrpc": (FrameDecoder, lambda size: encode_frame(RESPONSE, 1, bytes(size))),
    "control": (ControlDecoder, lambda size: encode_control(Code.ACK, bytes(size))),
    "stream": (lambda: StreamDecoder(64 * 1024), lambda size: encode_stream(1, bytes(min(size, 60_000)), 64 * 1024)),
    "yamux": (YamuxDecoder, lambda size: encode(Kind.DATA, 0, 1, size) + bytes(size)),
}


@pytest.mark.parametrize("codec", CODECS)
async def test_a_portion_is_small_or_the_rest_of_one_frame(codec: str, autojump_clock: trio.testing.MockClock) -> None:
    make, frame = CODECS[codec]
    tiny = len(frame(0))
    for sizes in ([0] * 5000, [200_000, *[0] * 300] * 4, [1, 1023, 1024, 1025, 65_000, 0, 0]):
        data = b"".join(map(frame, sizes))
        decoder = make()
        reader = PortionReader(Read(data), partial(getattr, decoder, "lacking"))
        got, frames = b"", 0
        while portion := await reader.receive():
            lacked = decoder.lacking
            assert len(portion) <= max(PORTION_BYTES, lacked)
            cut = decoder.feed(portion)
            assert len(cut) <= PORTION_BYTES // tiny + 1
            frames += len(cut)
            got += portion
        assert got == data
        assert frames == len(sizes)
        assert decoder.lacking == 0


async def test_links_that_flood_have_one_turn_in_each_pass_and_a_quiet_one_is_served_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    passes = 0
    turns: Counter[int] = Counter()
    flood = bytes(40 * PORTION_BYTES)

    async def drink(number: int) -> None:
        reader = PortionReader(Read(flood), lambda: 0)
        # the first comes at once
        await reader.receive()
        while await reader.receive():
            turns[passes] += 1

    async def count() -> None:
        nonlocal passes
        while True:
            await trio.lowlevel.checkpoint()
            passes += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        async with trio.open_nursery() as floods:
            for number in range(5):
                floods.start_soon(drink, number)
            for _ in range(20):
                await trio.lowlevel.checkpoint()
            before = passes
            assert await PortionReader(Read(b"quiet"), lambda: 0).receive() == b"quiet"
            assert passes - before <= 2
        nursery.cancel_scope.cancel()
    assert sum(turns.values()) == 5 * 39
    # a pass is counted before or after those who have their turn in it
    assert max(turns.values()) <= 2


def replies(connection: ClientConnection, *frames: bytes) -> int:
    return len(connection.receive_data(b"".join(frames)))


STRANGERS = {
    "an id never asked": encode_frame(RESPONSE, 99, b""),
    "an even id": encode_frame(RESPONSE, 2, b""),
    "an id that had its answer": encode_frame(RESPONSE, 1, b""),
    "data for nobody": encode_frame(DATA, 99, b""),
    "a request": encode_frame(1, 99, b""),
    "no type at all": encode_frame(77, 99, b""),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_ttrpc_overlooks_a_few_frames_for_nobody_and_ends_the_link_with_more(what: str) -> None:
    connection = ClientConnection()
    call = connection.send_request("s", "m", b"")
    assert replies(connection, encode_frame(RESPONSE, call, b"")) == 1
    assert not replies(connection, *[STRANGERS[what]] * MOST_STRAYS)
    call = connection.send_request("s", "m", b"")
    assert replies(connection, encode_frame(RESPONSE, call, b"")) == 1
    call = connection.send_request("s", "m", b"")
    assert not replies(connection, STRANGERS[what], encode_frame(RESPONSE, call, b"")), "nothing is read after that"
    assert isinstance(connection.failure, RemoteProtocolError)


@given(given_up=st.integers(0, 300), answered=st.integers(0, 300))
def test_as_many_late_answers_are_lawful_as_calls_were_given_up(given_up: int, answered: int) -> None:
    connection = ClientConnection()
    calls = [connection.send_request("s", "m", b"") for _ in range(given_up + answered)]
    for call in calls[:given_up]:
        connection.forget(call)
    assert replies(connection, *[encode_frame(RESPONSE, call, b"") for call in reversed(calls)]) == answered
    assert connection.failure is None
    assert connection.dropped_replies == given_up
    replies(connection, *[encode_frame(RESPONSE, 1, b"")] * (MOST_STRAYS + 1))
    assert connection.failure is not None


def test_hyperstarts_control_channel_ends_with_words_that_tell_nothing() -> None:
    nothing = encode_control(Code.NEXT, bytes(4))
    control = HostControl()
    control.receive_data(encode_control(Code.READY) + nothing * MOST_STRAYS)
    assert control.failure is None
    control.receive_data(nothing)
    assert isinstance(control.failure, RemoteProtocolError)


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_hyperstarts_stream_channel_ends_with_frames_for_nobody(payload: bytes) -> None:
    streams = HostStreams()
    stranger = encode_stream(99, payload)
    streams.receive_data(stranger * MOST_STRAYS)
    assert streams.failure is None
    streams.receive_data(stranger)
    assert isinstance(streams.failure, RemoteProtocolError)


def test_what_a_forgotten_process_writes_and_answers_to_late_input_are_no_strays() -> None:
    streams = HostStreams()
    stdio, stderr = streams.open(terminal=False)
    streams.send_input(stdio, bytes(512 * 100))
    streams.forget(stdio)
    streams.receive_data(encode_stream(stdio, b"x") * 500 + encode_stream(stderr, b"x") * 500)
    streams.receive_data(encode_stream(stdio, b"") * 101)
    assert streams.failure is None
    streams.receive_data(encode_stream(stdio, b"") * (MOST_STRAYS + 1))
    assert streams.failure is not None
