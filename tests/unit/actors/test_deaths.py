"""A guest that dies while somebody waits for it to begin something: its death is the answer, at once. In virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import GuestDied, KatrioError, OutcomeUnknown
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from trio.testing import MockClock

SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))


@pytest.mark.parametrize("at", ["dial", "create_container one"])
async def test_a_guest_that_dies_under_a_create_is_the_answer_to_it(at: str, autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"create_container": OutcomeUnknown("the link broke")})
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        guest.gates[at] = trio.Event()
        failures: list[str] = []

        async def create() -> None:
            try:
                await box.create_container("one", SPEC)
            except KatrioError as error:
                failures.append(error.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(create)
            await trio.testing.wait_all_tasks_blocked()
            guest.die()
            await trio.testing.wait_all_tasks_blocked()
            guest.gates[at].set()
        assert failures == ["guest_died"]
        assert (await box.info()).children == ()


async def test_a_guest_that_dies_before_its_agent_answers_is_the_answer_to_start(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={"dial": trio.Event()})
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        async with trio.open_nursery() as nursery:

            async def die() -> None:
                await trio.testing.wait_all_tasks_blocked()
                guest.die()

            nursery.start_soon(die)
            with pytest.raises(GuestDied):
                await box.start(timeout=5)
        assert (await box.info()).state == "lost"
