"""yamux without I/O: frames at any chunking, windows both ways, whose turn it is, and what a hostile peer gets."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.yamux_pair import carry, opened, syn
from transports.errors import LocalProtocolError, RemoteProtocolError, Unreachable
from transports.numbers import OVERTAKEN
from transports.yamux import session as bounds
from transports.yamux.codec import WINDOW_BYTES, Flag, Frame, FrameDecoder, GoAway, Kind, encode
from transports.yamux.session import Ended, GoneAway, Opened, Ponged, Readable, Reset, Session

if TYPE_CHECKING:
    from collections.abc import Callable


def _data(flags: int, stream: int, body: bytes) -> bytes:
    return encode(Kind.DATA, flags, stream, len(body)) + body


FRAMES = st.lists(
    st.one_of(
        st.builds(_data, st.integers(0, 15), st.integers(0, 9), st.binary(max_size=50)),
        st.builds(encode, st.sampled_from(Kind), st.integers(0, 15), st.integers(0, 9), st.just(0)),
    ),
    max_size=12,
)


def test_a_frame_is_what_the_wire_says() -> None:
    assert encode(Kind.DATA, Flag.FIN, 3, 2) + b"ab" == bytes.fromhex("00 00 0004 00000003 00000002 6162")
    assert FrameDecoder().feed(bytes.fromhex("00 02 0001 00000000 01020304")) == [Frame(Kind.PING, 1, 0, 0x01020304)]


@given(FRAMES, st.lists(st.integers(1, 20), min_size=1))
def test_frames_are_the_same_at_any_chunking(frames: list[bytes], sizes: list[int]) -> None:
    wire = b"".join(frames)
    whole = FrameDecoder().feed(wire)
    decoder, found, at, turn = FrameDecoder(), list[Frame](), 0, 0
    while at < len(wire):
        size = sizes[turn % len(sizes)]
        found += decoder.feed(wire[at : at + size])
        at, turn = at + size, turn + 1
    assert found == whole
    assert decoder.buffered == 0
    assert b"".join(encode(f.kind, f.flags, f.stream, f.number) + f.body for f in found) == wire


PONG = encode(Kind.PING, Flag.ACK, 0, 5)


@pytest.mark.parametrize(
    "header",
    [
        b"\x01" + bytes(11),
        b"\x00\x04" + bytes(10),
        b"\x00\x00\x00\x10" + bytes(8),
        encode(Kind.DATA, 0, 1, WINDOW_BYTES + 1),
        encode(Kind.DATA, 0, 1, 0xFFFF_FFFF),
        b"SSH-2.0-OpenSSH",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00",
    ],
)
def test_what_is_no_frame_is_told_at_its_header(header: bytes) -> None:
    decoder = FrameDecoder()
    assert decoder.feed(PONG + header) == [Frame(Kind.PING, Flag.ACK, 0, 5)]
    assert isinstance(decoder.failure, RemoteProtocolError)
    assert decoder.feed(PONG) == []


@pytest.mark.parametrize("together", [True, False])
def test_what_came_before_an_offence_counts_however_it_was_read(together: bool) -> None:
    _, server, stream = opened()
    good, bad = encode(Kind.DATA, 0, stream, 5) + b"reply", b"\x72" + bytes(11)
    if not together:
        server.receive_data(good)
    with pytest.raises(RemoteProtocolError, match="version 114"):
        server.receive_data(good + bad if together else bad)
    assert server.read(stream, 100) == b"reply"


def test_a_stream_carries_both_ways_and_ends_one_way_at_a_time() -> None:
    client, server, stream = opened()
    assert client.send(stream, b"question") == 8
    client.end(stream)
    assert carry(client, server) == [Readable(stream), Ended(stream)]
    assert server.read(stream, 100) == b"question"
    assert server.peer_ended(stream)
    assert server.send(stream, b"answer") == 6
    server.close(stream)
    assert carry(server, client) == [Readable(stream), Ended(stream)]
    assert client.read(stream, 3) == b"ans"
    assert client.read(stream, 100) == b"wer"
    client.close(stream)
    assert (client.streams, server.streams) == (0, 0)


def test_client_streams_are_odd_and_a_server_s_even() -> None:
    client, server = Session(client=True, clock=lambda: 0.0), Session(client=False, clock=lambda: 0.0)
    assert [client.open(), client.open()] == [1, 3]
    assert [server.open(), server.open()] == [2, 4]


def test_nobody_sends_more_than_the_window_until_it_is_read() -> None:
    client, server, stream = opened()
    sent = 0
    while taken := client.send(stream, bytes(100_000)):
        sent += taken
        carry(client, server)
    assert server.unread(stream) == WINDOW_BYTES
    assert sent == WINDOW_BYTES + bounds.SEND_BYTES
    # half of it read is worth telling
    server.read(stream, WINDOW_BYTES // 2 - 1)
    assert not server.sending
    server.read(stream, 1)
    carry(server, client)
    carry(client, server)
    assert server.unread(stream) == WINDOW_BYTES // 2 + bounds.SEND_BYTES


def test_each_stream_has_its_turn() -> None:
    client = Session(client=True, clock=lambda: 0.0)
    flood, small = client.open(), client.open()
    client.data_to_send()
    client.send(flood, bytes(bounds.SEND_BYTES))
    client.send(small, b"x")
    data, _ = client.data_to_send()
    frames = [(frame.stream, frame.number) for frame in FrameDecoder().feed(data)]
    assert frames[:3] == [(flood, bounds.TURN_BYTES), (small, 1), (flood, bounds.TURN_BYTES)]


def test_a_ping_is_answered_and_an_answer_told() -> None:
    client, server = Session(client=True, clock=lambda: 0.0), Session(client=False, clock=lambda: 0.0)
    client.ping(77)
    assert carry(client, server) == []
    assert carry(server, client) == [Ponged(77)]


def test_after_a_go_away_no_stream_is_opened_and_those_there_go_on() -> None:
    client, server, stream = opened()
    server.go_away()
    assert carry(server, client) == [GoneAway(GoAway.NORMAL)]
    with pytest.raises(Unreachable, match="no new streams"):
        client.open()
    client.send(stream, b"still")
    assert carry(client, server) == [Readable(stream)]


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (encode(Kind.WINDOW, Flag.SYN, 2, 0), "a number of ours"),
        (encode(Kind.WINDOW, Flag.SYN, 0, 0), "a number of ours"),
        (encode(Kind.WINDOW, Flag.SYN, 1, 0), "twice"),
        (encode(Kind.DATA, 0, 9, 1) + b"x", "never opened"),
        (encode(Kind.DATA, 0, 2, 1) + b"x", "never opened"),
        (encode(Kind.DATA, 0, 0, 1) + b"x", "never opened"),
        (encode(Kind.WINDOW, 0, 1, 0xFFFF_FFFF), "grew over"),
        (
            encode(Kind.DATA, 0, 1, WINDOW_BYTES) + bytes(WINDOW_BYTES) + encode(Kind.DATA, 0, 1, 1) + b"x",
            "its window has 0",
        ),
        (encode(Kind.DATA, Flag.FIN, 1, 0) + encode(Kind.DATA, 0, 1, 1) + b"x", "after its end"),
    ],
)
def test_a_peer_that_breaks_the_protocol_gets_a_go_away(frame: bytes, what: str) -> None:
    _, server, _ = opened()
    with pytest.raises(RemoteProtocolError, match=what):
        server.receive_data(frame)
    data, _ = server.data_to_send()
    assert FrameDecoder().feed(data)[-1] == Frame(Kind.GO_AWAY, 0, 0, GoAway.PROTOCOL)
    with pytest.raises(RemoteProtocolError):
        server.receive_data(encode(Kind.PING, Flag.SYN, 0, 1))


def test_an_offence_is_told_in_an_error_of_its_own_each_time() -> None:
    server = Session(client=False, clock=lambda: 0.0)
    told: list[RemoteProtocolError] = []
    for _ in range(3):
        with pytest.raises(RemoteProtocolError, match="never opened") as caught:
            server.receive_data(encode(Kind.DATA, 0, 9, 0))
        told.append(caught.value)
    assert server.failure is not None
    assert server.failure.__traceback__ is None
    assert len({id(error) for error in told}) == 3


@pytest.mark.parametrize("ended_by", ["both sides", "a reset of theirs", "a reset of ours"])
def test_the_number_of_a_stream_that_ended_serves_no_more(ended_by: str) -> None:
    client, server, stream = opened()
    if ended_by == "both sides":
        client.close(stream)
        carry(client, server)
        server.close(stream)
        carry(server, client)
    else:
        (client if "theirs" in ended_by else server).reset(stream)
        carry(client, server)
        carry(server, client)
    assert server.streams == 0
    with pytest.raises(RemoteProtocolError, match="opened stream 1 again"):
        server.receive_data(syn(stream))


def test_a_stream_may_be_overtaken_by_some_of_a_higher_number() -> None:
    server = Session(client=False, clock=lambda: 0.0)
    assert server.receive_data(syn(5) + syn(1) + syn(3)) == [Opened(5), Opened(1), Opened(3)]
    # what is remembered of it is bounded
    server.receive_data(syn(7 + 2 * OVERTAKEN + 2))
    assert server.receive_data(syn(9)) == [Opened(9)]
    server.receive_data(syn(0x7FFF_FFFF))
    assert server.receive_data(syn(0x7FFF_FFFD)) == [Opened(0x7FFF_FFFD)]
    with pytest.raises(RemoteProtocolError, match="opened stream 11 again"):
        server.receive_data(syn(11))


def test_streams_that_nobody_takes_are_bounded_and_the_next_is_reset() -> None:
    server = Session(client=False, clock=lambda: 0.0)
    for number in range(bounds.BACKLOG + 1):
        server.receive_data(encode(Kind.WINDOW, Flag.SYN, 2 * number + 1, 0))
    assert server.streams == bounds.BACKLOG
    data, _ = server.data_to_send()
    assert FrameDecoder().feed(data) == [Frame(Kind.WINDOW, Flag.RST, 2 * bounds.BACKLOG + 1, 0)]


def test_a_stream_that_was_given_up_before_it_was_taken_has_no_place_in_the_queue() -> None:
    # slowly
    server = Session(client=False, clock=itertools.count().__next__)
    for number in range(3 * bounds.BACKLOG):
        stream = 2 * number + 1
        server.receive_data(syn(stream))
        if number:
            server.receive_data(encode(Kind.WINDOW, Flag.RST, stream, 0))
    assert [server.accept(), server.accept()] == [1, None]


def test_streams_of_ours_are_bounded() -> None:
    client = Session(client=True, clock=lambda: 0.0)
    for _ in range(bounds.MAX_STREAMS):
        client.receive_data(encode(Kind.WINDOW, Flag.ACK, client.open(), 0))
    with pytest.raises(LocalProtocolError, match="512 streams are open"):
        client.open()


WORDS: dict[str, Callable[[int], bytes]] = {
    "an ACK": lambda stream: encode(Kind.WINDOW, Flag.ACK, stream, 0),
    "data": lambda stream: encode(Kind.DATA, 0, stream, 1) + b"x",
    "an end": lambda stream: encode(Kind.WINDOW, Flag.FIN, stream, 0),
    "a reset": lambda stream: encode(Kind.WINDOW, Flag.RST, stream, 0),
}


@pytest.mark.parametrize("word", WORDS)
def test_no_more_streams_are_opened_than_a_peer_keeps_that_has_taken_none(word: str) -> None:
    client = Session(client=True, clock=lambda: 0.0)
    streams = [client.open() for _ in range(bounds.BACKLOG)]
    assert not client.may_open
    with pytest.raises(LocalProtocolError, match="not taken yet"):
        client.open()
    client.receive_data(WORDS[word](streams[3]))
    assert client.may_open
    client.open()
    assert not client.may_open
    client.reset(streams[0])
    assert client.may_open


def test_what_all_streams_keep_unread_is_bounded() -> None:
    server = Session(client=False, clock=lambda: 0.0)
    resets = 0
    frame = bytes(WINDOW_BYTES)
    for number in range(bounds.BUFFERED_BYTES // WINDOW_BYTES + 3):
        stream = 2 * number + 1
        server.receive_data(encode(Kind.WINDOW, Flag.SYN, stream, 0))
        server.accept()
        events = server.receive_data(encode(Kind.DATA, 0, stream, WINDOW_BYTES) + frame)
        resets += events == [Reset(stream)]
        assert server.buffered <= bounds.BUFFERED_BYTES
    assert resets == 3


def test_a_peer_that_pings_and_does_not_read_is_not_read() -> None:
    # slowly
    server = Session(client=False, clock=itertools.count().__next__)
    for value in range(bounds.CONTROL_BYTES // 12 + 1):
        server.receive_data(encode(Kind.PING, Flag.SYN, 0, value))
    assert server.full
    server.data_to_send()
    assert not server.full


@given(st.binary(max_size=300), st.lists(st.sampled_from(["accept", "send", "close", "out"]), max_size=4))
def test_only_protocol_errors_escape(data: bytes, acts: list[str]) -> None:
    server = Session(client=False, clock=lambda: 0.0)
    stream = server.open()
    try:
        for at in range(0, len(data), 40):
            server.receive_data(b"\x00" + data[at : at + 40])
    except RemoteProtocolError:
        pass
    for act in acts:
        if act == "accept":
            server.accept()
        elif act == "send" and server.has(stream):
            with contextlib.suppress(LocalProtocolError):
                server.send(stream, data)
        elif act == "close":
            server.close(stream)
        else:
            server.data_to_send()


class TwoSides(RuleBasedStateMachine):
    """Both sides do anything in any order, with their bytes cut anywhere: every stream's bytes arrive, once, in order."""

    @initialize()
    def begin(self) -> None:
        self.sides = (Session(client=True, clock=lambda: 0.0), Session(client=False, clock=lambda: 0.0))
        self.wires = (bytearray(), bytearray())
        # by stream and sender
        self.sent: dict[tuple[int, int], bytearray] = {}
        self.read: dict[tuple[int, int], bytearray] = {}
        self.known: tuple[list[int], list[int]] = ([], [])
        self.ended: dict[tuple[int, int], bool] = {}
        # what nobody reads, as its reader closed
        self.unheard: set[tuple[int, int]] = set()
        self.counter = 0

    @rule(side=st.integers(0, 1))
    def open(self, side: int) -> None:
        if len(self.known[side]) < 6:
            stream = self.sides[side].open()
            self.known[side].append(stream)

    @rule(side=st.integers(0, 1))
    def accept(self, side: int) -> None:
        stream = self.sides[side].accept()
        if stream is not None:
            self.known[side].append(stream)

    @rule(side=st.integers(0, 1), which=st.integers(0, 9), size=st.sampled_from([1, 100, 20_000, 70_000]))
    def send(self, side: int, which: int, size: int) -> None:
        streams = [one for one in self.known[side] if (one, side) not in self.ended and self.sides[side].has(one)]
        if streams:
            stream = streams[which % len(streams)]
            self.counter += 1
            data = self.counter.to_bytes(4, "big") * (size // 4 + 1)
            taken = self.sides[side].send(stream, data)
            self.sent.setdefault((stream, side), bytearray()).extend(data[:taken])

    @rule(side=st.integers(0, 1), which=st.integers(0, 9))
    def end(self, side: int, which: int) -> None:
        if self.known[side]:
            stream = self.known[side][which % len(self.known[side])]
            self.sides[side].end(stream)
            self.ended[stream, side] = True

    @rule(side=st.integers(0, 1), which=st.integers(0, 9))
    def close(self, side: int, which: int) -> None:
        if self.known[side]:
            stream = self.known[side].pop(which % len(self.known[side]))
            self.sides[side].close(stream)
            self.ended[stream, side] = True
            self.unheard.add((stream, 1 - side))

    @rule(side=st.integers(0, 1), which=st.integers(0, 9), most=st.sampled_from([1, 5000, 500_000]))
    def take(self, side: int, which: int, most: int) -> None:
        if self.known[side]:
            stream = self.known[side][which % len(self.known[side])]
            if self.sides[side].has(stream):
                self.read.setdefault((stream, 1 - side), bytearray()).extend(self.sides[side].read(stream, most))

    @rule(side=st.integers(0, 1))
    def write(self, side: int) -> None:
        self.wires[side].extend(self.sides[side].data_to_send()[0])

    @precondition(lambda self: self.wires[0] or self.wires[1])
    @rule(side=st.integers(0, 1), size=st.sampled_from([1, 11, 13, 1000, 100_000]))
    def carry(self, side: int, size: int) -> None:
        data = bytes(self.wires[side][:size])
        del self.wires[side][:size]
        if data:
            self.sides[1 - side].receive_data(data)

    @invariant()
    def in_order_and_never_over_a_window(self) -> None:
        for key, read in self.read.items():
            assert self.sent.get(key, bytearray()).startswith(read)
        for side in range(2):
            for stream in self.known[side]:
                assert not self.sides[side].has(stream) or self.sides[side].unread(stream) <= WINDOW_BYTES

    def teardown(self) -> None:
        """Everything arrives in the end that somebody reads, whoever has closed meanwhile."""
        for _ in range(60):
            for side in range(2):
                self.write(side)
                self.carry(side, len(self.wires[side]))
                while self.sides[side].accept() is not None:
                    pass
        # who goes on sending to nobody until a window is full has the stream reset
        reset = {stream for stream, side in self.unheard if len(self.sent.get((stream, side), b"")) >= WINDOW_BYTES}
        for (stream, side), sent in self.sent.items():
            if stream in reset or (stream, side) in self.unheard:
                continue
            got = self.read.setdefault((stream, side), bytearray())
            while len(got) < len(sent):
                before = len(got)
                got.extend(self.sides[1 - side].read(stream, 1 << 20))
                for each in range(2):
                    self.write(each)
                    self.carry(each, len(self.wires[each]))
                assert len(got) > before or self.sides[1 - side].unread(stream)
            assert got == sent
            if (stream, side) in self.ended:
                assert self.sides[1 - side].peer_ended(stream)


TestTwoSides = TwoSides.TestCase
