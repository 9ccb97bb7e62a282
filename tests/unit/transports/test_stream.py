"""Unix sockets for real: dialling, listening, and what is left behind. Real clock: the kernel is the peer."""

from __future__ import annotations

import os
import socket
import stat
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from transports.errors import AddressError, AddressInUse, Unreachable
from transports.socket_files import remove_stale
from transports.stream import SocketStream, dial_with_backoff, serve_unix, unix_dialer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    return own


async def _echo(stream: SocketStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


def test_a_socket_that_nobody_answers_on_is_removed_and_nothing_else(directory: Path) -> None:
    path = directory / "a.sock"
    remove_stale(str(path))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(0)
        with pytest.raises(AddressInUse):
            remove_stale(str(path))
        # that look is the one that its backlog has room for
        with pytest.raises(AddressInUse):
            remove_stale(str(path))
    assert path.exists()
    remove_stale(str(path))
    assert not path.exists()
    for make in (path.touch, partial(path.symlink_to, directory), path.mkdir):
        make()
        with pytest.raises(AddressError, match="not a socket"):
            remove_stale(str(path))
        path.rename(directory / f"other-{len(os.listdir(directory))}")


async def test_a_unix_stream_behaves_as_trio_wants_its_streams() -> None:
    async def make() -> tuple[SocketStream, SocketStream]:
        left, right = socket.socketpair()
        return SocketStream(left), SocketStream(right)

    async def make_clogged() -> tuple[SocketStream, SocketStream]:
        pair = await make()
        while pair[0].send_nowait(bytes(65536)):
            pass
        while pair[1].send_nowait(bytes(65536)):
            pass
        return pair

    with trio.fail_after(10):
        await trio.testing.check_two_way_stream(make, make_clogged)


async def test_send_nowait_takes_what_fits_and_then_nothing() -> None:
    left, right = map(SocketStream, socket.socketpair())
    async with left, right:
        assert left.send_nowait(b"abc") == 3
        assert await right.receive_some() == b"abc"
        while left.send_nowait(bytes(65536)):
            pass
        assert left.send_nowait(b"x") == 0
    with pytest.raises(trio.ClosedResourceError):
        left.send_nowait(b"x")


async def test_send_nowait_refuses_while_a_send_is_under_way() -> None:
    left, right = map(SocketStream, socket.socketpair())
    async with left, right, trio.open_nursery() as nursery:
        nursery.start_soon(left.send_all, bytes(16 * 1024 * 1024))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            left.send_nowait(b"x")
        nursery.cancel_scope.cancel()


async def test_who_dials_a_listener_reaches_its_handler(directory: Path) -> None:
    path = str(directory / "agent.sock")
    async with trio.open_nursery() as nursery:
        assert await nursery.start(serve_unix, path, _echo) == path
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        for _ in range(3):
            async with await unix_dialer(path)() as stream:
                await stream.send_all(b"hello")
                assert await stream.receive_some() == b"hello"
        nursery.cancel_scope.cancel()
    assert os.listdir(directory) == []


async def test_nobody_there_is_unreachable(directory: Path) -> None:
    path = str(directory / "agent.sock")
    with pytest.raises(Unreachable, match="nobody answers"):
        await unix_dialer(path)()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
    with pytest.raises(Unreachable, match="nobody answers"):
        await unix_dialer(path)()


@pytest.mark.parametrize(("name", "what"), [("", "a directory, and no socket"), ("file", "no socket")])
async def test_what_is_no_socket_is_said_to_be_none(name: str, what: str, directory: Path) -> None:
    (directory / "file").touch()
    path = str(directory / name)
    with pytest.raises(Unreachable, match=f"nobody answers on {path}: it is {what}$"):
        await unix_dialer(path)()


async def test_a_full_backlog_is_unreachable_and_not_a_dead_stream(directory: Path) -> None:
    path = str(directory / "agent.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(0)
        # a backlog of 0 holds one peer
        async with await unix_dialer(path)():
            with pytest.raises(Unreachable, match="temporarily unavailable"):
                await unix_dialer(path)()


@pytest.mark.parametrize("abstract", [False, True])
async def test_a_burst_of_dials_waits_in_the_backlog(directory: Path, abstract: bool) -> None:
    path = f"@{directory}/agent" if abstract else str(directory / "agent.sock")
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, _echo)
        streams: list[SocketStream] = []
        # nobody accepts between them
        for _ in range(200):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            sock.connect(path.replace("@", "\0"))
            streams.append(SocketStream(sock))
        for stream in streams:
            async with stream:
                await stream.send_all(b"x")
                assert await stream.receive_some() == b"x"
        nursery.cancel_scope.cancel()


def test_a_path_that_no_socket_can_have_is_refused_before_dialling(directory: Path) -> None:
    with pytest.raises(AddressError, match="Linux allows 107"):
        unix_dialer(str(directory / ("x" * 108)))


async def test_a_second_listener_is_refused_and_the_first_goes_on(directory: Path) -> None:
    path = str(directory / "agent.sock")
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, _echo)
        with pytest.raises(AddressInUse, match="somebody answers"):
            await serve_unix(path, _echo)
        async with await unix_dialer(path)() as stream:
            await stream.send_all(b"still")
            assert await stream.receive_some() == b"still"
        nursery.cancel_scope.cancel()


async def test_backoff_dials_until_somebody_answers(autojump_clock: trio.testing.MockClock) -> None:
    near, _far = trio.testing.memory_stream_pair()
    times: list[float] = []

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        times.append(round(trio.current_time() - began, 3))
        if len(times) < 8:
            raise Unreachable(f"attempt {len(times)}")
        return near

    began = trio.current_time()
    assert await dial_with_backoff(dial, seconds=10) is near
    assert times == [0.0, 0.01, 0.03, 0.07, 0.15, 0.31, 0.56, 0.81]


async def test_backoff_gives_up_in_time_with_the_last_reason(autojump_clock: trio.testing.MockClock) -> None:
    attempts = 0

    async def dial() -> trio.abc.Stream:
        nonlocal attempts
        await trio.lowlevel.checkpoint()
        attempts += 1
        raise Unreachable(f"attempt {attempts}")

    began = trio.current_time()
    with pytest.raises(Unreachable) as caught:
        await dial_with_backoff(dial, seconds=1)
    assert str(caught.value) == f"attempt {attempts}"
    assert 0.7 < trio.current_time() - began <= 1


async def test_backoff_bounds_an_attempt_that_hangs(autojump_clock: trio.testing.MockClock) -> None:
    async def dial() -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    began = trio.current_time()
    with pytest.raises(Unreachable, match="within 2 s"):
        await dial_with_backoff(dial, seconds=2)
    assert trio.current_time() - began == pytest.approx(2)


async def test_backoff_does_not_repeat_what_waiting_can_t_mend() -> None:
    attempts = 0

    async def dial() -> trio.abc.Stream:
        nonlocal attempts
        await trio.lowlevel.checkpoint()
        attempts += 1
        raise AddressError("wrong")

    with pytest.raises(AddressError):
        await dial_with_backoff(dial, seconds=1)
    assert attempts == 1
