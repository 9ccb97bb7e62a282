"""Several stops at once: the one that ends first counts for all, in virtual time."""

from __future__ import annotations

import math
import signal
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import InvalidTransition, KatrioError
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    from actors.handles import ContainerHandle, SandboxHandle

# what is asked 1 s after a stop with a long grace, and how long that may then take
LATER: dict[str, tuple[Callable[[SandboxHandle, ContainerHandle], Awaitable[object]], float]] = {
    "stop by force": (lambda _, one: one.stop(grace=0, force=True), 0),
    "delete by force": (lambda _, one: one.delete(force=True), 0),
    "stop with a shorter grace": (lambda _, one: one.stop(grace=2), 2),
    "stop with a longer grace": (lambda _, one: one.stop(grace=200), 29),
    "stop of its sandbox": (lambda box, _: box.stop(grace=3), 3),
    "delete of its sandbox by force": (lambda box, _: box.delete(force=True), 0),
}


@pytest.mark.parametrize("first", ["container", "sandbox"])
@pytest.mark.parametrize("given_up", [False, True])
@pytest.mark.parametrize("name", LATER)
async def test_nobody_waits_for_a_longer_grace_of_an_earlier_stop(
    name: str, given_up: bool, first: str, autojump_clock: MockClock
) -> None:
    guest = ScriptedGuest()
    ask, seconds = LATER[name]
    async with scripted_system(guest) as system, trio.open_nursery() as nursery:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", ContainerSpec(process=ProcessSpec(args=("sh",))))
        await one.start()
        guest.init("one").ignores = frozenset({signal.SIGTERM})

        async def stop_politely() -> None:
            with trio.move_on_after(0.5 if given_up else math.inf):
                await (one if first == "container" else box).stop(grace=30)

        nursery.start_soon(stop_politely)
        await trio.sleep(1)
        began = trio.current_time()
        await ask(box, one)
        assert trio.current_time() - began == pytest.approx(seconds)


@pytest.mark.parametrize("name", ["container", "sandbox"])
async def test_a_grace_longer_than_the_usual_budget_is_waited_out(name: str, autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one = await box.create_container("one", ContainerSpec(process=ProcessSpec(args=("sh",))))
        await one.start()
        guest.init("one").ignores = frozenset({signal.SIGTERM})
        began = trio.current_time()
        await (one if name == "container" else box).stop(grace=234)
        assert trio.current_time() - began == pytest.approx(234)


ENDS: dict[str, Callable[[SandboxHandle], Awaitable[object]]] = {
    "stop": lambda box: box.stop(),
    "delete by force": lambda box: box.delete(force=True),
}


@pytest.mark.parametrize("name", [*ENDS, "the system's end"])
async def test_a_start_that_waits_for_its_agent_s_first_word_holds_up_no_end(
    name: str, autojump_clock: MockClock
) -> None:
    guest = ScriptedGuest()
    guest.gates["dial"] = trio.Event()
    told: list[KatrioError] = []

    async def start(box: SandboxHandle) -> None:
        try:
            await box.start()
        except KatrioError as error:
            told.append(error)

    async with trio.open_nursery() as nursery:
        async with scripted_system(guest) as system:
            box = await system.create_sandbox("box")
            nursery.start_soon(start, box)
            await trio.sleep(1)
            began = trio.current_time()
            if name in ENDS:
                await ENDS[name](box)
                assert trio.current_time() == began
        # the bounds of a silent agent, and of an order to stop, are longer
        assert trio.current_time() - began < 1
    (error,) = told
    if name in ENDS:
        assert isinstance(error, InvalidTransition)
        assert "was stopped while it was coming up" in error.message
