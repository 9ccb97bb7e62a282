"""The edges of the agent interface, standard streams and waits: one body for each situation, over the whole path, on real containers.

The situations are those on which the known implementations of the interface differ (virtcontainers, Kata 1.x, today's
Go and Rust); each body's name is the situation, and what it asserts is our contract, as docs/agent-interface.md says.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import KatrioError
from actors.scenario.language.needs import Fault
from actors.wire.spec import ProcessSpec
from tests.support.boxes import ENGINES, TICK, Room, a_room, code_of, in_state, refused, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

# terminal and standard input


async def winsize_without_a_terminal(room: Room) -> None:
    one = await room.running()
    async with refused("invalid_transition"):
        await one.init.winsize(40, 100)


async def write_after_stdin_was_closed(room: Room) -> None:
    one = await room.running()
    cat = await one.exec("cat", ProcessSpec(args=("cat",)))
    await cat.write(b"first")
    await cat.close_stdin()
    assert await cat.write(b"second") == 0
    assert (await cat.collect()).stdout == b"first"


async def close_stdin_twice(room: Room) -> None:
    one = await room.running("cat")
    await one.init.close_stdin()
    await one.init.close_stdin()
    assert await code_of(one) == 0
    await one.init.close_stdin()


async def close_stdin_on_a_terminal(room: Room) -> None:
    one = await room.running("sh", "-c", f"trap 'echo hup; exit 1' HUP; echo up; {TICK}", tty=True)
    await until(one.init, b"up")
    await one.init.close_stdin()
    # the session lives, and its terminal still takes a size
    await one.init.winsize(33, 99)
    with trio.move_on_after(0.3):
        await one.init.wait()
    assert (await one.info()).state == "running"


async def empty_write(room: Room) -> None:
    one = await room.running()
    cat = await one.exec("cat", ProcessSpec(args=("cat",)))
    assert await cat.write(b"") == 0
    assert await cat.write(b"still open") == 10
    await cat.close_stdin()
    assert (await cat.collect()).stdout == b"still open"


async def one_reader_of_a_terminal(room: Room) -> None:
    one = await room.running("sh", "-c", "echo out; echo err >&2", tty=True)
    done = await one.init.collect()
    assert (done.stdout.split(), done.stderr) == ([b"out", b"err"], b"")


# waits


async def wait_after_exit(room: Room) -> None:
    one = await room.running("sh", "-c", "exit 8")
    await in_state(one, "stopped")
    assert [await code_of(one) for _ in range(2)] == [8, 8], "the first time and every time"
    await one.stop()
    assert await code_of(one) == 8, "also when the guest has forgotten it"
    await one.delete()
    async with refused("not_found"):
        await one.init.wait()


async def many_waiters(room: Room) -> None:
    one = await room.running("sh", "-c", "read -r code; exit $code")
    codes: list[int] = []

    async def wait(patience: float) -> None:
        with trio.move_on_after(patience):
            codes.append(await code_of(one))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(wait, 50)
        async with trio.open_nursery() as impatient:
            for _ in range(5):
                impatient.start_soon(wait, 0.2)
        assert codes == [], "the five have given up, and took nothing with them"
        await one.init.write(b"11\n")
    assert codes == [11] * 20
    assert await code_of(one) == 11


async def wait_while_paused(room: Room) -> None:
    one = await room.running("sh", "-c", f"trap 'exit 2' USR1; echo up; {TICK}")
    await until(one.init, b"up\n")
    await one.pause()
    async with trio.open_nursery() as nursery:
        codes: list[int] = []

        async def wait() -> None:
            codes.append(await code_of(one))

        nursery.start_soon(wait)
        await one.signal(signal.SIGUSR1)
        await one.resume()
    assert codes == [2]


async def wait_when_the_guest_is_lost(room: Room) -> None:
    one = await room.running()
    async with refused("guest_died"):
        async with trio.open_nursery() as nursery:

            async def lose() -> None:
                await one.info()
                await room.world.fault(Fault.KILL_GUEST, "box")

            nursery.start_soon(lose)
            try:
                await one.init.wait()
            except KatrioError as error:
                failure = error
            else:
                raise AssertionError("a lost process has no exit code")
        raise failure
    assert (await one.info()).state == "lost"
    await one.delete()


# output


async def output_is_complete_before_the_exit_is_told(room: Room) -> None:
    one = await room.running()
    for number in range(5):
        process = await one.exec(f"e{number}", ProcessSpec(args=("sh", "-c", "head -c 300000 /dev/zero; exit 3")))
        assert (await process.wait()).code == 3
        done = await process.collect()
        assert (len(done.stdout), done.lost) == (300_000, 0)


async def a_grandchild_that_holds_the_output(room: Room) -> None:
    one = await room.running()
    process = await one.exec("e1", ProcessSpec(args=("sh", "-c", "echo said; sleep 60 & exit 4")))
    with trio.fail_after(15):
        done = await process.collect()
    assert (done.code, done.stdout) == (4, b"said\n")


async def output_that_nobody_reads(room: Room) -> None:
    total = 5 << 20
    one = await room.running("sh", "-c", f"head -c {total} /dev/zero; echo end; exit 9")
    assert await code_of(one) == 9, "it never blocks on nobody"
    async with one.init.open_stdout() as parts:
        first, *rest = [part async for part in parts]
    kept = len(first.data) + sum(len(part.data) for part in rest)
    assert first.gap > 0
    assert first.gap + kept == total + len(b"end\n")
    assert (rest or [first])[-1].data.endswith(b"end\n"), "the newest is kept"


async def output_that_a_cancelled_collect_took(room: Room) -> None:
    one = await room.running()
    partly = await one.exec("partly", ProcessSpec(args=("sh", "-c", "echo partial; exec sleep 60")))
    done = await partly.collect(timeout=1)
    assert (done.timed_out, done.stdout, done.lost) == (True, b"partial\n", 0)
    await partly.signal(signal.SIGKILL)
    done = await partly.collect()
    assert (done.code, done.stdout, done.lost) == (137, b"", len(b"partial\n"))


async def output_without_end(room: Room) -> None:
    one = await room.running()
    flood = await one.exec("flood", ProcessSpec(args=("yes",)))
    done = await flood.collect(timeout=1, max_bytes=100_000)
    assert done.timed_out
    assert done.stdout == b"y\n" * 50_000
    assert done.lost > 0, "it was read on, so it was not held up"


BODIES: tuple[Callable[[Room], Awaitable[None]], ...] = (
    winsize_without_a_terminal,
    write_after_stdin_was_closed,
    close_stdin_twice,
    close_stdin_on_a_terminal,
    empty_write,
    one_reader_of_a_terminal,
    wait_after_exit,
    many_waiters,
    wait_while_paused,
    wait_when_the_guest_is_lost,
    output_is_complete_before_the_exit_is_told,
    a_grandchild_that_holds_the_output,
    output_that_nobody_reads,
    output_that_a_cancelled_collect_took,
    output_without_end,
)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
@pytest.mark.parametrize("engine", ENGINES)
async def test_an_edge(engine: str, body: Callable[[Room], Awaitable[None]], tmp_path: Path) -> None:
    async with a_room(engine, tmp_path) as room:
        await body(room)
