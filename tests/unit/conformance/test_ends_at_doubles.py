"""Ends as the actors tell them at the doubles of real agents: bounded, with their codes, and without a byte less of the output."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import AgentUnreachable, GuestDied, InvalidTransition, KatrioError
from actors.wire.spec import ContainerSpec, ProcessSpec, TerminalSize
from tests.support.doubles.opening import DOUBLES, open_double
from tests.support.doubles.world import open_doubled_world

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.handles import Completed, ContainerHandle, SandboxHandle
    from tests.support.doubles.power import Options

KATAS = ("today", "kata1x")
IDLE = 'trap "exit 3" TERM; while true; do sleep 0.1; done'
# children that hold an output while their parent ends, with 4; and what it printed
HELD = {
    "silent": ("sleep 1000 & exit 4", b"", b""),
    "its last word is read as it ends": ("sleep 1000 & echo a; exit 4", b"a\n", b""),
    "so are two, and no read is pending at the end": ("sleep 1000 & echo a; echo b >&2; exit 4", b"a\n", b"b\n"),
    "stdout alone": ("sleep 1000 2>/dev/null & echo a; exit 4", b"a\n", b""),
    "stderr alone": ("sleep 1000 >/dev/null & echo a >&2; exit 4", b"", b"a\n"),
    "much": ("sleep 1000 & head -c 300000 /dev/zero; exit 4", bytes(300_000), b""),
}


def sh(words: str, *, size: TerminalSize | None = None) -> ProcessSpec:
    return ProcessSpec(args=("sh", "-c", words), tty=size is not None, size=size)


@asynccontextmanager
async def box_at(name: str, options: Options | None = None) -> AsyncGenerator[SandboxHandle]:
    async with (
        open_double(name, options) as running,
        open_doubled_world(running.channels, DOUBLES[name].protocol) as world,
    ):
        box = await world.system.create_sandbox("box")
        await box.start()
        yield box


async def run_in(box: SandboxHandle, name: str = "one", process: ProcessSpec | None = None) -> ContainerHandle:
    container = await box.create_container(name, ContainerSpec(process=process or sh(IDLE)))
    await container.start()
    return container


@pytest.mark.parametrize("case", HELD)
@pytest.mark.parametrize("name", KATAS)
async def test_an_end_is_told_though_a_child_holds_the_output(name: str, case: str, autojump_clock: MockClock) -> None:
    words, out, err = HELD[case]
    async with box_at(name) as box:
        one = await run_in(box)
        began = trio.current_time()
        done = await (await one.exec("leader", sh(words))).collect()
        assert (done.code, done.stdout, done.stderr, done.lost) == (4, out, err, 0)
        assert trio.current_time() - began < 6
        assert (await one.info()).state == "running"


@pytest.mark.parametrize(
    ("name", "words", "seconds"),
    [
        ("today", "sleep 20; sleep 1000 & exit 4", 60),
        ("kata1x", "sleep 20; sleep 1000 & exit 4", 30),
        ("today", "(while true; do echo more; sleep 0.1; done) & exit 4", 60),
        ("kata1x", "(while true; do echo more; sleep 0.1; done) & exit 4", 30),
    ],
)
async def test_so_is_one_that_comes_late_or_whose_child_goes_on_talking(
    name: str, words: str, seconds: float, autojump_clock: MockClock
) -> None:
    async with box_at(name) as box:
        leader = await (await run_in(box)).exec("leader", sh(words))
        with trio.fail_after(seconds):
            assert (await leader.wait()).code == 4


@pytest.mark.parametrize("name", KATAS)
async def test_output_that_waits_for_a_slow_reader_is_not_given_up_for_an_end(
    name: str, autojump_clock: MockClock
) -> None:
    size = 3 * 1024 * 1024
    async with box_at(name) as box:
        process = await (await run_in(box)).exec("flood", sh(f"head -c {size} /dev/zero; exit 4"))
        received = 0
        async with process.open_stdout() as parts:
            async for part in parts:
                assert not part.gap
                received += len(part.data)
                await trio.sleep(2)
        assert received == size
        assert (await process.wait()).code == 4


@pytest.mark.parametrize("name", KATAS)
async def test_a_process_that_is_silent_for_long_ends_as_it_does(name: str, autojump_clock: MockClock) -> None:
    """However often it was asked for before."""
    async with box_at(name) as box:
        one = await run_in(box)
        done: dict[float, Completed] = {}

        async def run(seconds: float) -> None:
            process = await one.exec(f"e-{seconds:g}", sh(f"sleep {seconds}; echo a; echo b >&2; echo c; exit 4"))
            done[seconds] = await process.collect()

        async with trio.open_nursery() as nursery:
            for tenths in range(25, 200, 7):
                nursery.start_soon(run, tenths / 10)
        assert {(one.code, one.stdout, one.stderr, one.lost) for one in done.values()} == {(4, b"a\nc\n", b"b\n", 0)}


@pytest.mark.parametrize("name", KATAS)
async def test_a_signal_to_what_has_ended_reaches_nobody(name: str, autojump_clock: MockClock) -> None:
    async with box_at(name) as box:
        one = await run_in(box)
        for number in range(5):
            process = await one.exec(f"short-{number}", sh("exit 6"))
            await trio.sleep(number * 0.001)
            assert (await process.signal(15)).processes in (0, 1)
            assert (await process.wait()).code in (6, 143)
            assert (await process.signal(10)).processes == 0
        assert (await one.signal(15, all_processes=True)).processes == 1
        assert (await one.init.wait()).code == 3


@pytest.mark.parametrize("name", DOUBLES)
async def test_a_terminal_begins_with_its_size(name: str, autojump_clock: MockClock) -> None:
    async with box_at(name) as box:
        size = TerminalSize(rows=24, columns=80)
        init = await run_in(box, process=sh("sleep 0.2; stty size; sleep 1000", size=size))
        process = await init.exec("e1", sh("sleep 0.2; stty size", size=size))
        assert (await process.collect()).stdout == b"24 80\r\n"
        done = await init.init.collect(timeout=1)
        assert done.stdout == b"24 80\r\n"
        # and where it has ended before that could be sent
        assert (await (await init.exec("e2", sh("exit 5", size=size))).wait()).code == 5


@pytest.mark.parametrize("name", KATAS)
async def test_an_exec_that_races_a_stop_is_refused_as_one_or_has_its_code(
    name: str, autojump_clock: MockClock
) -> None:
    async with box_at(name) as box:
        for number in range(10):
            one = await run_in(box, f"c{number}")
            await trio.sleep(0.2)
            codes: list[str | int] = []

            async def race(one: ContainerHandle, codes: list[str | int]) -> None:
                try:
                    process = await one.exec("late", sh("sleep 1000"))
                    codes.append((await process.wait()).code)
                except KatrioError as error:
                    codes.append(error.code)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(race, one, codes)
                await trio.sleep(number * 0.0005)
                assert (await one.stop()).code == 3
            assert codes[0] in (137, "invalid_transition")
            with pytest.raises(InvalidTransition):
                await one.exec("later", sh("true"))


@pytest.mark.parametrize("name", KATAS)
async def test_an_exec_whose_init_has_just_ended_is_refused_as_such(name: str, autojump_clock: MockClock) -> None:
    """In an agent's words that is an error of its own, before anybody here knows of the end."""
    async with box_at(name) as box:
        one = await run_in(box, process=sh("read x; exit 3"))
        await one.init.close_stdin()

        async def until_refused() -> None:
            for number in range(100):
                await one.exec(f"e{number:03}", sh("true"))

        with pytest.raises(InvalidTransition):
            await until_refused()
        assert (await one.init.wait()).code == 3


