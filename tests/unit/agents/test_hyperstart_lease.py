"""A sandbox's one hyperstart link: leased to its containers, and the sandbox's end when it ends. In virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import trio

from actors.agents.base import Channels
from actors.agents.hyperstart.agent import connect_hyperstart
from actors.errors import GuestDied
from actors.launchers.nothing import AnyImage
from actors.limits import SIMULATED_LIMITS
from actors.seams import real_seams
from actors.system.compose import Parts, open_actors
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.hyperstart_guest import Guest, open_guest
from transports.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.handles import ContainerHandle, SandboxHandle

LOOP = ContainerSpec(
    process=ProcessSpec(args=("sh", "-c", "trap 'exit 3' TERM; echo up; while true; do sleep 1; done"))
)


@dataclass
class Running:
    """See `actors.sandbox.Guest`."""

    channels: Channels

    async def wait_gone(self) -> str:
        await trio.sleep_forever()
        raise AssertionError

    def kill(self) -> None:
        """A task of the test's own, which ends with it."""


@dataclass
class Launcher:
    """See `actors.sandbox.GuestLauncher`; keeps the guests, and tells when one was ended."""

    guests: list[Guest] = field(default_factory=list["Guest"])
    ended: trio.Event = field(default_factory=trio.Event)

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[Running]) -> None:
        async with open_guest() as guest:
            self.guests.append(guest)
            task_status.started(Running(Channels(guest.dial_control, guest.dial_streams)))
            try:
                await trio.sleep_forever()
            finally:
                self.ended.set()


@asynccontextmanager
async def a_sandbox(launcher: Launcher) -> AsyncGenerator[SandboxHandle]:
    parts = Parts(
        transport=MemoryTransport(),
        address="memory://test",
        launch=launcher,
        connect=connect_hyperstart,
        images=AnyImage(),
        seams=real_seams(),
        limits=SIMULATED_LIMITS,
    )
    async with open_actors(parts) as system:
        box = await system.create_sandbox("box")
        await box.start()
        yield box


async def running(box: SandboxHandle, name: str) -> ContainerHandle:
    container = await box.create_container(name, LOOP)
    await container.start()
    async with container.init.open_stdout() as parts:
        assert (await anext(parts)).data == b"up\n"
    return container


async def test_all_containers_of_a_sandbox_go_over_its_two_channels(autojump_clock: MockClock) -> None:
    launcher = Launcher()
    async with a_sandbox(launcher) as box:
        one, two = await running(box, "one"), await running(box, "two")
        assert (await (await one.exec("e1", ProcessSpec(args=("sh", "-c", "exit 7")))).wait()).code == 7
        assert (await one.stop()).code == 3
        await one.delete()
        assert (await two.info()).state == "running", "a lease that ends leaves the link to the others"
        assert (await (await two.exec("e1", ProcessSpec(args=("sh", "-c", "exit 8")))).wait()).code == 8
        assert (await box.check()).serving
    assert len(launcher.guests[0].far_ends) == 2
    assert launcher.ended.is_set()


async def test_the_end_of_the_link_is_that_of_the_sandbox_though_its_guest_lives(autojump_clock: MockClock) -> None:
    launcher = Launcher()
    async with a_sandbox(launcher) as box:
        one = await running(box, "one")
        told: list[str] = []

        async def wait() -> None:
            with pytest.raises(GuestDied) as died:
                await one.init.wait()
            told.append(str(died.value.details["state"]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await launcher.guests[0].far_ends[1].aclose()
        assert told == ["lost"]
        assert ((await box.info()).state, (await one.info()).state) == ("lost", "lost")
        with pytest.raises(GuestDied):
            await one.exec("e1", ProcessSpec(args=("true",)))
        await launcher.ended.wait()
        await one.delete()
        await box.delete()
