"""Whose messages are handed on next, and what a peer may send: endpoints of one listener, without sockets."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.errors import EndpointBusy, EndpointClosed, EndpointSilent, RemoteProtocolError, TransportError
from transports.nng.endpoint import IDLE_FRAMES, Heartbeat, NngEndpoint
from transports.nng.frames import MAX_MESSAGES, Frame, Kind, decode_frame, encode_frame
from transports.nng.turns import ALONE_MESSAGES, FEW_PEERS, NEW_PEERS, SHARE_BYTES, SHARE_MESSAGES, Turns
from transports.nng.window import CREDIT, Window
from transports.shared_bound import SharedBound


class Owner:
    """What a listener is to its endpoints; keeps what they send, and in which order messages are handed on."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.takes = True
        self.sent: list[tuple[str, Kind]] = []
        self.heard: list[tuple[str, bytes]] = []
        self.ended: dict[str, TransportError | None] = {}

    def transmit(self, endpoint: NngEndpoint, frame: bytes) -> bool:
        if self.takes:
            self.sent.append((endpoint.peer, decode_frame(frame).kind))
        return self.takes

    def flush_soon(self, endpoint: NngEndpoint) -> None: ...

    def arrived(self, endpoint: NngEndpoint) -> None:
        self.turns.add(endpoint)

    def drop(self, endpoint: NngEndpoint) -> None: ...

    def peer(self, name: str) -> NngEndpoint:
        endpoint = NngEndpoint(name, 1, self, message_bytes=64 * 1024, credit=CREDIT)
        endpoint.receiver = Ear(name, self)
        return endpoint

    def one_pass(self, *, alone: bool = False) -> int:
        """How many messages it handed on."""
        before = len(self.heard)
        for endpoint in self.turns.take(alone=alone):
            endpoint.flush()
        return len(self.heard) - before


class Ear:
    def __init__(self, name: str, owner: Owner) -> None:
        self._name, self._owner = name, owner

    def received(self, message: bytes) -> None:
        assert self._name not in self._owner.ended, "nothing comes after the end"
        self._owner.heard.append((self._name, message))

    def gone(self, cause: TransportError | None) -> None:
        self._owner.ended[self._name] = cause


def data(*messages: bytes) -> bytes:
    return encode_frame(Kind.DATA, 0, list(messages))


FULL = data(*[b"x"] * MAX_MESSAGES)


