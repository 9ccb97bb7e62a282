"""The system actor: the root of one tree of sandboxes, and the last to end.

Run it in a nursery, serve its server on a transport, and drive it with handles.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from actors.actor import Actor
from actors.cancellable import CancellableTask
from actors.errors import AlreadyExists, KatrioError
from actors.events import Events
from actors.ids import check_id
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


@dataclass
class _Child:
    task: CancellableTask
    actor: SandboxActor


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
        self._sandboxes: dict[str, _Child] = {}
        self._nursery: trio.Nursery | None = None
        self._events = Events(ADDRESS, self._present, above=None)
        self._actor = Actor(
            ADDRESS,
            server.register(ADDRESS, capacity=limits.inbox_messages),
            SYSTEM_VERBS,
            {"create_sandbox": self._create_sandbox, "info": self._info, "events": self._events.serve},
            limits,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; then stop every sandbox in order, within a bound, before returning.

        The sandboxes' tasks are shielded from that cancellation: stopping needs their connections.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                task_status.started()
                await self._actor.serve()
            finally:
                await self._stop_all()

    async def _stop_all(self) -> None:
        with trio.CancelScope(shield=True):
            with trio.move_on_after(self._limits.shutdown_seconds) as order:
                async with trio.open_nursery() as stopping:
                    for child in self._sandboxes.values():
                        stopping.start_soon(self._stop_one, child)
            if order.cancelled_caught:
                late = ", ".join(
                    n for n, c in self._sandboxes.items() if c.actor.state.value is not SandboxState.STOPPED
                )
                seconds = self._limits.shutdown_seconds
                _log.warning("not stopped within %g s: %s; the guests are ended with what they run", seconds, late)
            for child in self._sandboxes.values():
                child.task.cancel()

    async def _stop_one(self, child: _Child) -> None:
        try:
            await child.actor.stop(Stop(grace_seconds=self._limits.cancel_grace_seconds))
        except KatrioError as error:
            # cancelling its task ends the guest in any case
            _log.warning("stop of %s: %s", child.task.name, error)

    async def _create_sandbox(self, args: CreateSandbox, request: Request) -> Created:
        check_id(args.id, "id", self._limits.id_length)
        if args.id in self._sandboxes:
            raise AlreadyExists(f"there is a sandbox {args.id!r} already; delete it first")
        assert self._nursery is not None

        def forget() -> None:
            if self._sandboxes.get(args.id) is child:
                del self._sandboxes[args.id]
                self._server.unregister(args.id)

        actor = SandboxActor(
            name=args.id,
            spec=args.spec,
            server=self._server,
            inbox=self._server.register(args.id, capacity=self._limits.inbox_messages),
            launch=self._launch,
            connect=self._connect,
            images=self._images,
            limits=self._limits,
            events=self._events,
            forget=forget,
        )
        task = CancellableTask(f"sandbox {args.id!r}", shield=True)
        child = self._sandboxes[args.id] = _Child(task, actor)
        await self._nursery.start(task.run, actor.run, forget, name=args.id)
        actor.events.state(str(actor.state.value))
        return Created(args.id)

    def _present(self) -> Iterator[ActorEvent]:
        for child in self._sandboxes.values():
            yield from child.actor.present()

    async def _info(self, args: Nothing, request: Request) -> Info:
        await trio.lowlevel.checkpoint()
        return Info("", "running", tuple(self._sandboxes))
