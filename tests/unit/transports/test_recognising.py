"""A wrong peer is named within a second, whoever is there and whoever was expected. Virtual time; real services behind."""

from __future__ import annotations

import os
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.agents.hyperstart.link import HyperstartLink
from actors.errors import AgentUnreachable
from actors.limits import DEFAULT_LIMITS
from tests.support import hyperstart_guest
from tests.support.calls import request, server_of
from tests.support.port import Port
from transports.address import Address
from transports.agent_sockets import open_dialer, serve_addresses
from transports.errors import RpcStatusError, Unreachable, WrongPeer
from transports.hyperstart.codec import Code
from transports.recognise import PROBES, Peer, advice, recognise
from transports.recognising import ask_who_is_there, recognising_dialer
from transports.stream import dial_with_backoff, serve_unix
from transports.ttrpc.client import TtrpcClient
from transports.yamux.dialer import open_yamux_dialer, serve_yamux
from transports.yamux.session import Session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from transports.base import Dialer

    Serve = Callable[[trio.abc.Stream], Awaitable[object]]


async def _http2(stream: trio.abc.Stream) -> None:
    """A server of the real library; it says its settings first."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    await stream.send_all(connection.data_to_send())
    try:
        while data := await stream.receive_some():
            connection.receive_data(bytes(data))
            await stream.send_all(connection.data_to_send())
    except Exception:  # whatever it makes of another protocol, it closes
        await stream.aclose()


async def _patient_http2(stream: trio.abc.Stream) -> None:
    """One that lets its client speak first."""
    if bytes(await stream.receive_some()).startswith(b"PRI * HTTP/2.0"):
        await stream.send_all(bytes.fromhex("000000 04 00 00000000"))
        await trio.sleep_forever()


async def _http1(stream: trio.abc.Stream) -> None:
    received = b""
    while b"\n" not in received and (data := await stream.receive_some()):
        received += data
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


async def _ssh(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    await trio.sleep_forever()


async def _vmm(stream: trio.abc.Stream) -> None:
    received = b""
    while b"\n" not in received and (data := await stream.receive_some()):
        received += data
    if received.startswith(b"CONNECT 1024\n"):
        await stream.send_all(b"OK 1073741824\n")
        await trio.sleep_forever()


async def _yamux(stream: trio.abc.Stream) -> None:
    await serve_yamux(stream, server_of().serve_stream)


async def _silence(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        pass
    await trio.sleep_forever()


async def _hang_up(stream: trio.abc.Stream) -> None:
    await stream.aclose()


SERVERS: dict[str, tuple[Serve | None, Peer | None]] = {
    "ttrpc": (server_of().serve_stream, Peer.TTRPC),
    "http2": (_http2, Peer.GRPC),
    "patient http2": (_patient_http2, Peer.GRPC),
    "hyperstart control": (None, Peer.CONTROL),
    "hyperstart streams": (None, Peer.STREAMS),
    "yamux": (_yamux, Peer.YAMUX),
    "vmm": (_vmm, Peer.HYBRID),
    "ssh": (_ssh, Peer.SSH),
    "http1": (_http1, Peer.HTTP),
    "silence": (_silence, None),
    "hangs up": (_hang_up, None),
}
SAYS: dict[Peer, bytes] = {
    Peer.TTRPC: PROBES[1],
    Peer.GRPC: PROBES[2],
    Peer.CONTROL: b"",
    Peer.STREAMS: b"",
    Peer.YAMUX: PROBES[0],
}


@asynccontextmanager
async def open_server(name: str) -> AsyncGenerator[Dialer]:
    """Each dial is one more connection."""
    async with trio.open_nursery() as nursery:
        serve = SERVERS[name][0]

        async def dial() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            near, far = trio.testing.memory_stream_pair()
            nursery.start_soon(_until_closed, serve, far)
            return near

        if serve is None:
            async with hyperstart_guest.open_guest() as guest:
                yield guest.dial_control if name.endswith("control") else guest.dial_streams
        else:
            yield dial
        nursery.cancel_scope.cancel()


async def _until_closed(serve: Any, stream: trio.abc.Stream) -> None:
    try:
        await serve(stream)
    except trio.BrokenResourceError:
        return
    finally:
        await trio.aclose_forcefully(stream)


@dataclass
class Told:
    """What somebody who expected `expected` at a server learnt of the first link, and how many links that took."""

    heard: bytes | None = None
    failure: BaseException | None = None
    dialled: int = 0


async def first_words(dial: Dialer, expected: Peer) -> Told:
    told = Told()

    async def counted() -> trio.abc.Stream:
        told.dialled += 1
        return await dial()

    stream = await recognising_dialer(counted, expected)()
    with trio.move_on_after(60):
        try:
            if SAYS[expected]:
                await stream.send_all(SAYS[expected])
            told.heard = bytes(await stream.receive_some())
        except trio.BrokenResourceError as error:
            told.failure = error.__cause__
    return told


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("expected", [Peer.TTRPC, Peer.GRPC])
async def test_who_is_no_kata_agent_is_told_within_a_second(
    name: str, expected: Peer, autojump_clock: trio.testing.MockClock
) -> None:
    found = SERVERS[name][1]
    async with open_server(name) as dial:
        began = trio.current_time()
        told = await first_words(dial, expected)
        if found is expected:
            assert told.heard
        elif found is not None:
            assert trio.current_time() - began <= 1.0
            assert isinstance(told.failure, WrongPeer)
            assert str(told.failure) == advice(found, expected)
        else:
            # nobody can say who it is: its silence is the caller's to bound, and its end is told as that
            assert not isinstance(told.failure, WrongPeer)
            assert not told.heard


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("expected", [Peer.CONTROL, Peer.STREAMS, Peer.YAMUX])
async def test_where_there_is_one_link_its_own_bytes_decide(
    name: str, expected: Peer, autojump_clock: trio.testing.MockClock
) -> None:
    """A second link would wait at a VMM, and what it said reach the guest once the first has closed."""
    found = SERVERS[name][1]
    async with open_server(name) as dial:
        told = await first_words(dial, expected)
        assert told.dialled == 1
        if told.failure is not None:
            assert found is not None
            assert str(told.failure) == advice(found, expected)
        else:
            assert not told.heard or found is expected
        if name in ("http2", "ssh"):
            assert isinstance(told.failure, WrongPeer), "who speaks first is known"


@pytest.mark.parametrize("name", SERVERS)
async def test_who_is_there_is_told_when_asked(name: str, autojump_clock: trio.testing.MockClock) -> None:
    async with open_server(name) as dial:
        assert await ask_who_is_there(dial, Peer.TTRPC) is SERVERS[name][1]
        assert trio.current_time() <= 1.0


async def test_the_first_call_of_a_client_names_the_wrong_dialect(autojump_clock: trio.testing.MockClock) -> None:
    async with open_server("patient http2") as dial, trio.open_nursery() as nursery:
        client = TtrpcClient(await recognising_dialer(dial, Peer.TTRPC)())
        nursery.start_soon(client.run)
        with pytest.raises(WrongPeer, match=r"it speaks HTTP/2, not ttRPC: agents of Kata 1.x do; use --dialect grpc$"):
            await client.call("grpc.Health", "Check", b"")
        assert trio.current_time() <= 1.0


async def test_a_slow_agent_of_the_right_kind_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    async with open_server("ttrpc") as dial, trio.open_nursery() as nursery:
        client = TtrpcClient(await recognising_dialer(dial, Peer.TTRPC)())
        nursery.start_soon(client.run)
        assert await client.call("t.S", "Sleep", b"30000") is not None
        with pytest.raises(RpcStatusError):
            await client.call("t.S", "Nothing", b"")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["http2", "ssh"])
async def test_a_hyperstart_link_names_who_else_is_there(name: str, autojump_clock: trio.testing.MockClock) -> None:
    found = SERVERS[name][1]
    assert found is not None
    async with open_server(name) as dial:
        link = HyperstartLink(
            recognising_dialer(dial, Peer.CONTROL), recognising_dialer(dial, Peer.STREAMS), DEFAULT_LIMITS
        )
        with pytest.raises(AgentUnreachable) as caught:
            await link.run()
        assert f"it speaks {found}" in str(caught.value)
        assert trio.current_time() <= 1.1


async def test_swapped_channels_are_told(autojump_clock: trio.testing.MockClock) -> None:
    """By the READY on what should be the stream channel."""
    async with hyperstart_guest.open_guest() as guest:
        link = HyperstartLink(
            recognising_dialer(guest.dial_streams, Peer.CONTROL),
            recognising_dialer(guest.dial_control, Peer.STREAMS),
            DEFAULT_LIMITS,
        )
        with pytest.raises(AgentUnreachable, match="are --address and --tty-address swapped"):
            await link.run()
        assert trio.current_time() <= 1.0


async def test_a_hyperstart_guest_survives_the_safe_probes(autojump_clock: trio.testing.MockClock) -> None:
    """Each is a whole frame on either channel, or as good as one on the control channel."""
    async with hyperstart_guest.open_guest() as guest:
        control, streams = await guest.dial_control(), await guest.dial_streams()
        await control.send_all(PROBES[0] + PROBES[1])
        await streams.send_all(PROBES[0])
        assert await streams.receive_some() == PROBES[0]
        await control.aclose()
        await streams.aclose()
        async with trio.open_nursery() as nursery:
            link = HyperstartLink(guest.dial_control, guest.dial_streams, DEFAULT_LIMITS)
            await nursery.start(link.run)
            assert (await link.command(Code.PING)).payload == b""
            nursery.cancel_scope.cancel()


async def test_an_agent_behind_no_yamux_is_named(autojump_clock: trio.testing.MockClock) -> None:
    for name in ("http2", "ssh"):
        async with open_server(name) as dial, open_yamux_dialer(recognising_dialer(dial, Peer.YAMUX)) as dial_stream:
            found = SERVERS[name][1]
            assert found is not None
            with pytest.raises(WrongPeer) as caught:
                await dial_stream()
            assert str(caught.value) == advice(found, Peer.YAMUX)


@pytest.mark.parametrize("delay", [0.0, 0.5, 1.5, 20.0])
async def test_a_slow_guest_s_port_gets_nothing_but_yamux(delay: float, autojump_clock: trio.testing.MockClock) -> None:
    """Over one connection, whether its first answer comes within a second or long after."""
    async with trio.open_nursery() as nursery:
        port = Port(nursery, _yamux, delay)
        async with open_yamux_dialer(recognising_dialer(port.dial, Peer.YAMUX)) as dial, trio.open_nursery() as calls:
            stream = await dial_with_backoff(recognising_dialer(dial, Peer.TTRPC, several=False), seconds=30)
            client = TtrpcClient(stream)
            calls.start_soon(client.run)
            assert await client.call("t.S", "Echo", b"x") == b"x"
            calls.cancel_scope.cancel()
        assert len(port.said) == 1
        # one session whose only stream has one call: each frame is yamux's own, and the stream's bytes are ttRPC's
        session = Session(client=False, clock=lambda: 0.0)
        session.receive_data(bytes(port.said[0]))
        assert session.failure is None
        number = session.accept()
        assert number is not None
        said = bytes(session.read(number, 4096))
        assert said == request(1, "Echo", b"x")
        assert session.accept() is None
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [("serial", Peer.TTRPC), ("unix", Peer.CONTROL), ("unix", Peer.STREAMS), ("serial", Peer.CONTROL)],
)
async def test_what_a_vmm_keeps_waiting_is_never_dialled(scheme: str, expected: Peer) -> None:
    """On real sockets, of a guest that says nothing and then hangs up: no second connection is made beside the first."""
    dialled = 0

    async def silent(stream: trio.abc.Stream) -> None:
        nonlocal dialled
        dialled += 1
        await trio.sleep(1.2)
        await stream.aclose()

    with tempfile.TemporaryDirectory(prefix="katrio-") as directory:
        path = os.path.join(directory, "port.sock")
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_unix, path, silent)
            async with open_dialer(Address(scheme, path), expected) as dial:
                try:
                    async with await dial() as stream:
                        assert await stream.receive_some() == b""
                except Unreachable:
                    assert scheme == "serial"
            assert dialled == 1
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["ttrpc", "http2", "ssh", "hangs up", "yamux"])
async def test_a_hybrid_socket_that_is_none_is_named(name: str) -> None:
    serve, found = SERVERS[name]
    assert serve is not None
    with tempfile.TemporaryDirectory(prefix="katrio-") as directory:
        path = os.path.join(directory, "vm.sock")
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_unix, path, partial(_until_closed, serve))
            async with open_dialer(Address("hvsock", path, 1024), Peer.TTRPC) as dial:
                with trio.fail_after(20), pytest.raises(Unreachable if found is None else WrongPeer) as caught:
                    await dial()
            if found is not None:
                assert f"it speaks {found}, not hybrid vsock" in str(caught.value)
            nursery.cancel_scope.cancel()


async def test_a_right_hybrid_socket_is_passed_on() -> None:
    with tempfile.TemporaryDirectory(prefix="katrio-") as directory:
        address = Address("hvsock", os.path.join(directory, "vm.sock"), 1024)
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_addresses, [(address, server_of().serve_stream)])
            async with open_dialer(address, Peer.TTRPC) as dial, trio.open_nursery() as calls:
                client = TtrpcClient(await dial())
                calls.start_soon(client.run)
                assert await client.call("t.S", "Echo", b"x") == b"x"
                calls.cancel_scope.cancel()
            nursery.cancel_scope.cancel()


@given(st.binary(max_size=80), st.sampled_from([None, *Peer]))
def test_any_bytes_can_be_looked_at(first: bytes, expected: Peer | None) -> None:
    found = recognise(first, expected=expected)
    if found is not None:
        for other in Peer:
            assert advice(found, other).startswith(f"it speaks {found}, not {other}: ")


@given(st.integers(0, 4 << 20), st.integers(0, 2**31).map(lambda number: 2 * number + 1), st.sampled_from([2, 3]))
def test_no_reply_of_a_right_agent_is_taken_for_another(length: int, stream: int, kind: int) -> None:
    header = length.to_bytes(4, "big") + (stream % 2**32).to_bytes(4, "big") + bytes([kind, 0])
    assert recognise(header + b"body", expected=Peer.TTRPC) is Peer.TTRPC
