"""Roots of images come and go with the containers that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import InvalidArgument
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from trio.testing import MockClock

SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))


class CountedImages:
    """Each root is a new one, and is given back once."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.given = 0

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        await trio.lowlevel.checkpoint()
        self.given += 1
        self.out.append(f"/roots/{self.given}")
        return self.out[-1]

    async def release(self, rootfs: str) -> None:
        await trio.lowlevel.checkpoint()
        self.out.remove(rootfs)


async def test_a_root_is_given_back_when_its_container_is_no_more(autojump_clock: MockClock) -> None:
    images, guest = CountedImages(), ScriptedGuest()
    async with scripted_system(guest, images=images) as system:
        box = await system.create_sandbox("box")
        await box.start()
        one, two = await box.create_container("one", SPEC), await box.create_container("two", SPEC)
        await two.start()
        assert images.out == ["/roots/1", "/roots/2"]
        await one.delete(force=True)
        await trio.testing.wait_all_tasks_blocked()
        assert images.out == ["/roots/2"]
        guest.failures["create_container"] = InvalidArgument("no", field="image")
        with pytest.raises(InvalidArgument):
            await box.create_container("three", SPEC)
        await trio.testing.wait_all_tasks_blocked()
        assert images.out == ["/roots/2"], "one that was not created has none"
        await two.stop(grace=0)
        await trio.testing.wait_all_tasks_blocked()
        assert images.out == ["/roots/2"], "one that has stopped is not gone"
    assert images.out == []
    assert images.given == 3
