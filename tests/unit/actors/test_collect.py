"""`collect`: the output whole, or the count of what is missing, in time and in memory; over whole actors in virtual time."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import Busy, InvalidArgument, NotFound, OutcomeUnknown
from actors.limits import DEFAULT_LIMITS
from tests.support.agents import ScriptedGuest, one_running

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_timeout_gives_what_there_was_and_the_process_runs_on(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        guest.init("one").write(b"partial\n")
        began = trio.current_time()
        done = await one.init.collect(timeout=0.5)
        assert trio.current_time() - began == pytest.approx(0.5)
        assert done.timed_out
        assert (done.code, done.stdout, done.lost) == (None, b"partial\n", 0)
        assert (await one.info()).state == "running"


async def test_the_timeout_covers_the_wait_after_the_output(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        guest.init("one").write(b"daemon\n")
        guest.init("one").close_output()
        with trio.fail_after(60):
            done = await one.init.collect(timeout=5)
        assert done.timed_out
        assert done.stdout == b"daemon\n"


async def test_what_a_cancelled_collect_took_counts_as_lost_when_nothing_came_after_it(
    autojump_clock: MockClock,
) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        guest.init("one").write(b"partial\n")
        with trio.move_on_after(0.5):
            await one.init.collect()
        await one.init.signal(signal.SIGKILL)
        done = await one.init.collect()
        assert (done.code, done.stdout, done.lost) == (137, b"", len(b"partial\n"))
        assert not done.timed_out


async def test_what_another_reader_had_counts_as_lost(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        process = guest.init("one")
        process.write(b"first")
        async with one.init.open_stdout() as parts:
            assert (await anext(parts)).data == b"first"
        # an answer shows that the reader has left: one sender's order is kept
        await one.info()
        process.write(b"second")
        process.exit(0)
        done = await one.init.collect()
        assert (done.stdout, done.lost) == (b"second", len(b"first"))


async def test_what_is_over_the_bound_is_counted_and_holds_nobody_up(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        process = guest.init("one")
        for _ in range(100):
            process.write(b"y\n" * 50_000)
        process.exit(0)
        done = await one.init.collect(max_bytes=1001)
        assert (done.code, done.stdout) == (0, (b"y\n" * 501)[:1001])
        assert done.lost == 100 * 100_000 - 1001


async def test_the_bound_is_that_of_the_limits(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest, replace(DEFAULT_LIMITS, collected_bytes=10)) as one:
        guest.init("one").write(b"0123456789abcdef")
        guest.init("one").exit(0)
        done = await one.init.collect()
        assert (done.stdout, done.lost) == (b"0123456789", 6)


async def test_a_bound_below_nothing_is_refused(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        with pytest.raises(InvalidArgument) as caught:
            await one.init.collect(max_bytes=-1)
        assert caught.value.details == {"field": "max_bytes"}


async def test_an_ask_that_names_no_timeout_has_that_of_the_limits(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    limits = replace(DEFAULT_LIMITS, ask_seconds=2.0)
    async with one_running(guest, limits) as one:
        guest.gates["pause_container one"] = trio.Event()
        began = trio.current_time()
        with pytest.raises(OutcomeUnknown):
            await one.pause()
        assert trio.current_time() - began == pytest.approx(2.0 + limits.answer_grace_seconds)
        guest.gates["pause_container one"].set()


async def test_what_fails_for_both_outputs_is_one_error(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        with pytest.raises(NotFound, match="nobody"):
            await one.process("nobody").collect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.init.collect)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Busy):
                await one.init.collect()
            nursery.cancel_scope.cancel()
