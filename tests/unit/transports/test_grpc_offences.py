"""What a peer that breaks HTTP/2 does to a gRPC connection: an end that all who wait are told of, and nothing more is said."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.support.calls import PROTOCOLS, server_of
from transports.errors import RemoteProtocolError
from transports.grpc.calling import ClientConnection
from transports.grpc.client import GrpcClient
from transports.grpc.serving import ServerConnection

NO_SETTINGS = bytes(9)
GOAWAY = 7


async def test_all_calls_in_flight_are_told_of_an_agent_that_breaks_http2(
    autojump_clock: trio.testing.MockClock,
) -> None:
    near, far = trio.testing.memory_stream_pair()
    client = GrpcClient(near)
    told: list[str] = []

    async def call() -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            await client.call("t.S", "Echo", b"")
        told.append(str(caught.value))

    async with trio.open_nursery() as nursery:
        await nursery.start(client.run)
        nursery.start_soon(call)
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        await far.send_all(NO_SETTINGS)
    assert len(told) == 2
    assert all("does not speak HTTP/2" in text for text in told)
    with pytest.raises(RemoteProtocolError, match="does not speak HTTP/2"):
        await client.call("t.S", "Echo", b"")


def test_a_call_that_is_given_up_after_the_failure_says_nothing() -> None:
    client = ClientConnection(lambda: 0.0)
    stream_id = client.send_request("t.S", "Echo", b"")
    client.receive_data(NO_SETTINGS)
    client.data_to_send()
    client.forget(stream_id)
    assert client.data_to_send() == b""


@pytest.mark.parametrize("pieces", [[b"PRI \0"], [b"PRI ", b"\0"], [b"P", b"R", b"I", b" ", b"\0"]])
def test_what_begins_like_http2_is_not_taken_for_ttrpc_however_it_was_read(pieces: list[bytes]) -> None:
    server = ServerConnection(8, lambda: 0.0)
    for piece in pieces:
        assert list(server.receive_data(piece)) == []
    assert str(server.failure) == "the client does not speak HTTP/2"
    other = ServerConnection(8, lambda: 0.0)
    other.receive_data(b"\0\0\0")
    assert "ttRPC" in str(other.failure)


@pytest.mark.parametrize("waits", [False, True], ids=["nothing waits", "a call waits"])
async def test_a_client_that_breaks_http2_is_told_so_before_its_connection_ends(
    waits: bool, autojump_clock: trio.testing.MockClock
) -> None:
    near, far = trio.testing.memory_stream_pair()
    client = ClientConnection(lambda: 0.0)
    if waits:
        client.send_request("t.S", "Never", b"")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server_of(protocol=PROTOCOLS["grpc"]).serve_stream, far)
        # a frame of data on no stream
        await near.send_all(client.data_to_send() + bytes(9))
        said = b""
        while data := await near.receive_some():
            said += data
    kinds: list[int] = []
    while said:
        length, kind = int.from_bytes(said[:3]), said[3]
        kinds.append(kind)
        said = said[9 + length :]
    assert kinds[-1] == GOAWAY
