"""Each real call from inside a simulation raises, names its caller, fails the run, and is put back afterwards."""

# ruff: noqa: ASYNC105, SIM115  # each call is made to be refused: nothing is awaited, nothing opens
from __future__ import annotations

import _thread
import importlib
import inspect
import io
import logging
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pynng
import pytest
import trio

from actors.simulation.fence import EscapedSimulation, guards
from actors.simulation.run import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.simulation.run import Simulation

HERE = Path(__file__)


def _nothing() -> None: ...


def _forget(module: str) -> None:
    """Import anew what nobody else here uses by that name."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == module}
    try:
        importlib.import_module(module)
    finally:
        sys.modules.update(kept)


CALLS: dict[str, Callable[[], Any]] = {
    "time.time": lambda: time.time(),
    "time.time_ns": lambda: time.time_ns(),
    "time.monotonic": lambda: time.monotonic(),
    "time.monotonic_ns": lambda: time.monotonic_ns(),
    "time.perf_counter": lambda: time.perf_counter(),
    "time.perf_counter_ns": lambda: time.perf_counter_ns(),
    "time.process_time": lambda: time.process_time(),
    "time.thread_time": lambda: time.thread_time(),
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
    "time.localtime": lambda: time.localtime(),
    "time.gmtime": lambda: time.gmtime(),
    "time.ctime": lambda: time.ctime(),
    "time.sleep": lambda: time.sleep(0),
    "random.random": lambda: random.random(),
    "random.uniform": lambda: random.uniform(0, 1),
    "random.randint": lambda: random.randint(0, 1),
    "random.choice": lambda: random.choice("ab"),
    "random.shuffle": lambda: random.shuffle([]),
    "random.getrandbits": lambda: random.getrandbits(8),
    "random.seed": lambda: random.seed(1),
    "random.Random()": lambda: random.Random(),
    "random.SystemRandom": lambda: random.SystemRandom(1).random(),
    "secrets.token_hex": lambda: secrets.token_hex(),
    "os.urandom": lambda: os.urandom(8),
    "os.getrandom": lambda: os.getrandom(8),
    "uuid.uuid1": lambda: uuid.uuid1(),
    "uuid.uuid4": lambda: uuid.uuid4(),
    "open": lambda: open("/dev/null"),
    "io.open": lambda: io.open("/dev/null"),  # noqa: UP020  # the other name is a door of its own
    "os.open": lambda: os.open("/dev/null", os.O_RDONLY),
    "os.pipe": lambda: os.pipe(),
    "os.stat": lambda: os.stat("/"),
    "os.listdir": lambda: os.listdir("/"),
    "os.mkdir": lambda: os.mkdir("/dev/null/none"),
    "os.walk": lambda: list(os.walk("/dev/null")),
    "os.path.exists": lambda: os.path.exists("/"),
    "os.path.realpath": lambda: os.path.realpath("/dev"),
    "Path.read_bytes": lambda: Path("/dev/null").read_bytes(),
    "Path.exists": lambda: Path("/").exists(),
    "Path.iterdir": lambda: list(Path("/").iterdir()),
    "Path.write_text": lambda: Path("/dev/null").write_text(""),
    "shutil.rmtree": lambda: shutil.rmtree("/dev/null/none"),
    "tempfile.mkdtemp": lambda: tempfile.mkdtemp(),
    "socket.socket": lambda: socket.socket(),
    "socket.socketpair": lambda: socket.socketpair(),
    "socket.create_connection": lambda: socket.create_connection(("127.0.0.1", 9)),
    "socket.getaddrinfo": lambda: socket.getaddrinfo("localhost", 9),
    "trio.socket": lambda: trio.socket.socket(),
    "subprocess.Popen": lambda: subprocess.Popen(["true"]),
    "subprocess.run": lambda: subprocess.run(["true"], check=True),
    "os.system": lambda: os.system("true"),
    "os.popen": lambda: os.popen("true"),
    "os.fork": lambda: os.fork(),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "os.kill": lambda: os.kill(os.getpid(), 0),
    "threading.Thread": lambda: threading.Thread(target=_nothing).start(),
    "threading.Timer": lambda: threading.Timer(0, _nothing).start(),
    "_thread": lambda: _thread.start_new_thread(_nothing, ()),
    "trio.to_thread": lambda: trio.to_thread.run_sync(_nothing),
    "trio.Path": lambda: trio.Path("/").exists(),
    "trio.open_file": lambda: trio.open_file("/dev/null"),
    "trio.lowlevel.start_thread_soon": lambda: trio.lowlevel.start_thread_soon(_nothing, lambda _: None),
    "trio.run_process": lambda: trio.run_process(["true"]),
    "trio.open_process": lambda: trio.lowlevel.open_process(["true"]),
    "trio.open_tcp_stream": lambda: trio.open_tcp_stream("127.0.0.1", 9),
    "pynng.Pair0": lambda: pynng.Pair0(),
    "pynng.Req0": lambda: pynng.Req0(dial="inproc://nobody"),
    "import pynng": lambda: _forget("pynng"),
}


async def escape(name: str) -> None:
    found = CALLS[name]()
    if inspect.isawaitable(found):
        await found


@pytest.mark.parametrize("name", CALLS)
def test_a_real_call_raises_and_names_its_caller(name: str) -> None:
    async def main(_: Simulation) -> None:
        with pytest.raises(EscapedSimulation) as raised:
            await escape(name)
        # Python's own error when something replaced raised during an import or a constructor would hide it
        raise raised.value

    before = [getattr(guard.owner, guard.name) for guard in guards()]
    with pytest.raises(EscapedSimulation) as raised:
        simulate(main, 0)
    message = str(raised.value)
    # the caller is the lambda above, or who awaited what it gave
    assert f"{HERE}:" in message, message
    assert "in <lambda>" in message or "in escape" in message or "in _forget" in message, message
    assert [getattr(guard.owner, guard.name) for guard in guards()] == before


@pytest.mark.parametrize("name", CALLS)
def test_a_swallowed_escape_still_fails_the_run(name: str) -> None:
    async def main(_: Simulation) -> str:
        with suppress(BaseException):
            await escape(name)
        return "nothing happened"

    with pytest.raises(EscapedSimulation):
        simulate(main, 0)


def test_a_warm_thread_of_trios_is_not_used() -> None:
    async def warm() -> None:
        await trio.to_thread.run_sync(_nothing)

    async def main(_: Simulation) -> None:
        await trio.Path("/").exists()

    trio.run(warm)
    with pytest.raises(EscapedSimulation, match=r"test_fence\.py"):
        simulate(main, 0)


def test_afterwards_every_call_is_real_again() -> None:
    async def main(_: Simulation) -> None:
        await trio.lowlevel.checkpoint()

    simulate(main, 0)
    assert time.time() > 1_600_000_000
    assert len({random.random() for _ in range(3)}) == 3
    assert uuid.uuid4() != uuid.uuid4()
    assert HERE.read_text().startswith('"""Each real call')
    assert subprocess.run(["true"], check=True).returncode == 0
    with socket.socket() as sock:
        assert sock.fileno() > 0
    thread = threading.Thread(target=_nothing)
    thread.start()
    thread.join()
    assert trio.run(trio.to_thread.run_sync, _nothing) is None
    with pynng.Pair0() as pair:
        assert pair is not None


def test_another_thread_is_not_in_the_simulation() -> None:
    go, done = threading.Event(), threading.Event()
    seen: list[float] = []

    def outside() -> None:
        go.wait(10)
        seen.append(time.time())
        done.set()

    async def main(_: Simulation) -> None:
        await trio.lowlevel.checkpoint()
        go.set()
        done.wait(10)

    thread = threading.Thread(target=outside)
    thread.start()
    simulate(main, 0)
    thread.join()
    assert len(seen) == 1


def test_logs_tracebacks_and_imports_are_let_through(caplog: pytest.LogCaptureFixture) -> None:
    async def main(_: Simulation) -> None:
        await trio.lowlevel.checkpoint()
        try:
            raise ValueError("told")
        except ValueError:
            logging.getLogger("katrio").exception("seen")
        importlib.reload(secrets)

    simulate(main, 0)
    assert "ValueError: told" in caplog.text


def test_what_follows_from_what_is_given_is_not_refused() -> None:
    async def main(_: Simulation) -> tuple[float, int]:
        await trio.lowlevel.checkpoint()
        return random.Random(5).random(), time.gmtime(0).tm_year

    assert simulate(main, 0).value == (random.Random(5).random(), 1970)