@pytest.mark.parametrize("name", KATAS)
async def test_a_stop_takes_no_code_along_that_waits_for_output(name: str, autojump_clock: MockClock) -> None:
    async with box_at(name) as box:
        one, two = await run_in(box), await run_in(box, "two")
        process = await one.exec("leader", sh("sleep 1000 & echo a; exit 4"))
        await trio.sleep(0.5)
        assert (await one.stop()).code == 3
        assert (await process.wait()).code == 4
        assert (await two.info()).state == "running"


async def test_an_agent_that_ended_with_its_sandbox_is_told_as_that(autojump_clock: MockClock) -> None:
    async with (
        open_double("today") as running,
        open_doubled_world(running.channels, DOUBLES["today"].protocol) as world,
    ):
        for name in ("first", "second"):
            box = await world.system.create_sandbox(name)
            if name == "first":
                await box.start()
                await run_in(box)
                await box.stop()
                continue
            with trio.fail_after(10), pytest.raises(GuestDied, match="has ended, with sandbox 'first'"):
                await box.start()
        with trio.fail_after(1), pytest.raises(GuestDied, match="has ended, with sandbox 'first'"):
            await world.identify()


async def test_a_hyperstart_that_had_its_host_is_told_as_that(autojump_clock: MockClock) -> None:
    async with (
        open_double("hyperstart") as running,
        open_doubled_world(running.channels, DOUBLES["hyperstart"].protocol) as world,
    ):
        first, second = [await world.system.create_sandbox(name) for name in ("first", "second")]
        await first.start()
        await first.stop()
        with trio.fail_after(10), pytest.raises(AgentUnreachable, match="each sandbox needs a fresh one"):
            await second.start()


@pytest.mark.parametrize("name", ["kata1x"])
async def test_one_that_lives_on_has_the_next(name: str, autojump_clock: MockClock) -> None:
    async with open_double(name) as running, open_doubled_world(running.channels, DOUBLES[name].protocol) as world:
        for each in ("first", "second"):
            box = await world.system.create_sandbox(each)
            await box.start()
            assert (await (await (await run_in(box)).exec("e1", sh("exit 4"))).wait()).code == 4
            await box.stop()
