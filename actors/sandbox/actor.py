"""The sandbox actor: starts a guest, makes container actors, and stops them all in order.

Theory of operation. `run` has two nurseries. The outer, `_links`, runs the guest and the sandbox's agent connection
(`_bring_up`), the inner, `_children`, this actor's loop and a task per container; so containers always end while
connections live. `start`, `stop` and `create_container` queue in the actor's turn queue. A stop must not wait behind
what it would end: when it arrives, `_wants_end` cancels a start that is still waiting for the guest and shortens
earlier stops. `_stop` stops the containers, then the sandbox in the guest, then cancels the guest's task, each within a
bound, so it ends even if the guest hangs.

The guest may die at any time: its launcher, its link or a failed health check calls `_lose`, which moves the state to
`lost`, cancels `_link` and fails all waiters.
"""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.actor import late, plain_handlers, unknown
from actors.cancellable import CancellableTask
from actors.children import Children
from actors.container import ContainerActor
from actors.errors import CallerCancelled, Expired, GuestDied, KatrioError
from actors.lifecycle.sandbox import SANDBOX, SandboxEvent, SandboxState
from actors.sandbox.health import watch_health
from actors.sandbox.oom import watch_oom
from actors.stateful import StatefulActor
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verbs import Created, Info, Nothing, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from actors.actor import Handler
    from actors.agents.base import AgentConnection, AgentFactory, SandboxAgent
    from actors.events import Events
    from actors.limits import Limits
    from actors.mailbox import Inbox, Request, Server
    from actors.sandbox.guest import Guest, GuestLauncher, Images
    from actors.wire.events import ActorEvent
    from actors.wire.sandbox_verbs import CreateContainer
    from actors.wire.spec import SandboxSpec
    from actors.wire.verbs import Delete

__all__ = ["SandboxActor"]

_log = logging.getLogger("katrio")


