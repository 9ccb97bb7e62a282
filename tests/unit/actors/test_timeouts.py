"""What a handle does with its timeout, and what is told when time is over; whole actors in virtual time."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import OutcomeUnknown
from actors.limits import DEFAULT_LIMITS
from tests.support.agents import ScriptedGuest, one_running

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_write_that_runs_out_of_time_says_how_much_went_in(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        process = guest.init("one")
        process.input_room = 2 * DEFAULT_LIMITS.chunk_bytes
        began = trio.current_time()
        with pytest.raises(OutcomeUnknown) as caught:
            await one.init.write(b"x" * 10 * DEFAULT_LIMITS.chunk_bytes, timeout=3.0)
        assert caught.value.details["written"] == 2 * DEFAULT_LIMITS.chunk_bytes == len(process.input)
        assert 3.0 <= trio.current_time() - began <= 3.0 + DEFAULT_LIMITS.answer_grace_seconds


async def test_a_write_in_many_chunks_has_one_timeout(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with one_running(guest) as one:
        process = guest.init("one")
        process.input_seconds = 1.0
        with pytest.raises(OutcomeUnknown) as caught:
            await one.init.write(b"x" * 10 * DEFAULT_LIMITS.chunk_bytes, timeout=3.5)
        assert caught.value.details["written"] == 3 * DEFAULT_LIMITS.chunk_bytes
        assert await one.init.write(b"y" * 10 * DEFAULT_LIMITS.chunk_bytes) == 10 * DEFAULT_LIMITS.chunk_bytes


async def test_leaving_a_guest_that_does_not_answer_is_bounded_and_told(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    guest = ScriptedGuest()
    limits = replace(DEFAULT_LIMITS, shutdown_seconds=7.0, health_answer_seconds=1000.0)
    with caplog.at_level(logging.WARNING, "katrio"):
        async with one_running(guest, limits):
            guest.gates["signal_process one"] = trio.Event()
            began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(7.0, abs=0.5)
    assert "not stopped within 7 s: box" in caplog.text
