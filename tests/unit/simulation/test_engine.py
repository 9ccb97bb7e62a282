"""The simulated engine, looked at from outside, in virtual time: what a real one does, this one does."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import InvalidArgument, InvalidTransition, NotFound, Unsupported
from actors.schemas.oci import LinuxCPU, LinuxMemory, LinuxPids, LinuxResources, Mount, User
from actors.wire.spec import ExitStatus, TerminalSize
from tests.support.simulated import Ended, open_engine, process, result, run_script, spec

if TYPE_CHECKING:
    from actors.schemas.oci import Process
    from actors.simulation.engine_process import SimulatedProcess

COUNTER = 'trap "exit 0" TERM; i=0; while true; do i=$((i+1)); echo "still $i"; sleep 0.1; done'


async def read_until(running: SimulatedProcess, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        data = await running.stdout.receive_some()
        assert data, f"the output ended at {seen!r}"
        seen += data
    return seen


async def test_a_container_waits_for_its_start_and_counts(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        init = await engine.create("one", spec("sh", "-c", COUNTER))
        with trio.move_on_after(5) as waiting:
            await init.stdout.receive_some()
        assert waiting.cancelled_caught
        await engine.start("one")
        assert await read_until(init, b"still 3\n") == b"still 1\nstill 2\nstill 3\n"
        assert init.signal(signal.SIGTERM)
        assert await init.wait() == ExitStatus(0)
        assert not init.signal(signal.SIGTERM)


async def test_a_paused_container_stands_still_and_goes_on_where_it_stood(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_engine() as engine:
        still = await engine.create("still", spec("sh", "-c", COUNTER))
        runner = await engine.create("runner", spec("sh", "-c", COUNTER))
        await engine.start("still")
        await engine.start("runner")
        await read_until(still, b"still 3\n")
        await engine.pause("still")
        assert engine.is_frozen("still")
        assert not engine.is_frozen("runner")
        with trio.move_on_after(2) as settling:
            await still.stdout.receive_some()
        assert settling.cancelled_caught
        await read_until(runner, b"still 20\n")
        still.signal(signal.SIGTERM)
        await engine.resume("still")
        assert not engine.is_frozen("still")
        # the signal came while it stood still, and is taken now
        assert await still.wait() == ExitStatus(0)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill $$", 143),
        ("nope", 127),
        ("/etc/passwd", 126),
    ],
)
async def test_exit_codes_arrive_as_they_were(script: str, code: int, autojump_clock: trio.testing.MockClock) -> None:
    assert (await run_script(script)).code == code


async def test_input_comes_back_and_its_end_ends_the_program(autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script('cat; echo "cat ended"', b"hello\nthere\n")
    assert ended == Ended(b"hello\nthere\ncat ended\n", b"", 0)


async def test_an_init_without_a_handler_takes_no_signal_but_kill(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        init = await engine.create("one", spec("sleep", "infinity"))
        await engine.start("one")
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            assert init.signal(signum)
        with trio.move_on_after(10) as waiting:
            await init.wait()
        assert waiting.cancelled_caught
        assert (await result(await engine.exec("one", process("kill", "-9", "1")))).code == 0
        with trio.move_on_after(10) as waiting:
            await init.wait()
        assert waiting.cancelled_caught
        assert init.signal(signal.SIGKILL)
        assert await init.wait() == ExitStatus(137)


async def test_the_inits_end_ends_every_process(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        init = await engine.create("one", spec("sh", "-c", "sleep 1; exit 3"))
        await engine.start("one")
        other = await engine.exec("one", process("sleep", "100"))
        assert (await other.wait(), await init.wait()) == (ExitStatus(137), ExitStatus(3))
        with pytest.raises(NotFound, match="it has ended"):
            await engine.exec("one", process("true"))


async def test_a_grandchild_that_holds_the_pipe_delays_the_end_of_the_output_not_the_exit(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity"))
        await engine.start("one")
        running = await engine.exec("one", process("sh", "-c", "(sleep 5; echo late) & echo early"))
        began = trio.current_time()
        assert await running.wait() == ExitStatus(0)
        assert trio.current_time() - began < 1
        assert await read_until(running, b"late\n") == b"early\nlate\n"
        assert await running.stdout.receive_some() == b""
        assert trio.current_time() - began > 5


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        (process("no-such-program"), "args", "no such executable in the container"),
        (process("/etc/passwd"), "args", "no such executable in the container"),
        (process(), "args", "args is empty"),
        (process("true", cwd="/nowhere"), "cwd", "no such directory in the container"),
        (process("true", cwd="tmp"), "cwd", "no such directory in the container"),
    ],
)
async def test_what_is_missing_is_named_by_its_field(
    asked: Process, field: str, words: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity"))
        await engine.start("one")
        with pytest.raises(InvalidArgument, match=words) as caught:
            await engine.exec("one", asked)
        assert caught.value.details["field"] == field
        # and the container is well
        assert (await result(await engine.exec("one", process("sh", "-c", "exit 4")))).code == 4


async def test_users_are_the_containers_own(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity"))
        await engine.start("one")
        nobody = process("sh", "-c", "id; whoami; echo $HOME")
        nobody = type(nobody)(args=nobody.args, cwd="/", user=User(uid=0, gid=0, username="nobody"))
        ended = await result(await engine.exec("one", nobody))
        assert ended.stdout == b"uid=65534(nobody) gid=65534(nogroup)\nnobody\n/\n"
        missing = type(nobody)(args=("id",), cwd="/", user=User(uid=0, gid=0, username="ghost"))
        with pytest.raises(InvalidArgument, match="ghost"):
            await engine.exec("one", missing)


async def test_a_terminal_echoes_tells_its_size_and_ends(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity"))
        await engine.start("one")
        script = 'trap "stty size" WINCH; stty size; read line; echo "got $line"; while true; do sleep 0.1; done'
        running = await engine.exec("one", process("sh", "-c", script, terminal=True))
        assert running.stderr is None
        assert running.stdin is not None
        assert await read_until(running, b"0 0\r\n")
        running.resize(TerminalSize(40, 120))
        await running.stdin.send_all(b"hello\r")
        assert (
            b"hello\r\n40 120\r\n" in (seen := await read_until(running, b"got hello\r\n"))
            or b"40 120\r\nhello" in seen
        )
        running.resize(TerminalSize(24, 80))
        await read_until(running, b"24 80\r\n")
        await running.stdin.send_all(b"\x03")
        assert await running.wait() == ExitStatus(130)
        seen = b""
        while data := await running.stdout.receive_some():
            seen += data
        assert seen == b"^C"
        with pytest.raises(trio.BrokenResourceError):
            await running.stdin.send_all(b"more")


async def test_a_process_without_a_terminal_has_no_size(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        running = await engine.create("one", spec("sleep", "infinity"))
        with pytest.raises(InvalidTransition):
            running.resize(TerminalSize(1, 1))
        with pytest.raises(InvalidArgument, match="signal is 65"):
            running.signal(65)


async def test_a_memory_hog_is_killed_counted_and_told(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity", memory=64 * 1024 * 1024))
        await engine.start("one")
        hog = await engine.exec("one", process("tail", "/dev/zero"))
        with trio.fail_after(100):
            assert await engine.next_oom() == "one"
        assert await hog.wait() == ExitStatus(137)
        memory = (await engine.stats("one")).memory_stats
        assert memory is not None
        assert memory.usage is not None
        assert memory.usage.limit == 64 * 1024 * 1024
        assert memory.usage.failcnt >= 1
        assert memory.usage.usage < 1024 * 1024 < memory.usage.max_usage <= memory.usage.limit
        with trio.move_on_after(100) as waiting:
            await engine.next_oom()
        assert waiting.cancelled_caught


async def test_a_shell_can_be_the_hog(autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script("a=0123456789abcdef; while :; do a=$a$a; done", memory=8 * 1024 * 1024)
    assert ended.code == 137


async def test_a_limit_on_processes_makes_fork_fail(autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script("for i in 1 2 3 4 5 6; do sleep 10 & done; wait", pids=5)
    assert ended == Ended(b"", b"sh: can't fork: Resource temporarily unavailable\n", 2)


async def test_limits_change_live_or_not_at_all(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity", pids=5))
        await engine.start("one")
        refused = LinuxResources(pids=LinuxPids(limit=9), cpu=LinuxCPU(cpus="0"))
        with pytest.raises(Unsupported) as caught:
            await engine.update("one", refused)
        assert caught.value.details["field"] == "cpu.cpus"
        with pytest.raises(InvalidArgument, match=r"memory\.limit"):
            await engine.update("one", LinuxResources(pids=LinuxPids(limit=9), memory=LinuxMemory(limit=4096)))
        pids = (await engine.stats("one")).pids_stats
        assert pids is not None
        assert pids.limit == 5
        await engine.update("one", LinuxResources(pids=LinuxPids(limit=9), memory=LinuxMemory(limit=100_000_000)))
        found = await engine.stats("one")
        assert found.pids_stats is not None
        assert (found.pids_stats.limit, found.pids_stats.current) == (9, 1)
        assert found.memory_stats is not None
        assert found.memory_stats.usage is not None
        assert found.memory_stats.usage.limit == 99_999_744


async def test_a_quota_makes_work_slower(autojump_clock: trio.testing.MockClock) -> None:
    async def seconds(cpu: LinuxCPU | None) -> float:
        async with open_engine() as engine:
            await engine.create("one", spec("sleep", "infinity"))
            await engine.start("one")
            if cpu is not None:
                await engine.update("one", LinuxResources(cpu=cpu))
            began = trio.current_time()
            await (
                await engine.exec("one", process("sh", "-c", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done"))
            ).wait()
            return trio.current_time() - began

    assert await seconds(LinuxCPU(quota=10_000, period=100_000)) > 5 * await seconds(None)


async def test_processes_are_listed_by_the_guests_numbers(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity"))
        await engine.create("two", spec("sleep", "infinity"))
        await engine.start("two")
        await engine.exec("two", process("sleep", "77"))
        first, second = await engine.list_pids("two")
        assert (await engine.list_pids("one"))[0] not in (first, second)
        table = await engine.list_table("two", ())
        header, *rows = table.splitlines()
        assert header.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        assert [(row.split()[1], row.split()[7:]) for row in rows] == [
            (str(first), ["sleep", "infinity"]),
            (str(second), ["sleep", "77"]),
        ]
        assert await engine.list_table("two", ("-o", "pid,comm")) == (
            f"    PID COMMAND\n{first:>7} sleep\n{second:>7} sleep\n"
        )
        with pytest.raises(InvalidArgument, match="no PID column"):
            await engine.list_table("two", ("-o", "comm"))
        with pytest.raises(InvalidArgument, match="knows"):
            await engine.list_table("two", ("--forest",))


async def test_mounts_of_this_machines_files_are_refused(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        base = spec("sleep", "infinity", readonly=True)
        bound = type(base)(
            version="1.0.2",
            process=base.process,
            root=base.root,
            mounts=(Mount(destination="/mnt", source="/tmp", type="bind"),),
        )
        with pytest.raises(Unsupported, match="/mnt"):
            await engine.create("one", bound)
        memory = type(base)(
            version="1.0.2", process=base.process, root=base.root, mounts=(Mount(destination="/scratch", type="tmpfs"),)
        )
        await engine.create("one", memory)
        await engine.start("one")
        ended = await result(
            await engine.exec("one", process("sh", "-c", "echo a >/scratch/a; cat /scratch/a; echo b >/tmp/b"))
        )
        assert ended == Ended(b"a\n", b"sh: can't create /tmp/b: Read-only file system\n", 1)


async def test_kill_all_and_delete_end_everything(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        init = await engine.create("one", spec("sleep", "infinity"))
        await engine.start("one")
        other = await engine.exec("one", process("sh", "-c", 'trap "" TERM INT HUP; while :; do sleep 1; done'))
        await engine.pause("one")
        await engine.kill_all("one")
        assert (await init.wait(), await other.wait()) == (ExitStatus(137), ExitStatus(137))
        assert await engine.list_pids("one") == ()
        await engine.delete("one")
        await engine.delete("one")
        with pytest.raises(NotFound):
            engine.is_frozen("one")


async def test_fifty_megabytes_are_quick_and_whole(autojump_clock: trio.testing.MockClock) -> None:
    ended = await run_script("dd if=/dev/zero bs=1M count=50")
    assert len(ended.stdout) == 50 * 1024 * 1024
    assert ended.stderr == b"50+0 records in\n50+0 records out\n"


async def test_a_reader_that_does_not_read_holds_the_writer_back(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity"))
        await engine.start("one")
        running = await engine.exec("one", process("sh", "-c", "dd if=/dev/zero bs=1M count=3; exit 5"))
        with trio.move_on_after(60) as waiting:
            await running.wait()
        assert waiting.cancelled_caught
        assert (await result(running, None)).code == 5


async def test_a_closed_output_breaks_the_writers_pipe(autojump_clock: trio.testing.MockClock) -> None:
    async with open_engine() as engine:
        await engine.create("one", spec("sleep", "infinity"))
        await engine.start("one")
        running = await engine.exec("one", process("yes"))
        await running.stdout.receive_some(10)
        await running.stdout.aclose()
        assert await running.wait() == ExitStatus(128 + signal.SIGPIPE)
        with pytest.raises(trio.ClosedResourceError):
            await running.stdout.receive_some(1)


async def test_the_same_seed_gives_the_same_times(autojump_clock: trio.testing.MockClock) -> None:
    async def story(seed: int) -> list[tuple[float, bytes]]:
        async with open_engine(seed) as engine:
            began = trio.current_time()
            init = await engine.create("one", spec("sh", "-c", COUNTER))
            await engine.start("one")
            return [(trio.current_time() - began, await init.stdout.receive_some()) for _ in range(20)]

    first, again, other = await story(1), await story(1), await story(2)
    assert [(round(at, 6), data) for at, data in first] == [(round(at, 6), data) for at, data in again]
    assert first != other
