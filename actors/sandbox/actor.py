"""The sandbox actor: starts a guest, makes container actors, and stops them all in order.

Theory of operation. `run` has two nurseries. The outer, `_links`, runs the guest and the sandbox's agent connection
(`_bring_up`), the inner, `_children`, this actor's loop and a task per container; so containers always end while
connections live. `start`, `stop` and `create_container` queue in the actor's turn queue. A stop must not wait behind
what it would end: when it arrives, `_wants_end` cancels a start that is still waiting for the guest and shortens
earlier stops. `_stop` stops the containers, then the sandbox in the guest, then cancels the guest's task, each within a
bound, so it ends even if the guest hangs.

The guest may die at any time: its launcher, its link or a failed health check calls `_lose`, which moves the state to
`lost`, cancels `_link` and fails all waiters. A container's id is reserved before the first await and freed by
`forget`, which its task calls on every way out.
"""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import trio
from trio_util import AsyncValue

from actors.actor import Actor, late, plain_handlers, unknown
from actors.cancellable import CancellableTask
from actors.container import ContainerActor
from actors.errors import (
    AlreadyExists,
    CallerCancelled,
    Expired,
    GuestDied,
    KatrioError,
    ResourceExhausted,
)
from actors.events import Events
from actors.ids import check_id
from actors.lifecycle.container import ContainerState
from actors.lifecycle.sandbox import SANDBOX, SandboxEvent, SandboxState
from actors.sandbox.health import watch_health
from actors.sandbox.oom import watch_oom
from actors.wire.events import ActorEvent
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verbs import Concurrency, Created, Info, Nothing, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from actors.agents.base import AgentConnection, AgentFactory, SandboxAgent
    from actors.limits import Limits
    from actors.mailbox import Inbox, Request, Server
    from actors.sandbox.guest import Guest, GuestLauncher, Images
    from actors.wire.sandbox_verbs import CreateContainer
    from actors.wire.spec import SandboxSpec
    from actors.wire.verbs import Delete

__all__ = ["SandboxActor"]

_log = logging.getLogger("katrio")