@settings(deadline=None, max_examples=50)
@given(floods=st.integers(1, 20), size=st.sampled_from([1, 60, 60_000]), after=st.integers(0, 50))
def test_a_lone_message_waits_for_one_pass_whatever_others_flood(floods: int, size: int, after: int) -> None:
    owner = Owner()
    for number in range(floods):
        flood = owner.peer(f"flood {number}")
        for _ in range(CREDIT):
            flood.frame(data(*[bytes(size)] * (1 if size > 1000 else MAX_MESSAGES)))
    for _ in range(after):
        handed = owner.one_pass()
        assert handed <= (NEW_PEERS + 1) * SHARE_MESSAGES
        lately = owner.heard[len(owner.heard) - handed :]
        assert sum(len(message) for _, message in lately) <= (NEW_PEERS + 1) * (SHARE_BYTES + size)
    polite = owner.peer("polite")
    polite.frame(data(b"please"))
    # behind those that begun to speak before it, as they do in the first passes of all
    for _ in range(1 + max(0, floods // NEW_PEERS - after)):
        owner.one_pass()
    assert ("polite", b"please") in owner.heard


def test_what_is_answered_turn_by_turn_leaves_in_one_frame() -> None:
    owner = Owner()
    peer = owner.peer("chatty")
    peer.frame(FULL)
    while owner.turns.waiting:
        heard = len(owner.heard)
        for endpoint in owner.turns.take(alone=False):
            for _ in owner.heard[heard:]:
                endpoint.send_nowait(b"answer")
            endpoint.flush()
    assert owner.sent == [("chatty", Kind.DATA)]


def test_floods_share_what_is_left_evenly_and_one_costs_a_pass_no_more_than_many() -> None:
    owner = Owner()
    floods = [owner.peer(str(number)) for number in range(20)]
    for flood in floods:
        flood.frame(FULL)
    while owner.turns.waiting and len(owner.heard) < 20 * SHARE_MESSAGES:
        owner.one_pass()
    for _ in range(40):
        assert owner.one_pass() == SHARE_MESSAGES
    counts = {flood.peer: sum(name == flood.peer for name, _ in owner.heard) for flood in floods}
    assert max(counts.values()) - min(counts.values()) <= SHARE_MESSAGES, counts


def test_many_peers_have_one_bound_for_what_waits_and_a_few_are_bounded_by_their_credit() -> None:
    owner = Owner()
    large = data(bytes(64 * 1024))
    for number in range(FEW_PEERS + 1):
        assert not owner.turns.full
        peer = owner.peer(f"peer {number}")
        for _ in range(CREDIT):
            peer.frame(large)
    assert owner.turns.full
    while owner.turns.full:
        assert owner.one_pass() > 0
    assert owner.turns.waiting


def test_a_peer_that_is_alone_is_given_more_in_a_pass() -> None:
    owner = Owner()
    alone = owner.peer("alone")
    alone.frame(FULL)
    alone.frame(FULL)
    assert owner.one_pass(alone=True) == ALONE_MESSAGES


def test_credit_comes_back_with_the_turn_and_not_before() -> None:
    owner = Owner()
    flood = owner.peer("flood")
    for _ in range(CREDIT):
        flood.frame(FULL)
    flood.frame(FULL)
    assert isinstance(owner.ended["flood"], RemoteProtocolError), "a frame more than was acked"

    patient = owner.peer("patient")
    for _ in range(4 * CREDIT):
        patient.frame(data(b"x"))
        owner.one_pass()
    assert "patient" not in owner.ended


@pytest.mark.parametrize("how", ["bye", "lost"])
def test_an_end_is_told_after_all_that_came_before_it(how: str) -> None:
    owner = Owner()
    peer = owner.peer("peer")
    for _ in range(3):
        peer.frame(FULL)
    if how == "bye":
        peer.frame(encode_frame(Kind.BYE, 0, []))
    else:
        peer.lost()
    while owner.turns.waiting:
        owner.one_pass()
    assert len(owner.heard) == 3 * MAX_MESSAGES
    assert list(owner.ended) == ["peer"]
    assert (("peer", Kind.BYE) in owner.sent) is (how == "bye")


@pytest.mark.parametrize("kind", [Kind.PING, Kind.PONG, Kind.DATA])
def test_frames_that_carry_nothing_are_counted_between_looks(kind: Kind) -> None:
    owner = Owner()
    peer = owner.peer("idler")
    for _ in range(3):
        for _ in range(IDLE_FRAMES):
            peer.frame(encode_frame(kind, 0, []))
        peer.watch(Heartbeat())
    assert not owner.ended
    for _ in range(IDLE_FRAMES + 1):
        peer.frame(encode_frame(kind, 0, []))
    assert isinstance(owner.ended["idler"], RemoteProtocolError)
    assert not isinstance(owner.ended["idler"], EndpointClosed)


def test_a_frame_that_nng_does_not_take_leaves_once_and_before_what_comes_after_it() -> None:
    owner = Owner()
    peer = owner.peer("peer")
    owner.takes = False
    peer.frame(encode_frame(Kind.PING, 0, []))
    peer.send_nowait(b"x")
    peer.flush()
    assert owner.sent == []
    owner.takes = True
    for _ in range(2):
        peer.flush()
        assert owner.sent == [("peer", Kind.PONG), ("peer", Kind.DATA)]
    peer.frame(encode_frame(Kind.PING, 0, []))
    peer.flush()
    assert owner.sent[2:] == [("peer", Kind.PONG)], "and what nng takes leaves once as well"


def test_a_peer_that_answers_pings_and_acks_nothing_is_given_up() -> None:
    owner = Owner()
    heartbeat = Heartbeat()
    frozen, slow = owner.peer("frozen"), owner.peer("slow")
    for peer in (frozen, slow):
        for _ in range(CREDIT + 1):
            peer.send_nowait(b"x")
            peer.flush()
    for look in range(heartbeat.looks_before_death):
        assert owner.ended == {}, "not before its time"
        for peer in (frozen, slow):
            peer.frame(encode_frame(Kind.PONG, 0, []))
        if look == 3:
            slow.frame(encode_frame(Kind.DATA, CREDIT, []))
        for peer in (frozen, slow):
            peer.watch(heartbeat)
    assert list(owner.ended) == ["frozen"]
    assert isinstance(owner.ended["frozen"], EndpointSilent)
    assert "acked nothing" in str(owner.ended["frozen"])


def test_what_is_sent_ahead_to_all_peers_has_one_bound_and_each_may_have_a_frame_under_way() -> None:
    bound = SharedBound(1024 * 1024)
    windows = [Window(message_bytes=64 * 1024, account=bound.account()) for _ in range(40)]
    for window in windows:
        with suppress(EndpointBusy):
            while True:
                window.push(bytes(32 * 1024))
                window.next_frame()
        assert window.unacked >= 1
    # one frame of each, whatever the bound
    assert bound.held <= bound.most + len(windows) * 2 * 33 * 1024
    windows[0].take(Frame(Kind.DATA, windows[0].unacked, []))
    assert windows[0].next_frame() is not None
    for window in windows:
        window.close()
    assert bound.held == 0


def test_an_answer_to_a_lone_ask_leaves_at_once_and_those_to_several_leave_together() -> None:
    owner = Owner()
    peer = owner.peer("peer")
    for asks in (1, 1, 2, 1, 3):
        peer.frame(data(*[b"ask"] * asks))
        owner.sent.clear()
        # what the actors answer before the listener flushes at the end of its pass
        for endpoint in owner.turns.take(alone=True):
            endpoint.send_nowait(b"answer")
            assert len(owner.sent) == (asks == 1)
            for _ in range(asks - 1):
                endpoint.send_nowait(b"answer")
            endpoint.flush()
        assert owner.sent == [("peer", Kind.DATA)]
        peer.frame(encode_frame(Kind.DATA, 1, []))
