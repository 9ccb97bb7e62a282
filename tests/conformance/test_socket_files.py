"""Files of sockets: one body for every listener of ours at a path, nng's and those of byte streams. Real sockets."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest
import trio

from transports.address import SOCKET_PATH_BYTES
from transports.errors import AddressError, AddressInUse
from transports.hybrid.sockets import serve_hybrid
from transports.nng import NngTransport
from transports.stream import serve_unix, unix_dialer

if TYPE_CHECKING:
    from pathlib import Path

    from transports.base import Endpoint

Listen: TypeAlias = Callable[..., Awaitable[object]]


class _Nobody:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def received(self, message: bytes) -> None: ...

    def gone(self, cause: object) -> None: ...


async def _nng(path: str, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> None:
    await NngTransport().serve(f"ipc://{path}", _Nobody, task_status=task_status)


async def _unix(path: str, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
    await serve_unix(path, trio.aclose_forcefully, task_status=task_status)


async def _hybrid(path: str, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
    await serve_hybrid(path, {}, task_status=task_status)


LISTENERS = {"nng": _nng, "unix": _unix, "hybrid": _hybrid}


@pytest.fixture(params=LISTENERS)
def listen(request: pytest.FixtureRequest) -> Listen:
    return LISTENERS[request.param]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    return own


async def _answers(path: str) -> bool:
    await trio.aclose_forcefully(await unix_dialer(path)())
    return True


@pytest.mark.parametrize("size", ["usual", "as long as can be"])
async def test_a_socket_file_is_ours_alone_and_goes_with_its_listener(
    listen: Listen, size: str, tmp_path: Path
) -> None:
    # made when it is missing; of the longest, only a name of one letter is left
    made = tmp_path / "d" if size == "usual" else tmp_path / ("d" * (SOCKET_PATH_BYTES - len(str(tmp_path)) - 3))
    path = str(made / "h")
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            await nursery.start(listen, path)
            assert await _answers(path)
            assert stat.S_IMODE(made.stat().st_mode) == 0o700
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            assert os.listdir(made) == ["h"]
            nursery.cancel_scope.cancel()
        assert os.listdir(made) == []


@pytest.mark.parametrize("after", LISTENERS)
@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_the_end_of_an_old_listener_leaves_the_new_ones_file(
    listen: Listen, after: str, how: str, directory: Path
) -> None:
    path = str(directory / "server")
    async with trio.open_nursery() as newer:
        async with trio.open_nursery() as older:
            await older.start(listen, path)
            if how == "removed":
                os.unlink(path)
                await newer.start(LISTENERS[after], path)
            else:
                await newer.start(LISTENERS[after], path + ".new")
                os.rename(path + ".new", path)
            older.cancel_scope.cancel()
        assert await _answers(path)
        newer.cancel_scope.cancel()


async def test_a_second_listener_is_refused_and_the_first_goes_on(listen: Listen, directory: Path) -> None:
    path = str(directory / "server")
    async with trio.open_nursery() as nursery:
        await nursery.start(listen, path)
        with pytest.raises(AddressInUse, match="somebody answers"):
            await listen(path)
        assert await _answers(path)
        nursery.cancel_scope.cancel()


async def test_what_a_crash_left_is_replaced(listen: Listen, directory: Path) -> None:
    path = str(directory / "server")
    for left in (path, str(directory / ".katrio-1-1")):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(left)
    async with trio.open_nursery() as nursery:
        await nursery.start(listen, path)
        assert await _answers(path)
        assert os.listdir(directory) == ["server"]
        nursery.cancel_scope.cancel()


async def test_a_file_that_is_no_socket_is_left_alone(listen: Listen, directory: Path) -> None:
    path = directory / "server"
    path.write_text("precious")
    with pytest.raises(AddressError, match="not a socket"):
        await listen(str(path))
    assert path.read_text() == "precious"


async def test_a_directory_that_others_may_enter_is_refused(listen: Listen, directory: Path) -> None:
    os.chmod(directory, 0o750)
    with pytest.raises(AddressError, match="mode 0750; use a directory made with mkdir -m 700"):
        await listen(str(directory / "server"))
    with pytest.raises(AddressError, match="can't be used"):
        await listen(str(directory / "absent" / "too" / "server"))
    (directory / "link").symlink_to(directory)
    with pytest.raises(AddressError, match="no link"):
        await listen(str(directory / "link" / "server"))


async def test_a_lock_that_hangs_is_told(listen: Listen, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.socket_files.LOCK_SECONDS", 0.05)
    held = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(AddressInUse, match="the lock"):
            await listen(str(directory / "server"))
    finally:
        os.close(held)


async def test_a_servers_directory_that_somebody_else_could_swap_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(AddressError, match="changed by others"):
        await _nng(f"{tmp_path}/open/own/server")
    (tmp_path / "open").chmod(0o1777)
    async with trio.open_nursery() as nursery:
        await nursery.start(_nng, f"{tmp_path}/open/own/server")
        nursery.cancel_scope.cancel()