class SandboxActor:
    """Serves `actors.wire.sandbox_verbs.SANDBOX_VERBS`. `forget` frees its name; idempotent."""

    def __init__(
        self,
        *,
        name: str,
        spec: SandboxSpec,
        server: Server,
        inbox: Inbox,
        launch: GuestLauncher,
        connect: AgentFactory,
        images: Images,
        limits: Limits,
        events: Events,
        forget: Callable[[], None],
    ) -> None:
        self.id = name
        self.events = Events(name, self.present, above=events)
        self.state = AsyncValue(SandboxState.READY)
        self._spec = spec
        self._server = server
        self._launch = launch
        self._connect = connect
        self._images = images
        self._limits = limits
        self._deleted = trio.Event()
        self._forget = forget
        self._agent: SandboxAgent | None = None
        self._links: trio.Nursery | None = None
        self._link: CancellableTask | None = None
        # guest and connection are coming up: nothing has been asked of the guest yet
        self._coming_up = False
        # the sandbox exists in the guest
        self._made = trio.Event()
        self._children: trio.Nursery | None = None
        self._containers: dict[str, _Child] = {}
        self._actor = Actor(
            name,
            inbox,
            SANDBOX_VERBS,
            {
                "start": self._start,
                "stop": self._stop_verb,
                "delete": self._delete,
                "disconnect": self._disconnect,
                "info": self._info,
                "events": self.events.serve,
                "create_container": self._create_container,
                **plain_handlers(SANDBOX_VERBS, limits, lambda verb: getattr(self._agent_for(verb), verb)),
            },
            limits,
        )
        # no bound here: unpacking has the caller's deadline, the rest is bounded in `_make_container`
        self._actor.bound("create_container", lambda _: math.inf)
        self._actor.bound("stop", lambda args: limits.mutate_seconds + self._grace(cast("Stop", args)))
        self._actor.while_pending("stop", self._wants_end)
        self._actor.while_pending("delete", self._deletes)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until deleted. If cancelled, everything ends at once; the owner calls `stop` before that."""
        async with trio.open_nursery() as links, trio.open_nursery() as children:
            # `links` is the outer nursery: containers end while connections still live
            self._links = links
            self._children = children
            children.start_soon(self._actor.serve, name=self.id)
            task_status.started()
            await self._deleted.wait()
            children.cancel_scope.cancel()
            links.cancel_scope.cancel()

    async def stop(self, args: Stop) -> None:
        """The stop sequence, for the owner: queues in this actor's turn queue like a caller's `stop`."""
        with self._actor.turns.take(Concurrency.PREEMPTIVE) as turn, self._wants_end(args):
            await turn.wait()
            await self._stop(args)

    @contextmanager
    def _wants_end(self, args: Stop) -> Generator[None]:
        """During the block, no earlier stop, of the sandbox or a container, waits longer than this one would.

        A start that still waits for the guest, or for the agent's first reply, is cancelled: there is nothing to roll
        back.
        """
        if self._coming_up and self._link is not None:
            self._link.cancel()
        with ExitStack() as stack:
            for child in self._containers.values():
                if child.actor is not None:
                    stack.enter_context(child.actor.wants_end(args))
            yield

    def _deletes(self, args: Delete) -> AbstractContextManager[None]:
        return self._wants_end(Stop(grace_seconds=0, force=True)) if args.force else nullcontext()

    def _move(self, event: SandboxEvent) -> None:
        self.state.value = SANDBOX.move(self.state.value, event)
        self.events.state(str(self.state.value))

    def present(self) -> Iterator[ActorEvent]:
        """The current state, and the containers', for a new subscriber."""
        yield ActorEvent(self.id, "state", state=str(self.state.value))
        for child in self._containers.values():
            if child.actor is not None:
                yield from child.actor.present()

    def _check(self, verb: str) -> None:
        SANDBOX.check(verb, self.state.value, self.id)

    def _grace(self, args: Stop) -> float:
        return self._limits.stop_grace_seconds if args.grace_seconds is None else args.grace_seconds

    async def _start(self, args: Nothing, request: Request) -> Nothing:
        self._check("start")
        self._move(SandboxEvent.START)
        assert self._links is not None
        self._link = CancellableTask(f"sandbox {self.id!r}")
        try:
            self._coming_up = True
            try:
                await self._links.start(self._link.run, self._bring_up, name=f"{self.id}:guest")
            finally:
                self._coming_up = False
            assert self._agent is not None
            await self._agent.create_sandbox(self.id, self._spec)
            self._made.set()
        except BaseException:
            self._link.cancel()
            if self.state.value is SandboxState.STARTING:
                self._move(SandboxEvent.START_FAILED)
            raise
        if self.state.value is SandboxState.LOST:
            raise GuestDied(f"sandbox {self.id!r}: its guest died while it started", state="lost")
        self._move(SandboxEvent.STARTED)
        return Nothing()

    async def _bring_up(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run the guest and our own connection to it, until the sandbox stops or the guest is gone."""
        async with trio.open_nursery() as nursery:
            guest: Guest = await nursery.start(self._launch, self.id)
            # watch from now on: it may die before its agent answers
            nursery.start_soon(self._watch_guest, guest)
            agent = self._connect(guest.channels, self._limits)
            await nursery.start(agent.run)
            self._agent = agent
            nursery.start_soon(self._watch_link, agent)
            nursery.start_soon(self._watch_oom, agent)
            if agent.follows_processes:
                nursery.start_soon(self._give_up, agent, guest)
            task_status.started()

    async def _watch_guest(self, guest: Guest) -> None:
        self._lose(await guest.wait_gone())

    async def _watch_oom(self, agent: SandboxAgent) -> None:
        """Each OOM kill goes to a single caller: wait until the sandbox is ours, or we would take another's."""
        await self._made.wait()
        await watch_oom(agent, self._tell_oom, self._limits)

    async def _watch_link(self, agent: SandboxAgent) -> None:
        """A guest that can't be reached any more is lost, even if it still runs."""
        self._lose(await agent.wait_lost())

    async def _give_up(self, agent: AgentConnection, guest: Guest) -> None:
        """Kill a guest that hangs: an orderly shutdown would hang too."""
        reason = await watch_health(agent, self._limits)
        _log.warning("the guest of sandbox %r is given up: %s", self.id, reason)
        guest.kill()
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        """The guest is gone or unreachable: notify everyone, and end what belongs to it."""
        if self._link is not None:
            gone = GuestDied(f"sandbox {self.id!r}: its guest died while it started ({reason})", state="lost")
            self._link.cancel(gone)
        if SANDBOX.can(self.state.value, SandboxEvent.LOST):
            self._move(SandboxEvent.LOST)
        for child in self._containers.values():
            if child.actor is not None:
                child.actor.lose(reason)

    async def _create_container(self, args: CreateContainer, request: Request) -> Created:
        self._check("create_container")
        check_id(args.id, "id", self._limits.id_length)
        if args.id in self._containers:
            raise AlreadyExists(f"sandbox {self.id!r} has a container {args.id!r} already; delete it first")
        if len(self._containers) >= self._limits.containers:
            raise ResourceExhausted(
                f"sandbox {self.id!r} has {self._limits.containers} containers already",
                limit=self._limits.containers,
            )
        return await self._make_container(args, request)

    async def _make_container(self, args: CreateContainer, request: Request) -> Created:
        assert self._agent is not None
        assert self._children is not None
        address = f"{self.id}/{args.id}"
        task = CancellableTask(f"container {address!r}")
        # reserved before any await, so that two concurrent requests for the id can't both succeed
        child = self._containers[args.id] = _Child(task)

        def forget() -> None:
            # the name may belong to another container by the time this task has ended
            if self._containers.get(args.id) is child:
                del self._containers[args.id]
                self._server.unregister(address)

        try:
            rootfs = await self._rootfs(args, request, child.unpacking)
            inbox = self._server.register(address, capacity=self._limits.inbox_messages)
        except BaseException:
            self._containers.pop(args.id, None)
            raise
        child.actor = ContainerActor(
            name=args.id,
            address=address,
            spec=args.spec,
            rootfs=rootfs,
            connection=self._agent.lease(),
            inbox=inbox,
            limits=self._limits,
            events=self.events,
            forget=forget,
        )
        run = partial(self._run_container, child.actor, rootfs)
        with trio.move_on_after(self._limits.mutate_seconds) as making:
            await self._children.start(task.run, run, forget, name=address)
        if making.cancelled_caught:
            raise unknown(request)
        return Created(address)

    async def _rootfs(self, args: CreateContainer, request: Request, unpacking: trio.CancelScope) -> str:
        """Unpacking changes nothing in the guest: it has the caller's deadline, and is cancelled with the caller or the sandbox."""
        assert self._agent is not None
        unpacking.deadline = request.deadline
        request.on_cancel(unpacking.cancel)
        rootfs: str | None = None
        with unpacking:
            rootfs = await self._images.resolve(args.spec.image, spoilt=self._agent.spoils_roots)
        try:
            self._check("create_container")
        except KatrioError:
            if rootfs is not None:
                await self._images.release(rootfs)
            raise
        if rootfs is not None:
            return rootfs
        image = f"create_container of {args.id!r}: image {args.spec.image[:200]!r}"
        if late(request):
            raise Expired(f"{image} was not unpacked in the time given; nothing was made, give it more")
        raise CallerCancelled(f"{image}: cancelled while it was unpacked; nothing was made")

    async def _run_container(
        self, actor: ContainerActor, rootfs: str, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        try:
            await actor.run(task_status=task_status)
        finally:
            with trio.CancelScope(shield=True):
                await self._images.release(rootfs)

    async def _stop_verb(self, args: Stop, request: Request) -> Nothing:
        await self._stop(args)
        return Nothing()

    async def _stop(self, args: Stop) -> None:
        """Stop the containers, then the sandbox in the guest, then the guest and the connection to it."""
        if self.state.value is SandboxState.STOPPED:
            return
        lost = self.state.value is SandboxState.LOST
        self._move(SandboxEvent.STOP)
        if self._link is not None:
            if not lost:
                # a guest that does not answer is ended all the same, and its containers with it
                with trio.move_on_after(self._grace(args) + self._limits.shutdown_seconds):
                    await self._stop_containers(args)
                await self._destroy()
            self._link.cancel()
            await self._link.wait()
        # whatever could not be stopped in the guest has ended with it
        for child in self._containers.values():
            if child.actor is not None:
                child.actor.lose("its sandbox was stopped")
        self._move(SandboxEvent.STOPPED)

    async def _stop_containers(self, args: Stop) -> None:
        """Concurrently, each within its grace period; one failure does not affect the others."""

        async def stop_one(child: _Child) -> None:
            try:
                if child.actor is None or child.actor.state.value is ContainerState.CREATING:
                    child.unpacking.cancel()
                    child.task.cancel()
                    return
                await child.actor.stop(args)
            except KatrioError as error:
                # the guest's end kills it in any case
                _log.warning("stop of %s: %s", child.task.name, error)

        async with trio.open_nursery() as nursery:
            for child in list(self._containers.values()):
                nursery.start_soon(stop_one, child)

    async def _destroy(self) -> None:
        assert self._agent is not None
        with trio.move_on_after(self._limits.shutdown_seconds):
            try:
                await self._agent.destroy_sandbox()
            except KatrioError as error:
                _log.warning("destroy of sandbox %r: %s", self.id, error)

    async def _delete(self, args: Delete, request: Request) -> Nothing:
        if args.force:
            await self._stop(Stop(grace_seconds=0))
        self._check("delete")
        if self._link is not None:
            self._link.cancel()
            await self._link.wait()
        for child in self._containers.values():
            if child.actor is not None:
                child.actor.events.close()
        self.events.close()
        # free its name before the caller gets the reply
        self._forget()
        self._deleted.set()
        return Nothing()

    def _agent_for(self, verb: str) -> AgentConnection:
        self._check(verb)
        assert self._agent is not None
        return self._agent

    async def _disconnect(self, args: Nothing, request: Request) -> Nothing:
        self._check("disconnect")
        if self._agent is not None:
            await self._agent.disconnect()
        return Nothing()

    def _tell_oom(self, container: str) -> None:
        child = self._containers.get(container)
        # the guest is untrusted and may send any name
        if child is not None and child.actor is not None:
            child.actor.tell_oom()

    async def _info(self, args: Nothing, request: Request) -> Info:
        return Info(self.id, str(self.state.value), tuple(self._containers))


@dataclass
class _Child:
    """A container; `actor` is set once its image is unpacked."""

    task: CancellableTask
    actor: ContainerActor | None = None
    unpacking: trio.CancelScope = field(default_factory=trio.CancelScope)
