"""A guest that hangs, on real containers: stopped by SIGSTOP, it is found out, told to all who wait, and done away with."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import AgentUnreachable, GuestDied, OutcomeUnknown
from actors.limits import DEFAULT_LIMITS
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.boxes import ENGINES, SLEEP, a_room, guest_pid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

# quick enough to wait for, and slow enough for a guest that has to share its processor with a whole test run
LIMITS = replace(DEFAULT_LIMITS, health_period_seconds=0.2, health_answer_seconds=2.0, health_misses=2)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_stopped_guest_is_lost_and_calls_in_flight_end_with_it(engine: str, tmp_path: Path) -> None:
    async with a_room(engine, tmp_path, LIMITS) as room:
        other = await room.world.system.create_sandbox("other")
        await other.start()
        neighbour = await other.create_container("one", ContainerSpec(process=ProcessSpec(args=SLEEP)))
        await neighbour.start()
        one = await room.running()
        guest = guest_pid(room.world.guests.directory("box").path)
        ended: list[str] = []

        async def expect(name: str, error: type[Exception], call: Callable[[], Awaitable[object]]) -> None:
            with pytest.raises(error):
                await call()
            ended.append(name)

        os.kill(guest, signal.SIGSTOP)
        with trio.fail_after(40):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(expect, "wait", GuestDied, one.init.wait)
                nursery.start_soon(expect, "pause", OutcomeUnknown, one.pause)
                nursery.start_soon(expect, "stats", AgentUnreachable, one.stats)
                nursery.start_soon(expect, "details", AgentUnreachable, room.box.get_guest_details)
            assert sorted(ended) == ["details", "pause", "stats", "wait"]
            assert (await one.info()).state == "lost"
            assert (await room.box.info()).state == "lost"
            with pytest.raises(GuestDied, match="did not answer a health check"):
                await one.init.wait()
            await one.delete()
            await room.box.delete()
        with pytest.raises(ProcessLookupError):
            os.kill(guest, 0)
        assert (await other.info()).state == "running"
        assert (await neighbour.info()).state == "running"