class SandboxActor(StatefulActor[SandboxState, SandboxEvent, Nothing]):
    """Serves `actors.wire.sandbox_verbs.SANDBOX_VERBS`."""

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
        super().__init__(
            name, SANDBOX, SandboxState.READY, SANDBOX_VERBS, inbox=inbox, limits=limits, events=events, forget=forget
        )
        self._spec = spec
        self._server = server
        self._launch = launch
        self._connect = connect
        self._images = images
        # both since the start; the agent once it has answered
        self._link: CancellableTask | None = None
        self._agent: SandboxAgent | None = None
        # guest and connection are coming up: nothing has been asked of the guest yet
        self._coming_up = False
        # the sandbox exists in the guest
        self._made = trio.Event()
        self._containers = Children[ContainerActor](
            noun="container",
            server=server,
            limits=limits,
            owner=f"sandbox {name!r} has",
            prefix=f"{name}/",
            most=limits.containers,
        )
        # no bound here: unpacking has the caller's deadline, the rest is bounded in `_create_container`
        self._actor.bound("create_container", lambda _: math.inf)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until deleted. If cancelled, everything ends at once; the owner calls `stop` before that."""
        async with trio.open_nursery() as links, trio.open_nursery() as children:
            # `links` is the outer nursery: containers end while connections still live
            handlers: dict[str, Handler] = {
                "start": partial(self._start, links),
                "create_container": partial(self._create_container, children),
                "delete": self._delete,
                "disconnect": self._disconnect,
                "info": self._info,
                **plain_handlers(SANDBOX_VERBS, self._limits, lambda verb: getattr(self._agent_for(verb), verb)),
            }
            children.start_soon(self._serve, handlers, name=self.id)
            task_status.started()
            await self._deleted.wait()
            children.cancel_scope.cancel()
            links.cancel_scope.cancel()

    @contextmanager
    def wants_end(self, args: Stop) -> Generator[None]:
        """During the block, no earlier stop, of the sandbox or a container, waits longer than this one would.

        A start that still waits for the guest, or for the agent's first reply, is cancelled: there is nothing to roll
        back.
        """
        if self._coming_up and self._link is not None:
            self._link.cancel()
        with ExitStack() as stack:
            for container in self._containers:
                stack.enter_context(container.wants_end(args))
            yield

    def present(self) -> Iterator[ActorEvent]:
        """The current state, and the containers', for a new subscriber."""
        yield from super().present()
        for container in self._containers:
            yield from container.present()

    async def _start(self, links: trio.Nursery, args: Nothing, request: Request) -> Nothing:
        self._check("start")
        self._move(SandboxEvent.START)
        self._link = CancellableTask(f"sandbox {self.id!r}")
        try:
            self._coming_up = True
            try:
                agent = self._agent = await links.start(self._link.run, self._bring_up, name=f"{self.id}:guest")
            finally:
                self._coming_up = False
            await agent.create_sandbox(self.id, self._spec)
            self._made.set()
        except BaseException:
            self._link.cancel()
            self._move_if(SandboxEvent.START_FAILED)
            raise
        if self.state.value is SandboxState.LOST:
            raise GuestDied(f"sandbox {self.id!r}: its guest died while it started", state="lost")
        self._move(SandboxEvent.STARTED)
        return Nothing()

    async def _bring_up(self, *, task_status: trio.TaskStatus[SandboxAgent]) -> None:
        """Run the guest and our own connection to it, until the sandbox stops or the guest is gone."""
        async with trio.open_nursery() as nursery:
            guest: Guest = await nursery.start(self._launch, self.id)
            # watch from now on: it may die before its agent answers
            nursery.start_soon(self._watch_guest, guest)
            agent = self._connect(guest.channels, self._limits)
            await nursery.start(agent.run)
            nursery.start_soon(self._watch_link, agent)
            nursery.start_soon(self._watch_oom, agent)
            if agent.follows_processes:
                nursery.start_soon(self._give_up, agent, guest)
            task_status.started(agent)

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
        self._move_if(SandboxEvent.LOST)
        for container in self._containers:
            container.lose(reason)

    async def _create_container(self, children: trio.Nursery, args: CreateContainer, request: Request) -> Created:
        agent = self._agent_for("create_container")
        child = self._containers.reserve(args.id)
        try:
            rootfs = await self._rootfs(agent, args, request, child.preparing)
        except BaseException:
            child.forget()
            raise
        child.actor = ContainerActor(
            name=args.id,
            spec=args.spec,
            rootfs=rootfs,
            connection=agent.lease(),
            inbox=self._server.register(child.address, capacity=self._limits.inbox_messages),
            limits=self._limits,
            events=self.events,
            forget=child.forget,
        )
        run = partial(self._run_container, child.actor, rootfs)
        with trio.move_on_after(self._limits.mutate_seconds) as making:
            await children.start(child.task.run, run, child.forget, name=child.address)
        if making.cancelled_caught:
            raise unknown(request)
        return Created(child.address)

    async def _rootfs(
        self, agent: SandboxAgent, args: CreateContainer, request: Request, unpacking: trio.CancelScope
    ) -> str:
        """Unpacking changes nothing in the guest: it has the caller's deadline, and is cancelled with the caller or the sandbox."""
        unpacking.deadline = request.deadline
        request.on_cancel(unpacking.cancel)
        rootfs: str | None = None
        with unpacking:
            rootfs = await self._images.resolve(args.spec.image, spoilt=agent.spoils_roots)
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

    async def _stop(self, args: Stop) -> Nothing:
        """Stop the containers, then the sandbox in the guest, then the guest and the connection to it."""
        if self.state.value is SandboxState.STOPPED:
            return Nothing()
        lost = self.state.value is SandboxState.LOST
        self._move(SandboxEvent.STOP)
        if self._agent is not None and not lost:
            # a guest that does not answer is ended all the same, and its containers with it
            with trio.move_on_after(self._grace(args) + self._limits.shutdown_seconds):
                await self._containers.stop(args)
            await self._destroy(self._agent)
        await self._unlink()
        # whatever could not be stopped in the guest has ended with it
        for container in self._containers:
            container.lose("its sandbox was stopped")
        self._move(SandboxEvent.STOPPED)
        return Nothing()

    async def _unlink(self) -> None:
        if self._link is not None:
            self._link.cancel()
            await self._link.wait()

    async def _destroy(self, agent: SandboxAgent) -> None:
        with trio.move_on_after(self._limits.shutdown_seconds):
            try:
                await agent.destroy_sandbox()
            except KatrioError as error:
                _log.warning("destroy of sandbox %r: %s", self.id, error)

    async def _delete(self, args: Delete, request: Request) -> Nothing:
        if args.force:
            await self._stop(Stop(grace_seconds=0))
        self._check("delete")
        await self._unlink()
        for container in self._containers:
            container.events.close()
        self._end()
        return Nothing()

    def _agent_for(self, verb: str) -> SandboxAgent:
        self._check(verb)
        assert self._agent is not None, f"{verb} needs a sandbox that has been started"
        return self._agent

    async def _disconnect(self, args: Nothing, request: Request) -> Nothing:
        self._check("disconnect")
        if self._agent is not None:
            await self._agent.disconnect()
        return Nothing()

    def _tell_oom(self, container: str) -> None:
        # the guest is untrusted and may send any name
        for actor in self._containers:
            if actor.id == container:
                actor.tell_oom()

    async def _info(self, args: Nothing, request: Request) -> Info:
        return Info(self.id, str(self.state.value), self._containers.ids)
