"""Closed yamux streams: all that was sent on them arrives, and they are not kept for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.yamux_pair import carry, opened, syn
from transports.yamux import session as bounds
from transports.yamux.codec import WINDOW_BYTES, Flag, Kind, encode
from transports.yamux.session import Opened, Reset, Session

if TYPE_CHECKING:
    from transports.yamux.session import Event


@pytest.mark.parametrize("before", [True, False])
def test_what_nobody_reads_costs_nothing_of_what_was_sent(before: bool) -> None:
    client, server, stream = opened()
    server.send(stream, b"all of it")
    if before:
        client.send(stream, b"unread")
        carry(client, server)
    server.close(stream)
    assert server.buffered == 0
    client.send(stream, b"late")
    carry(client, server)
    carry(server, client)
    assert client.read(stream, 100) == b"all of it"
    assert client.peer_ended(stream)
    client.close(stream)
    carry(client, server)
    assert (client.streams, server.streams) == (0, 0)


@pytest.mark.parametrize("before", [0, WINDOW_BYTES // 2, WINDOW_BYTES])
def test_a_closed_stream_is_reset_once_the_peer_would_wait_for_ever(before: int) -> None:
    client, server, stream = opened()

    def send(size: int) -> None:
        while size:
            size -= client.send(stream, bytes(size))
            carry(client, server)

    send(before)
    server.close(stream)
    assert server.streams == (before < WINDOW_BYTES)
    send(WINDOW_BYTES - before)
    assert server.streams == 0
    assert carry(server, client)[-1] == Reset(stream)
    assert client.streams == 0
    # on its way when it was reset
    assert server.receive_data(encode(Kind.DATA, 0, stream, 1) + b"x") == []
    server.close(stream)


def test_the_end_of_a_stream_has_a_frame_of_its_own() -> None:
    client = Session(client=True, clock=lambda: 0.0)
    stream = client.open()
    client.send(stream, b"last")
    client.close(stream)
    # as hashicorp/yamux writes it: a window's growth by nothing
    assert client.data_to_send()[0].hex(" ", 4) == (
        "00010001 00000001 00000000 00000000 00000001 00000004 6c617374 00010004 00000001 00000000"
    )


@pytest.mark.parametrize("size", [0, 1000, 64 * 1024])
def test_any_number_of_streams_is_closed_at_once_and_all_of_each_arrives(size: int) -> None:
    client, server = Session(client=True, clock=lambda: 0.0), Session(client=False, clock=lambda: 0.0)
    streams = [client.open() for _ in range(bounds.BACKLOG)]
    carry(client, server)
    for stream in streams:
        assert server.accept() == stream
        assert server.send(stream, bytes(size)) == size
        server.close(stream)
    # the client has ended none of them: it reads first
    while server.sending:
        assert not any(isinstance(event, Reset) for event in carry(server, client))
    for stream in streams:
        assert client.unread(stream) == size
        assert client.peer_ended(stream)


def test_ended_streams_that_the_peer_keeps_are_bounded() -> None:
    client = Session(client=True, clock=lambda: 0.0)
    for _ in range(2 * bounds.MAX_STREAMS):
        stream = client.open()
        client.receive_data(encode(Kind.WINDOW, Flag.ACK, stream, 0))
        client.close(stream)
        client.data_to_send()
    assert client.streams == bounds.MAX_STREAMS


def test_room_is_made_by_the_oldest_that_has_left_and_never_by_one_that_is_still_sent() -> None:
    server = Session(client=False, clock=lambda: 0.0)

    def open_and_close(number: int, data: bytes) -> list[Event]:
        stream = 2 * number + 1
        events = server.receive_data(syn(stream))
        if server.accept() is not None:
            server.send(stream, data)
            server.close(stream)
        return events

    # its window is closed by what it was sent: the rest of it has to wait
    server.receive_data(syn(1))
    server.accept()
    for _ in range(4):
        server.send(1, bytes(64 * 1024))
        while server.data_to_send()[0]:
            pass
    server.send(1, b"rest")
    server.close(1)
    for number in range(1, 2 * bounds.MAX_STREAMS):
        assert open_and_close(number, b"x") == [Opened(2 * number + 1)]
        while server.data_to_send()[0]:
            pass
    assert server.streams == bounds.MAX_STREAMS
    assert server.has(1)
    assert not server.has(3)
    server.receive_data(encode(Kind.WINDOW, 0, 1, 100))
    assert server.data_to_send()[0] == encode(Kind.DATA, 0, 1, 4) + b"rest" + encode(Kind.WINDOW, Flag.FIN, 1, 0)
