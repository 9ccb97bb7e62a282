"""The system actor: the root of one tree of sandboxes, and the last to end.

Run it in a nursery, serve its server on a transport, and drive it with handles.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.actor import Actor
from actors.children import Children
from actors.events import Events
from actors.lifecycle.sandbox import SandboxState
from actors.sandbox import SandboxActor
from actors.wire.verbs import SYSTEM_VERBS, Created, Info, Nothing, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.agents.base import AgentFactory
    from actors.limits import Limits
    from actors.mailbox import Request, Server
    from actors.sandbox import GuestLauncher, Images
    from actors.wire.events import ActorEvent
    from actors.wire.verbs import CreateSandbox

__all__ = ["SystemActor"]

ADDRESS = ""

_log = logging.getLogger("katrio")


class SystemActor:
    """Serves `actors.wire.verbs.SYSTEM_VERBS`."""

    def __init__(
        self, *, server: Server, launch: GuestLauncher, connect: AgentFactory, images: Images, limits: Limits
    ) -> None:
        self._server = server
        self._launch = launch
        self._connect = connect
        self._images = images
        self._limits = limits
        self._sandboxes = Children[SandboxActor](
            noun="sandbox", server=server, limits=limits, owner="there is", shield=True
        )
        self._events = Events(ADDRESS, self._present, above=None)
        self._actor = Actor(server.register(ADDRESS, capacity=limits.inbox_messages), SYSTEM_VERBS, limits)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; then stop every sandbox in order, within a bound, before returning.

        The sandboxes' tasks are shielded from that cancellation: stopping needs their connections.
        """
        async with trio.open_nursery() as nursery:
            try:
                task_status.started()
                create = partial(self._create_sandbox, nursery)
                await self._actor.serve({"create_sandbox": create, "info": self._info, "events": self._events.serve})
            finally:
                await self._stop_all()

    async def _stop_all(self) -> None:
        with trio.CancelScope(shield=True):
            with trio.move_on_after(self._limits.shutdown_seconds) as order:
                await self._sandboxes.stop(Stop(grace_seconds=self._limits.cancel_grace_seconds))
            if order.cancelled_caught:
                late = ", ".join(actor.id for actor in self._sandboxes if actor.state.value is not SandboxState.STOPPED)
                seconds = self._limits.shutdown_seconds
                _log.warning("not stopped within %g s: %s; the guests are ended with what they run", seconds, late)
            self._sandboxes.cancel()

    async def _create_sandbox(self, nursery: trio.Nursery, args: CreateSandbox, request: Request) -> Created:
        child = self._sandboxes.reserve(args.id)
        actor = child.actor = SandboxActor(
            name=args.id,
            spec=args.spec,
            server=self._server,
            inbox=self._server.register(child.address, capacity=self._limits.inbox_messages),
            launch=self._launch,
            connect=self._connect,
            images=self._images,
            limits=self._limits,
            events=self._events,
            forget=child.forget,
        )
        await nursery.start(child.task.run, actor.run, child.forget, name=child.address)
        actor.events.state(str(actor.state.value))
        return Created(args.id)

    def _present(self) -> Iterator[ActorEvent]:
        for actor in self._sandboxes:
            yield from actor.present()

    async def _info(self, args: Nothing, request: Request) -> Info:
        await trio.lowlevel.checkpoint()
        return Info("", "running", self._sandboxes.ids)
