"""Bad luck of every kind: the caller is told the right code in time, and nothing is left (`tests/support/misfortunes.py`)."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.agents.base import Channels
from actors.agents.kata.agent import connect_kata
from actors.errors import AgentError, AgentUnreachable, KatrioError, OutcomeUnknown, ResourceExhausted, Unsupported
from actors.guest import syscalls
from actors.guest.engines.process import RealProcess
from actors.limits import DEFAULT_LIMITS
from actors.node.facts import choose_engine, missing_for, read_facts
from actors.node.marks import every_process
from actors.words import RUNTIMES
from tests.support.hostile_guest import HostileGuest
from tests.support.misfortunes import ROWS, WATCH, Place, Row
from tests.support.rooms import Room, in_a_room, read_until
from transports.stream import serve_unix, unix_dialer
from transports.ttrpc.codec import RESPONSE, encode_frame, encode_response

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hostile_guest import Asked

FACTS = read_facts()
ENGINES = sorted({"processes", choose_engine(FACTS)[0]})
# a second over its deadline, on a machine that has its cores for itself
GRACE = 1.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
async def test_bad_luck(row: Row, engine: str, tmp_path: Path) -> None:
    if row.needs and engine == "processes":
        pytest.skip(f"plain processes have no {row.needs}")
    WATCH.seconds = 0.0
    with trio.fail_after(60):
        codes = await row.does(Place(tmp_path, engine))
    assert codes
    assert set(codes) <= row.codes, codes
    assert WATCH.seconds < row.seconds + GRACE, f"{WATCH.seconds:.2f} s"


REPLY = encode_frame(RESPONSE, 1, encode_response(b"\x08\x01"))


@pytest.mark.parametrize("size", range(len(REPLY) + 1))
async def test_a_frame_cut_at_every_byte(size: int, tmp_path: Path) -> None:
    guest = HostileGuest()

    async def cut(asked: Asked) -> None:
        whole = encode_frame(RESPONSE, asked.stream_id, encode_response(b"\x08\x01"))
        await asked.send(whole[:size])
        if size < len(whole):
            await asked.stream.aclose()

    path = str(tmp_path / "g.sock")
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, guest.serve)
        agent = connect_kata(Channels(unix_dialer(path)), DEFAULT_LIMITS)
        await nursery.start(agent.run)
        guest.lies = {"Check": cut, "PauseContainer": cut}
        with trio.fail_after(2):
            if size == len(REPLY):
                await agent.check()
            else:
                with pytest.raises(AgentUnreachable):
                    await agent.check()
                with pytest.raises(OutcomeUnknown):
                    await agent.pause_container("c1")
        nursery.cancel_scope.cancel()


# the engine's own


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime_that_is_missing(runtime: str) -> None:
    facts = FACTS._replace(runc=None, crun=None)
    with pytest.raises(Unsupported, match=f"apt-get install {runtime}"):
        choose_engine(facts, runtime)


GARBLED = {
    "says nothing and fails": "exit 1",
    "says nothing and succeeds": "exit 0",
    "fills its log with garbage": 'head -c 300000 /dev/urandom >"$4"; exit 1',
    "has a log of other words": 'echo \'{"msg": 7}\' >"$4"; echo \'["x"]\' >>"$4"; exit 3',
    "writes no number of a process": 'while [ $# -gt 1 ]; do [ "$1" = --pid-file ] && echo "not a pid" >"$2"; shift; done',
    "writes the number of nobody": 'while [ $# -gt 1 ]; do [ "$1" = --pid-file ] && echo 0 >"$2"; shift; done',
    "writes a huge number": 'while [ $# -gt 1 ]; do [ "$1" = --pid-file ] && echo 99999999999999999999 >"$2"; shift; done',
    "ends by a signal": "kill -SEGV $$",
}  # fmt: skip


@pytest.mark.skipif(not FACTS.root, reason="a runtime needs root")
@pytest.mark.parametrize("name", GARBLED)
def test_a_runtime_that_talks_nonsense(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_runc(tmp_path, GARBLED[name], monkeypatch)

    async def body(room: Room) -> None:
        for _ in range(2):
            with pytest.raises(AgentError), trio.fail_after(5):
                await room.engine.create("c1", room.spec(room.process("true")))

    in_a_room("runc", body)


@pytest.mark.skipif(not FACTS.root, reason="a runtime needs root")
def test_a_runtime_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.guest.engines.runtime._CALL_SECONDS", 0.5)
    _fake_runc(tmp_path, "exec sleep 1000", monkeypatch)

    async def body(room: Room) -> None:
        began = trio.current_time()
        with pytest.raises(AgentError, match="did not end"):
            await room.engine.create("c1", room.spec(room.process("true")))
        assert trio.current_time() - began < 0.5 + GRACE

    in_a_room("runc", body)


def _fake_runc(place: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = place / "bin/runc"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


WORKING = ["processes", *(name for name in RUNTIMES if not missing_for(FACTS, name))]


@pytest.mark.parametrize("engine", WORKING)
def test_descriptors_run_out(engine: str) -> None:
    async def body(room: Room) -> None:
        await room.idle("c1")
        before = len(os.listdir("/proc/self/fd"))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for spare in range(12):
            resource.setrlimit(resource.RLIMIT_NOFILE, (before + spare, hard))
            try:
                with suppress(ResourceExhausted), trio.fail_after(5):
                    process = await room.engine.exec("c1", room.process("true"))
                    await process.wait()
                    await process.aclose()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert len(os.listdir("/proc/self/fd")) <= before, f"{spare} to spare: descriptors were lost"
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
        try:
            with pytest.raises(ResourceExhausted, match="Too many open files"):
                await room.engine.exec("c1", room.process("true"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert (await room.exec("c1", "echo", "on")).stdout == b"on\n"
        await room.remove("c1")

    in_a_room(engine, body)


@pytest.mark.parametrize("engine", [name for name in WORKING if name != "processes"])
def test_who_is_signalled_right_after_a_start_is_the_program_and_not_the_runtime(engine: str) -> None:
    async def body(room: Room) -> None:
        for number in range(10):
            process = await room.started(f"c{number}", "sleep", "100")
            assert isinstance(process, RealProcess)
            assert os.readlink(f"/proc/{process.reaped.pid}/exe").endswith("/busybox")
            await room.remove(f"c{number}")

    in_a_room(engine, body)


@pytest.mark.parametrize("engine", [name for name in WORKING if name != "processes"])
def test_the_disk_is_full(engine: str) -> None:
    async def body(room: Room) -> None:
        await room.idle("c1")
        _fill()
        with pytest.raises((ResourceExhausted, AgentError)), trio.fail_after(10):
            await room.started("c2", "true")
        os.unlink("filler")
        await room.remove("c1")
        await room.idle("c3")
        await room.remove("c3")

    in_a_room(engine, body)


def _fill() -> None:
    """The room's own small disk."""
    syscalls.mount("tmpfs", os.getcwd(), "tmpfs", syscalls.MS_REMOUNT, "size=16m")
    descriptor = os.open("filler", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(descriptor, bytes(4096))
    os.close(descriptor)


def test_every_code_of_the_table_is_a_code() -> None:
    codes = {cls.code for cls in KatrioError.__subclasses__()} | {""}
    assert all(row.codes <= codes for row in ROWS)


# a runtime that reads the container's passwd may be held up: it may be a pipe that is fed when the container likes
HELD = (
    "rm /etc/passwd; mkfifo /etc/passwd; echo ready; read _; while :; do echo root:x:0:0:::/bin/sh >/etc/passwd; done"
)


def let_runtimes_look_users_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they do where they are not kept from it: a container has other ways to hold up what goes into it, but none that a test
    could count on."""

    def no_home(_uid: int, _passwd: str) -> str:
        return ""

    monkeypatch.setattr("actors.guest.engines.oci._LOOKS_USERS_UP", frozenset[str]())
    monkeypatch.setattr("actors.guest.engines.checks.home_of", no_home)


@pytest.mark.parametrize("runtime", [name for name in WORKING if name != "processes"])
def test_an_exec_told_as_failed_never_runs(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    let_runtimes_look_users_up(monkeypatch)

    async def body(room: Room) -> None:
        init = await room.started("c1", "sh", "-c", HELD)
        await read_until(init.stdout, b"ready")
        before = await room.engine.list_pids("c1")

        late = "echo ran >/tmp/ran; exec sleep 1000"
        for tty in (False, True):
            # the calls that are not held have their own bound
            with monkeypatch.context() as short:
                short.setattr("actors.guest.engines.runtime._CALL_SECONDS", 1.0)
                short.setattr("actors.guest.engines.runtime._TURN_SECONDS", 0.2)
                with pytest.raises(AgentError, match="did not end within 1 s and was killed"):
                    await room.engine.exec("c1", room.process("sh", "-c", late, tty=tty))
            assert await room.engine.list_pids("c1") == before
        with trio.move_on_after(0.3):
            await room.engine.exec("c1", room.process("sh", "-c", late))
        assert await room.engine.list_pids("c1") == before
        assert init.stdin is not None
        await init.stdin.send_all(b"\n")
        # an exec that goes well after the pipe was fed would have been behind those
        assert (await room.exec("c1", "test", "-e", "/tmp/ran")).code == 1
        await room.remove("c1")

    in_a_room(runtime, body)


@pytest.mark.skipif(not FACTS.root, reason="a runtime needs root")
def test_what_a_hanging_runtime_has_forked_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.guest.engines.runtime._CALL_SECONDS", 0.5)
    left = tmp_path / "left"
    _fake_runc(
        tmp_path, f"while :; do (setsid sh -c 'echo $$ >>{left}; sleep 1000 & wait') & sleep 0.01; done", monkeypatch
    )

    async def body(room: Room) -> None:
        with pytest.raises(AgentError, match="did not end"):
            await room.engine.create("c1", room.spec(room.process("true")))
        pids = [int(word) for word in left.read_text().split()]
        assert len(pids) > 2
        assert not [fact for fact in every_process() if fact.alive and fact.pid in pids]

    in_a_room("runc", body)


@pytest.mark.parametrize("runtime", [name for name in WORKING if name != "processes"])
def test_containers_that_hold_up_their_runtimes_hold_up_nobody_else(
    runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_runtimes_look_users_up(monkeypatch)
    monkeypatch.setattr("actors.guest.engines.runtime._CALL_SECONDS", 20.0)
    monkeypatch.setattr("actors.guest.engines.runtime._TURN_SECONDS", 0.2)

    async def body(room: Room) -> None:
        # as many as may call a runtime at once
        holders = [f"holder-{number}" for number in range(2 * (os.cpu_count() or 1))]
        for name in holders:
            await read_until((await room.started(name, "sh", "-c", HELD)).stdout, b"ready")
        await room.idle("neighbour")
        async with trio.open_nursery() as held:
            for name in holders:
                held.start_soon(room.engine.exec, name, room.process("sleep", "1000"))
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(10):
                assert (await room.exec("neighbour", "echo", "on")).stdout == b"on\n"
            held.cancel_scope.cancel()
        await room.remove(*holders, "neighbour")

    in_a_room(runtime, body)
