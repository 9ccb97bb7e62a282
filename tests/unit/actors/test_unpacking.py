"""A create whose image takes long: it has its caller's time, and ends with the caller and with the sandbox; in virtual time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import Expired, KatrioError, OutcomeUnknown
from actors.limits import DEFAULT_LIMITS as LIMITS
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from trio.testing import MockClock

SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))


class _SlowImages:
    """An image that takes its time, as a large one does."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        """See `actors.sandbox.Images`."""
        await trio.sleep(self.seconds)
        return "/"

    async def release(self, rootfs: str) -> None:
        """See `actors.sandbox.Images`."""
        await trio.lowlevel.checkpoint()


async def test_an_image_is_unpacked_for_as_long_as_its_caller_waits(autojump_clock: MockClock) -> None:
    images = _SlowImages(500)
    async with scripted_system(ScriptedGuest(), images=images) as system:
        box = await system.create_sandbox("box")
        await box.start()
        began = trio.current_time()
        with pytest.raises(Expired, match="nothing was made"):
            await box.create_container("one", SPEC, timeout=5)
        with trio.move_on_after(5):
            await box.create_container("one", SPEC, timeout=None)
        assert trio.current_time() - began == pytest.approx(10, abs=1)
        # its id is free, and whoever waits longer gets it
        one = await box.create_container("one", SPEC, timeout=600)
        assert (await one.info()).state == "ready"


async def test_stop_of_the_sandbox_ends_the_unpacking_of_an_image(autojump_clock: MockClock) -> None:
    async with scripted_system(ScriptedGuest(), images=_SlowImages(math.inf)) as system:
        box = await system.create_sandbox("box")
        await box.start()
        codes: list[str] = []

        async def create() -> None:
            try:
                await box.create_container("slow", SPEC, timeout=None)
            except KatrioError as error:
                codes.append(error.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(create)
            await trio.testing.wait_all_tasks_blocked()
            await box.stop()
        assert codes == ["invalid_transition"]


async def test_a_create_is_bounded_once_its_image_is_there(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={"create_container slow": trio.Event()})
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        began = trio.current_time()
        with pytest.raises(OutcomeUnknown):
            await box.create_container("slow", SPEC, timeout=None)
        assert trio.current_time() - began < 2 * LIMITS.mutate_seconds + 5
