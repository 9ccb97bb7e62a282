"""The one body of tests of the engine port, for every implementation: each case runs in a fresh room.

`tests/conformance` gives it the engines that need no root, `tests/integration` those that do. A case names what it
needs beyond the port; an engine that lacks it must say `Unsupported`, which other cases check.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from msgspec import structs

from actors.errors import InvalidArgument, InvalidTransition
from actors.node.cgroups import container_group, group_exists, read_layout
from actors.node.marks import read_process
from actors.schemas.oci import Mount, POSIXRlimit, Root, User
from actors.wire.spec import TerminalSize
from tests.support.engine_cases import case
from tests.support.rooms import outcome, read_all, read_until

if TYPE_CHECKING:
    from actors.guest.engines.base import EngineProcess
    from actors.schemas.oci import Process, Spec
    from tests.support.rooms import Room

__all__: list[str] = []

MIB = 1024 * 1024


def made_directory(name: str) -> Path:
    """In the room, which ends with it."""
    path = Path(name).absolute()
    path.mkdir()
    return path


# exits and signals


@case()
async def exit_codes(room: Room) -> None:
    await room.idle("c1")
    for code in (0, 1, 7, 137, 255):
        assert (await room.exec("c1", "sh", "-c", f"exit {code}")).code == code
        assert (await outcome(await room.started("c2", "sh", "-c", f"exit {code}"))).code == code
        await room.remove("c2")
    for signum in (9, 15):
        assert (await room.exec("c1", "sh", "-c", f"kill -{signum} $$")).code == 128 + signum
    await room.remove("c1")


@case()
async def the_init_waits_for_its_start(room: Room) -> None:
    process = await room.engine.create("c1", room.spec(room.process("echo", "ran")))
    with trio.move_on_after(0.1):
        raise AssertionError(f"ran before its start: {await process.stdout.receive_some()!r}")
    await room.engine.start("c1")
    assert (await outcome(process)).stdout == b"ran\n"
    await room.remove("c1")


@case()
async def killed_while_it_waits_for_its_start(room: Room) -> None:
    process = await room.engine.create("c1", room.spec(room.process("echo", "ran")))
    await room.engine.kill_all("c1")
    assert (await process.wait()).code == 137
    await room.engine.start("c1")
    assert (await outcome(process)).stdout == b""
    await room.remove("c1")


@case()
async def many_waiters_and_a_late_one(room: Room) -> None:
    process = await room.started("c1", "sh", "-c", "read _; exit 5")
    codes: list[int] = []

    async def wait() -> None:
        codes.append((await process.wait()).code)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(wait)
        assert process.stdin is not None
        await process.stdin.send_all(b"\n")
    assert codes == [5] * 20
    assert (await process.wait()).code == 5
    await room.remove("c1")


@case()
async def signals_reach_their_handlers(room: Room) -> None:
    script = "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done"
    init = await room.started("c1", "sh", "-c", script)
    extra = await room.engine.exec("c1", room.process("sh", "-c", script))
    for process in (extra, init):
        await read_until(process.stdout, b"ready\n")
        with pytest.raises(InvalidArgument) as refused:
            process.signal(9999)
        assert refused.value.details["field"] == "signal"
        assert process.signal(10)
        assert await read_until(process.stdout, b"got\n")
        assert (await process.wait()).code == 3
        assert not process.signal(10), "one that has ended"
    await room.remove("c1")


@case()
async def a_kill_takes_them_all(room: Room) -> None:
    await room.started("c1", "sh", "-c", "trap '' TERM; setsid sleep 1000 & sleep 1000 & wait")
    await room.engine.exec("c1", room.process("sh", "-c", "setsid sleep 1000 & wait"))
    await room.pids("c1", 4)
    await room.engine.kill_all("c1")
    assert await room.engine.list_pids("c1") == ()
    await room.engine.kill_all("c1")
    await room.remove("c1")


# standard streams


@case()
async def outputs_are_apart(room: Room) -> None:
    await room.idle("c1")
    found = await room.exec("c1", "sh", "-c", "echo out; echo err >&2")
    assert (found.stdout, found.stderr) == (b"out\n", b"err\n")
    await room.remove("c1")


@case()
async def input_goes_in_and_ends(room: Room) -> None:
    process = await room.started("c1", "cat")
    data = bytes(range(256)) * 4096
    got: list[bytes] = []

    async def read() -> None:
        got.append(await read_all(process.stdout))

    assert process.stdin is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await process.stdin.send_all(data)
        await process.stdin.aclose()
    assert got[0] == data
    assert (await process.wait()).code == 0
    await room.remove("c1")


@case()
async def fifty_megabytes_unharmed(room: Room) -> None:
    size, line = 50 * MIB, b"0123456789abcde\n"
    process = await room.started("c1", "sh", "-c", f"yes {line.decode().strip()} | head -c {size}")
    digest, count = hashlib.sha256(), 0
    while part := await process.stdout.receive_some():
        digest.update(part)
        count += len(part)
    assert count == size
    assert digest.hexdigest() == hashlib.sha256(line * (size // len(line))).hexdigest()
    await room.remove("c1")


@case()
async def a_slow_reader_holds_the_writer_back(room: Room) -> None:
    process = await room.started("c1", "sh", "-c", "head -c 8388608 /dev/zero; echo done >&2")
    assert process.stderr is not None
    with trio.move_on_after(0.2):
        raise AssertionError(f"8 MiB were written and nobody read: {await process.stderr.receive_some()!r}")
    assert len(await read_all(process.stdout)) == 8 * MIB
    assert await read_all(process.stderr) == b"done\n"
    await room.remove("c1")


@case()
async def a_cancelled_read_loses_nothing(room: Room) -> None:
    process = await room.started("c1", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.02; done")
    output = b""
    while True:
        with trio.move_on_after(0.003):
            part = await process.stdout.receive_some()
            if not part:
                break
            output += part
    assert output == b"1\n2\n3\n4\n5\n6\n7\n8\n9\n"
    await room.remove("c1")


@case()
async def a_grandchild_holds_the_pipe(room: Room) -> None:
    await room.idle("c1")
    process = await room.engine.exec("c1", room.process("sh", "-c", "(sleep 0.5; echo late) & echo early; exit 4"))
    with trio.fail_after(5):
        assert (await process.wait()).code == 4
    output = await read_all(process.stdout)
    assert output == b"early\nlate\n", "the exit does not cut the output, nor wait for it"
    await room.remove("c1")


# terminals


@case()
async def a_terminal_and_its_size(room: Room) -> None:
    script = "trap 'stty size' WINCH; test -t 0 && test -t 1 && test -t 2 && stty size; while :; do sleep 0.05; done"
    process = await room.engine.create("c1", room.spec(room.process("sh", "-c", script, size=(40, 120))))
    assert process.stderr is None
    process.resize(TerminalSize(40, 120))
    await room.engine.start("c1")
    assert await read_until(process.stdout, b"\n") == b"40 120\r\n"
    process.resize(TerminalSize(50, 132))
    assert b"50 132\r\n" in await read_until(process.stdout, b"132\r\n")
    for rows, columns in ((0, 80), (24, 0), (70000, 80)):
        with pytest.raises(InvalidArgument) as refused:
            process.resize(TerminalSize(rows, columns))
        assert refused.value.details["field"] == "size"
    await room.engine.kill_all("c1")
    process.resize(TerminalSize(24, 80))
    await room.remove("c1")


@case()
async def a_terminal_in_an_exec(room: Room) -> None:
    await room.idle("c1")
    process = await room.engine.exec(
        "c1", room.process("sh", "-c", "tty >/dev/null && read a && echo got $a", tty=True)
    )
    assert process.stdin is not None
    await process.stdin.send_all(b"this\n")
    assert b"got this\r\n" in await read_until(process.stdout, b"got this\r\n")
    assert (await process.wait()).code == 0
    assert await read_all(process.stdout) == b"", "its end is an end of file"
    await process.aclose()
    plain = await room.engine.exec("c1", room.process("sleep", "1000"))
    with pytest.raises(InvalidTransition):
        plain.resize(TerminalSize(24, 80))
    await room.remove("c1")


# what a process is given


@case()
async def environment_and_directory(room: Room) -> None:
    await room.idle("c1")
    found = await room.exec_process(
        "c1", room.process("sh", "-c", "echo $A-$B; pwd; echo $PATH", cwd="/tmp", env=("A=1", "B=x=y z"))
    )
    first, second, third = found.stdout.decode().splitlines()
    assert (first, second) == ("1-x=y z", "/tmp")
    assert "/bin" in third.split(":"), "PATH is added when missing"
    await room.remove("c1")


async def refused(room: Room, field: str, process: Process) -> None:
    """Both as an init and as an exec in `c1`, and nothing of it is left: the same id serves afterwards."""
    with pytest.raises(InvalidArgument) as error:
        await room.engine.exec("c1", process)
    assert error.value.details["field"] == field, error.value.message
    with pytest.raises(InvalidArgument) as error:
        await room.engine.create("c2", room.spec(process))
    assert error.value.details["field"] == field, error.value.message
    assert (await outcome(await room.started("c2", "true"))).code == 0
    await room.remove("c2")


@case()
async def what_is_missing_is_named_by_its_field(room: Room) -> None:
    await room.idle("c1")
    await refused(room, "args", room.process("no-such-program"))
    await refused(room, "args", room.process("/no/such/program"))
    await refused(room, "args", room.process("/etc/passwd"))
    await refused(room, "args", room.process())
    await refused(room, "cwd", room.process("true", cwd="/no/such/directory"))
    await refused(room, "cwd", room.process("true", cwd="/etc/passwd"))
    await refused(room, "cwd", room.process("true", cwd="tmp"))
    await refused(room, "user", room.process("true", user="no-such-user"))
    await refused(room, "user", room.process("true", user="root:no-such-group"))
    await refused(room, "user", room.process("true", user="0:4294967295"))
    for wrong in (User(uid=2**32 - 1, gid=0), User(uid=0, gid=0, additional_gids=(2**32 - 1,))):
        await refused(room, "user", structs.replace(room.process("true"), user=wrong))
    await room.remove("c1")


@case("isolation")
async def a_missing_directory_is_not_made(room: Room) -> None:
    await room.idle("c1")
    await refused(room, "cwd", room.process("true", cwd="/made/by/mistake"))
    assert (await room.exec("c1", "test", "-e", "/made")).code == 1
    await room.remove("c1")


@case()
async def users_by_name_and_by_number(room: Room) -> None:
    if room.engine.name == "processes" and os.geteuid() != 0:
        return
    await room.idle("c1")
    for user, wanted in (
        ("nobody", b"65534 65534"),
        ("0", b"0 0"),
        ("65534", b"65534 65534"),
        ("1234", b"1234 0"),
        ("7:8", b"7 8"),
        ("nobody:root", b"65534 0"),
    ):
        assert (
            await room.exec_process("c1", room.process("sh", "-c", "echo $(id -u) $(id -g)", user=user))
        ).stdout.strip() == wanted, user
    await room.remove("c1")
    process = await room.engine.create("c1", room.spec(room.process("id", "-u", user="nobody")))
    await room.engine.start("c1")
    assert (await outcome(process)).stdout == b"65534\n"
    await room.remove("c1")


@case("kernel")
async def limits_of_a_process(room: Room) -> None:
    limits = (POSIXRlimit(type="RLIMIT_NOFILE", hard=77, soft=55), POSIXRlimit(type="RLIMIT_CORE", hard=0, soft=0))
    # an exec's limits are set while it runs already: see the engine
    script = "sleep 0.3; ulimit -Sn; ulimit -Hn; ulimit -Hc"
    init = await _run_spec(room, room.spec(room.process("sh", "-c", script + "; sleep 1000", rlimits=limits)))
    assert (await read_until(init.stdout, b"\n0\n")).split() == [b"55", b"77", b"0"]
    found = await room.exec_process("c1", room.process("sh", "-c", script, rlimits=limits))
    assert found.stdout.split() == [b"55", b"77", b"0"]
    await room.remove("c1")


# its main thread ends, and the others live on: /proc calls it a zombie then
HEADLESS = """
import ctypes, platform, threading, time
threading.Thread(target=lambda: (time.sleep(0.05), print("up", flush=True), time.sleep(1000))).start()
ctypes.CDLL(None).syscall({"x86_64": 60}.get(platform.machine(), 93), 0)
"""


@case("no groups", "kernel")
async def a_process_whose_main_thread_has_ended(room: Room) -> None:
    await room.idle("c1")
    process = await room.engine.exec("c1", room.process(sys.executable, "-IS", "-c", HEADLESS))
    await read_until(process.stdout, b"up")
    (headless,) = [
        fact for fact in map(read_process, await room.engine.list_pids("c1")) if fact and has_ended_main(fact.pid)
    ]
    assert headless.alive
    await room.engine.pause("c1")
    assert (stopped := read_process(headless.pid)) is not None
    assert stopped.stopped
    await room.engine.resume("c1")
    await room.engine.kill_all("c1")
    assert (await process.wait()).code == 137
    assert await room.engine.list_pids("c1") == ()
    await room.remove("c1")


def has_ended_main(pid: int) -> bool:
    return Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@case("isolation", "kernel")
async def capabilities(room: Room) -> None:
    await room.idle("c1")
    default = await room.exec("c1", "grep", "CapEff", "/proc/self/status")
    none = await room.exec_process("c1", room.process("grep", "CapEff", "/proc/self/status", capabilities=()))
    one = await room.exec_process(
        "c1", room.process("grep", "CapEff", "/proc/self/status", capabilities=("CAP_CHOWN",))
    )
    assert [int(found.stdout.split()[1], 16) for found in (default, none, one)] == [0xA80425FB, 0, 1]
    await room.remove("c1")


@case("isolation")
async def a_root_that_is_not_written_to(room: Room) -> None:
    process = room.process("sh", "-c", "echo x >/tmp/written && cat /tmp/written")
    found = await outcome(await _run_spec(room, room.spec(process)))
    assert found.stdout == b"x\n"
    await room.remove("c1")
    assert not (Path(room.root) / "tmp/written").exists(), "its layer ends with the container"
    assert (await outcome(await _run_spec(room, room.spec(process, readonly=True)))).code != 0
    await room.remove("c1")


async def _run_spec(room: Room, spec: Spec) -> EngineProcess:
    process = await room.engine.create("c1", spec)
    await room.engine.start("c1")
    return process


@case("isolation", "kernel")
async def a_directory_is_mounted(room: Room) -> None:
    source = made_directory("given")
    (source / "file").write_text("from outside")
    spec = room.spec(room.process("cat", "/given/file", cwd="/given"))
    mounts = (Mount(destination="/given", source=str(source), type="bind", options=("bind", "ro")),)
    process = await room.engine.create("c1", structs.replace(spec, mounts=mounts))
    await room.engine.start("c1")
    assert (await outcome(process)).stdout == b"from outside"
    await room.remove("c1")


@case("isolation", "kernel")
async def a_root_that_is_missing_or_broken(room: Room) -> None:
    empty = made_directory("empty")
    for path, field in (("/no/such/root", "root"), ("relative", "root"), ("/etc/passwd", "root"), (str(empty), "args")):
        spec = structs.replace(room.spec(room.process("true")), root=Root(path=path))
        with pytest.raises(InvalidArgument) as error:
            await room.engine.create("c1", spec)
        assert error.value.details["field"] == field
    assert (await outcome(await room.started("c1", "true"))).code == 0
    await room.remove("c1")


# pause


@case()
async def a_paused_one_stands_still(room: Room) -> None:
    script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done"
    still, going = await room.started("c1", "sh", "-c", script), await room.started("c2", "sh", "-c", script)
    await read_until(still.stdout, b"5\n")
    await room.engine.pause("c1")
    while True:  # what it had written before
        with trio.move_on_after(0.1) as quiet:
            await still.stdout.receive_some()
        if quiet.cancelled_caught:
            break
    await read_until(going.stdout, b"\n40\n")
    with trio.move_on_after(0.2):
        raise AssertionError(f"wrote while it was paused: {await still.stdout.receive_some()!r}")
    await room.engine.resume("c1")
    assert await still.stdout.receive_some()
    await room.remove("c1", "c2")


@case()
async def kill_of_a_frozen_one(room: Room) -> None:
    process = await room.started("c1", "sh", "-c", "sleep 1000 & sleep 1000")
    await room.engine.pause("c1")
    with trio.fail_after(5):
        await room.engine.kill_all("c1")
        assert (await process.wait()).code == 137
    await room.remove("c1")


@case()
async def delete_of_a_frozen_one(room: Room) -> None:
    await room.idle("c1")
    await room.engine.pause("c1")
    with trio.fail_after(5):
        await room.remove("c1")


# many


@case()
async def many_execs_at_once(room: Room) -> None:
    await room.idle("c1")
    codes: dict[int, int] = {}

    async def one(number: int) -> None:
        found = await room.exec("c1", "sh", "-c", f"echo {number}; exit {number}")
        assert found.stdout == f"{number}\n".encode()
        codes[number] = found.code

    async with trio.open_nursery() as nursery:
        for number in range(24):
            nursery.start_soon(one, number)
    assert codes == {number: number for number in range(24)}
    await room.remove("c1")


@case()
async def containers_side_by_side(room: Room) -> None:
    async def one(number: int) -> None:
        name = f"side-{number}"
        found = await outcome(await room.started(name, "sh", "-c", f"echo {name}; exit {number}"))
        assert (found.stdout, found.code) == (f"{name}\n".encode(), number)
        await room.remove(name)

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(one, number)


@case()
async def delete_leaves_nothing(room: Room) -> None:
    process = await room.started("c1", "sh", "-c", "setsid sleep 1000 & sleep 1000")
    await room.engine.exec("c1", room.process("sleep", "1000"))
    await room.remove("c1")
    assert (await process.wait()).code == 137
    assert not group_exists(read_layout(), container_group(room.sandbox, "c1"))
    await room.engine.delete("c1")
    assert (await outcome(await room.started("c1", "true"))).code == 0, "the id is free"
    await room.remove("c1")
