"""Every fact of the protocol's tables, each a row: without I/O, split at any byte, and over real sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.support.calls import client_on, failure_of, request, responses, server_of
from tests.support.ttrpc_facts import CLIENT, FINISHED, SERVER, SPOILED, Answered, Received, call, reply
from transports.errors import EndpointBroken, RemoteProtocolError, RpcStatusError, StatusCode, TransportError
from transports.stream import SocketStream
from transports.ttrpc.codec import MAX_BODY, FrameDecoder, decode_response
from transports.ttrpc.connection import ClientConnection, ServerConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from trio.testing import MockClock

    from transports.calls.client import CallClient
    from transports.calls.server import CallContext

SMALL = 4096


def _named(rows: tuple[Any, ...]) -> list[Any]:
    return [pytest.param(row, id=row.name) for row in rows]


def _chunkings(wire: bytes) -> Iterator[list[bytes]]:
    """Whole; cut once at every offset; byte by byte. Large rows: in the pieces in which a kernel might give them."""
    yield [wire]
    if len(wire) < SMALL:
        yield from ([wire[:cut], wire[cut:]] for cut in range(1, len(wire)))
        yield [wire[at : at + 1] for at in range(len(wire))]
    else:
        yield [wire[at : at + 65521] for at in range(0, len(wire), 65521)]


def _refusals(server: ServerConnection) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for frame in FrameDecoder().feed(server.data_to_send()):
        response = decode_response(frame.buffer, frame.start, frame.end)
        found.append((frame.stream_id, response.code, response.message))
    return found


def _same(found: list[tuple[int, int, str]], expected: tuple[tuple[int, int, str], ...]) -> bool:
    """The same ids and codes in order, each text beginning as it should."""
    return [row[:2] for row in found] == [row[:2] for row in expected] and all(
        text.startswith(begins) for (_, _, text), (_, _, begins) in zip(found, expected, strict=True)
    )


# Servers


def _serve(server: ServerConnection, row: Received, pieces: list[bytes]) -> None:
    calls = [called for piece in pieces for called in server.receive_data(piece)]
    assert tuple((called.stream_id, called.request.payload) for called in calls) == row.served
    refusals = _refusals(server)
    assert _same(refusals, row.refused), refusals
    # whatever it was, the connection lives
    (after,) = (
        server.receive_data(call(2**32 - 1, b"alive")) if row.served[-1:] != ((2**32 - 1, b""),) else (calls[-1],)
    )
    assert after.stream_id == 2**32 - 1


@pytest.mark.parametrize("row", _named((*SERVER, *SPOILED)))
def test_a_server_connection_at_any_chunking(row: Received) -> None:
    for pieces in _chunkings(row.sent):
        _serve(ServerConnection(10), row, pieces)


@pytest.mark.parametrize("row", _named(FINISHED))
def test_a_server_connection_whose_call_is_answered(row: Received) -> None:
    for pieces in _chunkings(row.sent):
        server = ServerConnection(10)
        server.receive_data(call(1))
        server.send_reply(1, b"")
        server.data_to_send()
        _serve(server, row, pieces)


@pytest.mark.parametrize("row", _named(SERVER))
async def test_a_server_over_a_real_socket(row: Received, autojump_clock: MockClock) -> None:
    near, far = map(SocketStream, socket.socketpair())
    async with near, trio.open_nursery() as nursery:
        nursery.start_soon(server_of().serve_stream, far)
        nursery.start_soon(near.send_all, row.sent)
        answers = await responses(near, len(row.served) + len(row.refused))
        # replies come as they are ready
        served = sorted((stream_id, payload) for stream_id, code, _, payload in answers if not code)
        assert served == sorted(row.served)
        assert _same([(stream_id, code, text) for stream_id, code, text, _ in answers if code], row.refused), answers
        await _still_serves(near, row)
        nursery.cancel_scope.cancel()


async def _still_serves(near: trio.abc.Stream, row: Received) -> None:
    if row.name != "ids: the highest":
        await near.send_all(call(2**32 - 1, b"alive"))
        assert await responses(near, 1) == [(2**32 - 1, 0, "", b"alive")]


@pytest.mark.parametrize("row", _named(SPOILED))
async def test_a_spoiled_call_over_a_real_socket_is_answered_once(row: Received, autojump_clock: MockClock) -> None:
    near, far = map(SocketStream, socket.socketpair())
    go = trio.Event()

    async def echo_later(payload: bytes, _: CallContext) -> bytes:
        await go.wait()
        return payload

    async with near, trio.open_nursery() as nursery:
        nursery.start_soon(server_of(Echo=echo_later).serve_stream, far)
        await near.send_all(row.sent)
        ((stream_id, code, text, _),) = await responses(near, 1)
        assert _same([(stream_id, code, text)], row.refused)
        go.set()
        await _still_serves(near, row)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("row", _named(FINISHED))
async def test_a_finished_call_over_a_real_socket(row: Received, autojump_clock: MockClock) -> None:
    near, far = map(SocketStream, socket.socketpair())
    async with near, trio.open_nursery() as nursery:
        nursery.start_soon(server_of().serve_stream, far)
        await near.send_all(call(1, b"x"))
        assert await responses(near, 1) == [(1, 0, "", b"x")]
        await near.send_all(row.sent)
        ((stream_id, code, text, _),) = await responses(near, 1)
        assert _same([(stream_id, code, text)], row.refused)
        await _still_serves(near, row)
        nursery.cancel_scope.cancel()


async def _huge(_payload: bytes, _context: CallContext) -> bytes:
    await trio.lowlevel.checkpoint()
    return bytes(MAX_BODY - 4)


async def _largest(_payload: bytes, _context: CallContext) -> bytes:
    await trio.lowlevel.checkpoint()
    return bytes(MAX_BODY - 5)


async def _plain_error(_payload: bytes, _context: CallContext) -> bytes:
    await trio.lowlevel.checkpoint()
    raise FileNotFoundError("a path of ours")


ANSWERS = (
    ("errors: unknown service", request(1, "X").replace(b"t.S", b"t.X"), 12, "service t.X"),
    ("errors: unknown method", request(1, "Nope"), 12, "method Nope"),
    ("errors: a slash before the method", request(1, "/Echo"), 12, "method /Echo"),
    ("errors: a handler's plain error tells its type alone", request(1, "Fail"), 13, "FileNotFoundError"),
    ("deadline: hit on the server", request(1, "Never", nanos=1_000_000), 4, "context deadline exceeded"),
    ("deadline: one nanosecond", request(1, "Never", nanos=1), 4, "context deadline exceeded"),
    ("size: a reply of exactly 4 MiB", request(1, "Largest"), 0, ""),
    ("size: a reply one byte over", request(1, "Huge"), 8, "the response has 4194305 bytes"),
)


@pytest.mark.parametrize(("sent", "code", "begins"), [pytest.param(*row, id=name) for name, *row in ANSWERS])
async def test_what_a_server_answers_over_a_real_socket(
    sent: bytes, code: int, begins: str, autojump_clock: MockClock
) -> None:
    near, far = map(SocketStream, socket.socketpair())
    async with near, trio.open_nursery() as nursery:
        server = server_of([], Huge=_huge, Largest=_largest, Fail=_plain_error)
        nursery.start_soon(server.serve_stream, far)
        await near.send_all(sent)
        ((stream_id, found, text, payload),) = await responses(near, 1)
        assert (stream_id, found) == (1, code)
        assert text.startswith(begins)
        assert len(payload) == (0 if code else MAX_BODY - 5)
        await near.send_all(call(3, b"alive"))
        assert await responses(near, 1) == [(3, 0, "", b"alive")]
        nursery.cancel_scope.cancel()


async def test_closing_a_half_closed_client_is_gone_over_a_real_socket(autojump_clock: MockClock) -> None:
    ours, theirs = socket.socketpair()
    cancelled = trio.Event()

    async def wait(_payload: bytes, _context: CallContext) -> bytes:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()
        raise AssertionError

    near = SocketStream(ours)
    async with near, trio.open_nursery() as nursery:
        nursery.start_soon(server_of(Wait=wait).serve_stream, SocketStream(theirs))
        await near.send_all(request(1, "Wait"))
        ours.shutdown(socket.SHUT_WR)
        assert await near.receive_some() == b""
        assert cancelled.is_set()


# Clients


@pytest.mark.parametrize("row", _named(CLIENT))
def test_a_client_connection_at_any_chunking(row: Answered) -> None:
    for pieces in _chunkings(row.sent):
        client = ClientConnection()
        assert [client.send_request("t.S", "Echo", b"") for _ in range(2)] == [1, 3]
        found: dict[int, bytes | int] = {}
        for piece in pieces:
            for answer in client.receive_data(piece):
                assert answer.stream_id not in found
                found[answer.stream_id] = answer.code or answer.payload
        assert (found.get(1), found.get(3)) == (row.first, row.second)
        assert client.dropped_replies == row.dropped
        assert (client.failure is not None) is bool(row.broken)
        assert row.broken in str(client.failure)


@pytest.mark.parametrize("row", _named(CLIENT))
async def test_a_client_over_a_real_socket(row: Answered, autojump_clock: MockClock) -> None:
    near, far = map(SocketStream, socket.socketpair())
    async with far, trio.open_nursery() as nursery:
        client = await client_on(nursery, near)
        found: dict[int, bytes | TransportError] = {}
        try:
            async with trio.open_nursery() as calls:
                for number in (1, 3):
                    # one after the other, so that ids are as the rows say
                    calls.start_soon(_outcome, client, number, found)
                    await trio.testing.wait_all_tasks_blocked()
                await far.send_all(row.sent)
                if row.first is None and not row.broken:
                    await trio.testing.wait_all_tasks_blocked(0.02)
                    assert client.calls_in_flight == 1
                    await client.aclose()
        finally:
            await client.aclose()
        _as_said(found[1], row.first, row)
        _as_said(found[3], row.second, row)
        assert client.dropped_replies == row.dropped


async def _outcome(client: CallClient, number: int, found: dict[int, bytes | TransportError]) -> None:
    try:
        found[number] = await client.call("t.S", "Echo", b"")
    except TransportError as error:
        found[number] = error


def _as_said(found: bytes | TransportError, expected: bytes | int | None, row: Answered) -> None:
    if expected is None:
        assert isinstance(found, RemoteProtocolError) is bool(row.broken)
        assert row.broken in str(found)
    elif isinstance(expected, int):
        assert isinstance(found, RpcStatusError)
        assert found.code == expected
    else:
        assert found == expected


async def _close(far: SocketStream, _: socket.socket) -> None:
    await far.aclose()


async def _half_close(_: SocketStream, raw: socket.socket) -> None:
    await trio.lowlevel.checkpoint()
    raw.shutdown(socket.SHUT_WR)


async def _half_a_frame(far: SocketStream, _: socket.socket) -> None:
    await far.send_all(reply(1, b"x" * 100)[:50])
    await far.aclose()


@pytest.mark.parametrize("end", [_close, _half_close, _half_a_frame])
async def test_every_call_ends_when_the_server_does(
    end: Callable[[SocketStream, socket.socket], Awaitable[None]], autojump_clock: MockClock
) -> None:
    ours, theirs = socket.socketpair()
    near, far = SocketStream(ours), SocketStream(theirs)
    async with far, trio.open_nursery() as nursery:
        client = await client_on(nursery, near)
        found: dict[int, bytes | TransportError] = {}
        async with trio.open_nursery() as calls:
            for number in range(20):
                calls.start_soon(_outcome, client, number, found)
            await trio.testing.wait_all_tasks_blocked()
            await end(far, theirs)
        assert {type(outcome) for outcome in found.values()} == {EndpointBroken}
        assert isinstance(await failure_of(lambda: client.call("t.S", "Echo", b"")), EndpointBroken)


async def test_a_late_reply_is_dropped_and_the_next_call_gets_its_own(autojump_clock: MockClock) -> None:
    near, far = map(SocketStream, socket.socketpair())
    async with far, trio.open_nursery() as nursery:
        client = await client_on(nursery, near)
        with trio.move_on_after(0.01) as scope:
            await client.call("t.S", "Echo", b"")
        assert scope.cancelled_caught
        found: dict[int, bytes | TransportError] = {}
        async with trio.open_nursery() as calls:
            calls.start_soon(_outcome, client, 3, found)
            await trio.testing.wait_all_tasks_blocked()
            await far.send_all(reply(1, b"late") + reply(3, b"mine"))
        assert found == {3: b"mine"}
        assert client.dropped_replies == 1
        await client.aclose()


def test_the_codes_are_grpc_s() -> None:
    assert [code.value for code in StatusCode] == list(range(17))
