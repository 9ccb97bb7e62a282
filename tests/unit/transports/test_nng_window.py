"""The frames of an nng link and its credit, without nng: two windows and pipes that stall as they like."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.foreign import packb, unpackb
from transports.errors import EndpointBusy, MessageTooLarge, RemoteProtocolError
from transports.nng.frames import FRAME_BYTES, MAX_MESSAGES, Frame, Kind, decode_frame, encode_frame
from transports.nng.window import BATCH_BYTES, CREDIT, QUEUE_BYTES, Window

LARGEST = 64 * 1024
# what nng queues for one pipe of a raw REP socket before it drops in silence
NNG_QUEUE = 64


class Side:
    """A window, what is under way to it, and what it got."""

    def __init__(self, credit: int) -> None:
        self.window = Window(message_bytes=LARGEST, credit=credit)
        self.pipe: deque[bytes] = deque()
        self.sent: list[bytes] = []
        self.got: list[bytes] = []

    def push(self, message: bytes) -> None:
        self.window.push(message)
        self.sent.append(message)

    def flush_to(self, other: Side) -> None:
        while (frame := self.window.next_frame()) is not None:
            other.pipe.append(frame)

    def take(self, count: int) -> None:
        for _ in range(min(count, len(self.pipe))):
            frame = decode_frame(self.pipe.popleft())
            self.window.take(frame)
            if frame.messages:
                self.window.handed_on()
            self.got.extend(frame.messages)


moves = st.lists(
    st.tuples(
        st.sampled_from(["push", "flush", "take"]),
        st.booleans(),
        st.integers(min_value=1, max_value=200),
    ),
    max_size=200,
)


@given(credit=st.sampled_from([1, 2, 8, CREDIT]), moves=moves)
def test_whatever_stalls_nothing_is_lost_and_nngs_queue_never_fills(
    credit: int, moves: list[tuple[str, bool, int]]
) -> None:
    sides = (Side(credit), Side(credit))
    for move, left, count in moves:
        us, them = sides if left else sides[::-1]
        if move == "push":
            for number in range(count):
                us.push(b"%d" % number)
        elif move == "flush":
            us.flush_to(them)
        else:
            us.take(count)
        for side in sides:
            assert side.window.unacked <= credit
            assert len(side.pipe) < NNG_QUEUE
    for _ in range(2000):
        for us, them in (sides, sides[::-1]):
            us.flush_to(them)
            them.take(1000)
    for us, them in (sides, sides[::-1]):
        assert them.got == us.sent
        assert us.window.queued == 0


@given(
    kind=st.sampled_from(Kind),
    acked=st.integers(min_value=0, max_value=2**16),
    messages=st.lists(st.binary(max_size=200), max_size=MAX_MESSAGES),
)
def test_a_frame_survives_the_wire_and_any_msgpack_reads_it(kind: Kind, acked: int, messages: list[bytes]) -> None:
    data = encode_frame(kind, acked, messages)
    assert decode_frame(data) == Frame(kind, acked, messages)
    assert unpackb(data) == [int(kind), acked, messages]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        encode_frame(Kind.DATA, 0, [b"x"])[:-1],
        encode_frame(Kind.DATA, 0, []) + b"\0",
        b"\x93\x00\xff\x90",
        packb([0, 0, ["text"]]),
        b"\x93\x09\x00\x90",
        packb([0, 0, [b""] * (MAX_MESSAGES + 1)]),
        packb({"kind": 0}),
        bytes(FRAME_BYTES + 1),
    ],
    ids=["empty", "cut", "trailing", "negative", "text", "kind", "many", "map", "large"],
)
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_frame(body)


def test_messages_that_wait_share_frames_of_bounded_size() -> None:
    window = Window(message_bytes=LARGEST)
    for _ in range(1000):
        window.push(bytes(100))
    for _ in range(2):
        window.push(bytes(LARGEST))
    sizes: list[int] = []
    while (data := window.next_frame()) is not None:
        assert len(data) <= FRAME_BYTES
        messages = decode_frame(data).messages
        assert sum(map(len, messages)) <= BATCH_BYTES
        sizes.append(len(messages))
    assert sizes == [64] * 15 + [40, 1, 1]


def test_a_full_queue_and_a_large_message_are_refused_and_change_nothing() -> None:
    window = Window(message_bytes=LARGEST)
    with pytest.raises(MessageTooLarge):
        window.push(bytes(LARGEST + 1))
    while True:
        try:
            window.push(bytes(1000))
        except EndpointBusy:
            break
    assert 0 < window.queued * 1000 <= QUEUE_BYTES
    assert not window.roomy
    while window.next_frame() is not None:
        pass
    assert window.roomy


def test_acks_of_what_was_never_sent_and_frames_without_credit_break_the_protocol() -> None:
    window = Window(message_bytes=LARGEST)
    with pytest.raises(RemoteProtocolError, match="acked"):
        window.take(Frame(Kind.DATA, 1, []))
    window = Window(message_bytes=LARGEST)
    for _ in range(CREDIT):
        window.take(Frame(Kind.DATA, 0, [b""]))
    with pytest.raises(RemoteProtocolError, match="credit"):
        window.take(Frame(Kind.DATA, 0, [b""]))
    with pytest.raises(RemoteProtocolError, match="PING"):
        Window(message_bytes=LARGEST).take(Frame(Kind.PING, 0, [b""]))


def test_acks_alone_leave_after_a_quarter_of_the_credit_and_else_ride_along() -> None:
    window = Window(message_bytes=LARGEST)
    for _ in range(CREDIT // 4 - 1):
        window.take(Frame(Kind.DATA, 0, [b""]))
        assert window.next_frame() is None, "nothing is acked before it is handed on"
        window.handed_on()
    assert window.next_frame() is None
    window.push(b"x")
    data = window.next_frame()
    assert data is not None
    assert decode_frame(data) == Frame(Kind.DATA, CREDIT // 4 - 1, [b"x"])
    for _ in range(CREDIT // 4):
        window.take(Frame(Kind.DATA, 0, [b""]))
        window.handed_on()
    data = window.next_frame()
    assert data is not None
    assert decode_frame(data) == Frame(Kind.DATA, CREDIT // 4, [])
