"""What subscribers of the actors are told, over the in-memory transport and a scripted guest, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import CallerCancelled
from actors.wire.events import ActorEvent
from actors.wire.spec import ContainerSpec, ExitStatus, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from trio.testing import MockClock

    from actors.handles import SeenEvent

SH = ProcessSpec(args=("sh",))
SPEC = ContainerSpec(process=SH)


class Subscriber:
    """Reads a subscription to its end."""

    def __init__(self) -> None:
        self.events: list[ActorEvent] = []
        self.ended = False

    async def read(self, opening: AbstractAsyncContextManager[AsyncIterator[SeenEvent]]) -> None:
        async with opening as events:
            async for seen in events:
                assert seen.lost == 0
                self.events.append(seen.event)
        self.ended = True

    def take(self) -> list[tuple[str, str]]:
        """(source, state or kind) since the last look."""
        taken = [(event.source, event.state or event.kind) for event in self.events]
        del self.events[:]
        return taken


async def test_a_subscriber_gets_what_is_the_case_and_then_every_change(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system, trio.open_nursery() as nursery:
        box = await system.create_sandbox("box")
        await box.start()
        web, db = await box.create_container("web", SPEC), await box.create_container("db", SPEC)
        of_web, of_box, of_all = Subscriber(), Subscriber(), Subscriber()
        for subscriber, handle in ((of_web, web), (of_box, box), (of_all, system)):
            nursery.start_soon(subscriber.read, handle.open_events())
        await trio.testing.wait_all_tasks_blocked()
        assert of_web.take() == [("box/web", "ready")]
        present = [("box", "running"), ("box/web", "ready"), ("box/db", "ready")]
        assert of_box.take() == of_all.take() == present

        await web.start()
        await web.pause()
        await db.start()
        await trio.testing.wait_all_tasks_blocked()
        of_it = [("box/web", "starting"), ("box/web", "running"), ("box/web", "paused")]
        assert of_web.take() == of_it
        assert of_box.take() == of_all.take() == [*of_it, ("box/db", "starting"), ("box/db", "running")]

        await box.stop()
        await web.delete()
        await trio.testing.wait_all_tasks_blocked()
        assert of_web.take()[-3:] == [("box/web", "exit"), ("box/web", "stopped"), ("box/web", "deleted")]
        assert of_web.ended
        await box.delete()
        await trio.testing.wait_all_tasks_blocked()
        assert of_box.take()[-2:] == [("box/db", "deleted"), ("box", "deleted")]
        assert of_box.ended
        assert not of_all.ended
        await system.create_sandbox("next")
        await trio.testing.wait_all_tasks_blocked()
        assert of_all.take()[-1] == ("next", "ready")
        nursery.cancel_scope.cancel()


async def test_the_end_of_a_process_is_told_with_its_code(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system, trio.open_nursery() as nursery:
        box = await system.create_sandbox("box")
        await box.start()
        web = await box.create_container("web", SPEC)
        await web.start()
        subscriber = Subscriber()
        nursery.start_soon(subscriber.read, box.open_events())
        await web.exec("job", SH)
        guest.processes["web", "job"].exit(3)
        await trio.testing.wait_all_tasks_blocked()
        assert subscriber.events[-1] == ActorEvent("box/web", "exit", process="job", exit=ExitStatus(3))
        guest.die()
        await trio.testing.wait_all_tasks_blocked()
        assert subscriber.take()[-2:] == [("box", "lost"), ("box/web", "lost")]
        nursery.cancel_scope.cancel()


async def test_a_subscriber_that_leaves_is_forgotten(autojump_clock: MockClock) -> None:
    async with scripted_system(ScriptedGuest()) as system:
        box = await system.create_sandbox("box")
        for _ in range(300):
            async with box.open_events() as events:
                assert (await anext(events)).event == ActorEvent("box", "state", state="ready")


async def test_a_verb_that_is_under_way_when_its_actor_ends_is_answered(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with scripted_system(guest) as system, trio.open_nursery() as nursery:
        box = await system.create_sandbox("box")
        await box.start()
        guest.gates["check "] = trio.Event()

        async def check() -> None:
            with pytest.raises(CallerCancelled):
                await box.check()

        nursery.start_soon(check)
        await trio.testing.wait_all_tasks_blocked()
        await box.stop()
        await box.delete()
