"""Every kind of agent address over the kernel's own sockets: one body dials, talks, half-closes and leaves nothing."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from transports.address import ANY_CID, Address, parse_agent_address
from transports.agent_sockets import dialer_for, open_dialer, serve_addresses
from transports.errors import AddressError, AddressInUse, RemoteProtocolError, Unreachable
from transports.hybrid.sockets import hybrid_dialer, serve_hybrid
from transports.recognise import Peer
from transports.serial import serial_dialer
from transports.stream import dial_with_backoff, serve_unix, unix_dialer
from transports.vsock import Family, admits, from_host, open_vsock, serve_vsock, vsock_dialer

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def directory() -> Generator[Path]:
    # pytest's own are too long for a socket's path in some places
    with tempfile.TemporaryDirectory(prefix="katrio-") as made:
        yield Path(made)


@pytest.fixture
def vsock() -> None:
    """Skips where there is none: not in an async test, whose nurseries lose the reason."""
    try:
        open_vsock().close()
    except AddressError as error:
        pytest.skip(str(error))


@pytest.fixture
def vsock_loopback(vsock: None) -> None:
    with open_vsock() as sock:
        try:
            sock.bind((1, 55024))
        except OSError as error:
            pytest.skip(f"no vsock loopback on this kernel: {error}")


async def _echo(stream: trio.abc.Stream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def _talk(dial_address: Address, said: bytes = bytes(range(256)) * 40) -> None:
    async with await dial_with_backoff(dialer_for(dial_address), seconds=5) as stream:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, said)
            heard = b""
            while len(heard) < len(said):
                heard += await stream.receive_some()
        assert heard == said


@pytest.mark.parametrize(
    "form",
    ["unix://{}/a.sock", "unix://@katrio-{pid}", "hvsock://{}/vm.sock:1024", "remote:{}/a.sock", "serial:{}/a.sock"],
)
async def test_what_listens_at_an_address_is_reached_by_dialling_it(form: str, directory: Path) -> None:
    address = parse_agent_address(form.format(directory, pid=os.getpid()))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_addresses, [(address, _echo)])
            for name in os.listdir(directory):
                assert stat.S_IMODE(os.stat(directory / name).st_mode) == 0o600
            for _ in range(2):
                await _talk(address)
            with pytest.raises(AddressInUse):
                await serve_addresses([(address, _echo)])
            await _talk(address)
            nursery.cancel_scope.cancel()
        assert os.listdir(directory) == []
        with pytest.raises(Unreachable):
            await dialer_for(address)()


async def test_two_ports_of_one_hybrid_socket_lead_to_two_handlers(directory: Path) -> None:
    control, streams = (parse_agent_address(f"hvsock://{directory}/vm.sock:{port}") for port in (2718, 2719))

    async def say_ready(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"READY")

    async def say_streams(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"streams")

    async with trio.open_nursery() as nursery:
        await nursery.start(serve_addresses, [(control, say_ready), (streams, say_streams)])
        for address, first in ((control, b"READY"), (streams, b"streams")):
            async with await dialer_for(address)() as stream:
                assert await stream.receive_some() == first
        with pytest.raises(Unreachable, match="nobody listens on port 5 in the VM"):
            await hybrid_dialer(f"{directory}/vm.sock", 5)()
        with pytest.raises(AddressError, match="twice"):
            await serve_addresses([(control, _echo), (control, _echo)])
        nursery.cancel_scope.cancel()


async def test_bytes_that_come_with_ok_are_not_swallowed(directory: Path) -> None:
    """A gRPC server speaks first: its SETTINGS may lie in the same packet as OK."""
    path = str(directory / "vm.sock")

    async def vmm(stream: trio.abc.Stream) -> None:
        assert await stream.receive_some(13) == b"CONNECT 1024\n"
        await stream.send_all(b"ok 7\n\x00\x00\x00\x04rest")

    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, vmm)
        async with await hybrid_dialer(path, 1024)() as stream:
            assert await stream.receive_some() == b"\x00\x00\x00\x04rest"
        nursery.cancel_scope.cancel()


async def test_a_guest_that_is_not_up_yet_is_dialled_again_until_it_is(directory: Path) -> None:
    path = str(directory / "vm.sock")
    attempts = 0

    async def vmm(stream: trio.abc.Stream) -> None:
        nonlocal attempts
        attempts += 1
        await stream.receive_some(13)
        if attempts == 4:
            await stream.send_all(b"OK 1\nup")

    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, vmm)
        async with await dial_with_backoff(hybrid_dialer(path, 1024), seconds=20) as stream:
            assert await stream.receive_some() == b"up"
        nursery.cancel_scope.cancel()
    assert attempts == 4


async def test_a_vmm_that_says_nothing_is_waited_for_ten_seconds(
    directory: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path = str(directory / "vm.sock")
    # listens, and never accepts: the kernel lets us connect
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        began = trio.current_time()
        with pytest.raises(Unreachable, match="no answer to CONNECT 1024 within 10 s"):
            await hybrid_dialer(path, 1024)()
        assert trio.current_time() - began == pytest.approx(10)


async def test_what_is_no_vmm_is_told_at_its_first_byte(directory: Path) -> None:
    path = str(directory / "vm.sock")

    async def server(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"\x00\x00\x12\x04\x00")
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, server)
        with trio.fail_after(5), pytest.raises(RemoteProtocolError, match="expected OK"):
            await dial_with_backoff(hybrid_dialer(path, 1024), seconds=5)
        nursery.cancel_scope.cancel()


async def test_a_peer_of_a_hybrid_socket_that_says_nonsense_is_closed(directory: Path) -> None:
    path = str(directory / "vm.sock")
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_hybrid, path, {1024: _echo})
        for nonsense in (b"GET / HTTP/1.1\r\n", b"connect 1025\n", b"passfd\n"):
            async with await unix_dialer(path)() as stream:
                await stream.send_all(nonsense)
                with suppress(trio.BrokenResourceError):  # closed with bytes of ours unread
                    assert await stream.receive_some() == b""
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("vsock_loopback")
async def test_vsock_loopback() -> None:
    """The real thing, where this kernel lets one machine talk to itself."""
    address = Address("vsock", "1", 55024)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_addresses, [(address, _echo)])
        await _talk(address)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("listening", "peer", "served"),
    [
        (ANY_CID, 2, True),
        (ANY_CID, 1, False),
        (ANY_CID, 3, False),
        (ANY_CID, 0, False),
        (ANY_CID, ANY_CID, False),
        (3, 2, True),
        (3, 1, False),
        (3, 3, False),
        (1, 1, True),
        (1, 2, True),
        (1, 3, False),
        (2, 2, True),
        (2, 1, False),
    ],
)
def test_who_is_served_over_vsock(listening: int, peer: int, served: bool) -> None:
    assert admits(listening, peer) is served


def test_a_vsock_peer_that_has_gone_is_not_served() -> None:
    # not connected (any more): the kernel has no name of its peer
    with socket.socket(socket.AF_UNIX) as gone:
        assert not from_host(1, gone)


async def test_the_same_code_over_an_injected_socket(directory: Path) -> None:
    def make() -> socket.socket:
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    def name(cid: int, port: int) -> str:
        return str(directory / f"{cid}-{port}")

    family = Family(make, name)
    admitted: list[bool] = []

    def admit(peer: socket.socket) -> bool:
        admitted.append(not admitted)
        return admitted[-1]

    with pytest.raises(Unreachable, match="nobody answers on vsock://3:1024"):
        await vsock_dialer(3, 1024, family=family)()
    async with trio.open_nursery() as nursery:
        serve = partial(serve_vsock, 3, 1024, _echo, family=family, admit=admit)
        assert await nursery.start(serve) == "vsock://3:1024"
        with pytest.raises(AddressInUse):
            await serve_vsock(3, 1024, _echo, family=family, admit=admit)
        async with await vsock_dialer(3, 1024, family=family)() as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
        async with await vsock_dialer(3, 1024, family=family)() as stream:
            # who is not admitted is closed without a word
            assert await stream.receive_some() == b""
        nursery.cancel_scope.cancel()
    assert admitted == [True, False]


@pytest.mark.usefixtures("vsock")
async def test_vsock_that_can_t_be_is_told() -> None:
    with pytest.raises(AddressError, match="listen there, and dial"):
        dialer_for(Address("vsock", "-1", 1024))
    # one port below those that need a privilege, of a machine that this one is not
    with pytest.raises(AddressError, match="-1 is every address of this machine"):
        await serve_vsock(77, 55025, _echo)


@contextmanager
def _pty() -> Generator[tuple[trio.lowlevel.FdStream, str]]:
    near, far = os.openpty()
    try:
        # one user of the far end stays, as a line has no end of file
        yield trio.lowlevel.FdStream(near), os.ttyname(far)
    finally:
        os.close(far)


async def test_a_device_is_one_raw_stream_with_one_user() -> None:
    with _pty() as (near, path):
        async with near:
            dial = serial_dialer(path)
            async with await dial() as far:
                await far.send_all(b"\x03\x04\r\n\x11\x13\xff\x00")
                assert await near.receive_some() == b"\x03\x04\r\n\x11\x13\xff\x00"
                await near.send_all(b"\x03\x04\r\n\x11\x13\xff\x00")
                assert await far.receive_some() == b"\x03\x04\r\n\x11\x13\xff\x00"
                with pytest.raises(Unreachable, match="one user at a time"):
                    await dial()
            async with await dial() as far:
                await far.send_all(b"again")
                assert await near.receive_some() == b"again"


async def test_the_far_side_of_a_device_is_served_again_when_its_peer_has_gone() -> None:
    served: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        served.append(bytes(await stream.receive_some()))
        await stream.send_all(b"heard")

    with _pty() as (near, path):
        async with near, trio.open_nursery() as nursery:
            await nursery.start(serve_addresses, [(Address("serial", path), handler)])
            for said in (b"one", b"two"):
                await near.send_all(said)
                assert await near.receive_some() == b"heard"
            nursery.cancel_scope.cancel()
    assert served == [b"one", b"two"]


async def test_a_chardev_s_socket_has_one_peer_at_a_time(directory: Path) -> None:
    address = Address("serial", str(directory / "chardev.sock"))
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_addresses, [(address, _echo)])
        async with await dialer_for(address)() as first:
            await first.send_all(b"x")
            assert await first.receive_some() == b"x"
            async with await dialer_for(address)() as second:
                assert await second.receive_some() == b""
        nursery.cancel_scope.cancel()


async def test_a_serial_channel_that_can_t_be_is_told(directory: Path) -> None:
    with pytest.raises(Unreachable, match="is not there"):
        await serial_dialer(str(directory / "none"))()
    plain = directory / "plain"
    plain.write_text("precious")
    with pytest.raises(AddressError, match="neither a character device nor a socket"):
        await serial_dialer(str(plain))()


async def test_several_connections_over_a_serial_channel_are_streams_of_one_session(directory: Path) -> None:
    address = Address("serial", str(directory / "chardev.sock"))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_addresses, several=True), [(address, _echo)])
            async with open_dialer(address, Peer.TTRPC) as dial:
                streams = [await dial_with_backoff(dial, seconds=5) for _ in range(3)]
                for number, stream in enumerate(streams):
                    await stream.send_all(bytes([number]))
                for number, stream in enumerate(streams):
                    assert await stream.receive_some() == bytes([number])
                    await stream.aclose()
            nursery.cancel_scope.cancel()
