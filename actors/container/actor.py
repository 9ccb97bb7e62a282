"""The container actor: checks each verb against the lifecycle, calls its own agent connection, keeps results.

The sandbox actor makes it, and notifies it when the guest is gone. Its connection is its own, so that a stuck call
here blocks nobody else. The agent translates to OCI.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.actor import plain_handlers
from actors.cancellable import CancellableTask
from actors.container.listing import Listing
from actors.container.processes import Processes
from actors.errors import (
    AgentError,
    AgentUnreachable,
    Expired,
    GuestDied,
    InvalidArgument,
    InvalidTransition,
    KatrioError,
    NotFound,
    OutcomeUnknown,
)
from actors.lifecycle.container import CONTAINER, ContainerEvent, ContainerState
from actors.stateful import AT_ONCE, StatefulActor
from actors.wire.events import ActorEvent
from actors.wire.spec import Stopped
from actors.wire.verbs import CONTAINER_VERBS, Info, Nothing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping

    from actors.actor import Handler
    from actors.agents.base import AgentConnection
    from actors.events import Events
    from actors.limits import Limits
    from actors.mailbox import Inbox, Request
    from actors.wire.spec import ContainerSpec
    from actors.wire.verbs import Delete, Stop

__all__ = ["ContainerActor"]

_S, _E = ContainerState, ContainerEvent
# states in which a lost reply leaves the container's real state unknown
_IN_DOUBT = frozenset({_S.STARTING, _S.RUNNING, _S.PAUSED})
# (our state, the guest's state) -> the events that must have happened. None: an agent that can't tell. A real one must
# never be asked to start twice (it would hang), so an ambiguous start counts as done.
_TOLD: Mapping[tuple[ContainerState, ContainerState | None], tuple[ContainerEvent, ...]] = {
    (_S.STARTING, _S.READY): (_E.START_FAILED,),
    (_S.STARTING, _S.RUNNING): (_E.STARTED,),
    (_S.STARTING, None): (_E.STARTED,),
    (_S.RUNNING, _S.PAUSED): (_E.PAUSED,),
    (_S.PAUSED, _S.RUNNING): (_E.RESUMED,),
}


class ContainerActor(StatefulActor[ContainerState, ContainerEvent, Stopped]):
    """Serves `actors.wire.verbs.CONTAINER_VERBS`."""

    def __init__(
        self,
        *,
        name: str,
        spec: ContainerSpec,
        rootfs: str,
        connection: AgentConnection,
        inbox: Inbox,
        limits: Limits,
        events: Events,
        forget: Callable[[], None],
    ) -> None:
        super().__init__(
            name, CONTAINER, _S.CREATING, CONTAINER_VERBS, inbox=inbox, limits=limits, events=events, forget=forget
        )
        self._spec = spec
        self._rootfs = rootfs
        self._agent = connection
        self._removed = False
        self._oom_kills = 0
        # pending stops with their deadlines; and the scope of a graceful stop, while it waits
        self._ends: list[tuple[Stop, float]] = []
        self._polite = trio.CancelScope()
        self._link = CancellableTask(f"the link of container {inbox.name!r}")
        self._processes = Processes(name, connection, limits, self._check, self.events)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Create the container over a connection of its own, then serve until deleted or cancelled.

        Raises (before it has started): what `AgentConnection.create_container` raises.
        """
        async with trio.open_nursery() as links:
            await links.start(self._link.run, self._agent.run)
            # rolling back a cancelled create needs the link, which is closed right after
            self._link.shield()
            try:
                await self._create()
                await self._follow(task_status)
            finally:
                self._link.cancel()

    async def _follow(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as following:
            init = self._processes.reserve("", tty=self._spec.process.tty)
            self._processes.follow(init, following, self._exited)
            following.start_soon(self._serve, self._handlers(following), name=self.id)
            task_status.started()
            await self._deleted.wait()
            following.cancel_scope.cancel()

    def _handlers(self, following: trio.Nursery) -> Mapping[str, Handler]:
        processes, agent = self._processes, self._agent
        listing = Listing(self.id, agent, self._limits, self._check)
        # verbs that an agent refuses when the container has just ended
        refusable: Mapping[str, Handler] = {
            "pause": self._doubted(following, self._pause),
            "resume": self._doubted(following, self._resume),
            "exec": partial(processes.exec, following),
            "list_processes": listing.list_processes,
            **plain_handlers(CONTAINER_VERBS, self._limits, self._method),
        }
        return {
            "start": self._doubted(following, self._start),
            "delete": self._delete,
            "disconnect": self._disconnect,
            "signal": processes.signal,
            "winsize": processes.winsize,
            "write_stdin": processes.write_stdin,
            "close_stdin": processes.close_stdin,
            "read_stdout": processes.read_stdout,
            "read_stderr": processes.read_stderr,
            "wait": processes.wait,
            "info": self._info,
            **{verb: self._judged(verb, handler) for verb, handler in refusable.items()},
        }

    @contextlib.contextmanager
    def wants_end(self, args: Stop) -> Generator[None]:
        wanted = args, trio.current_time() + self._grace(args)
        self._ends.append(wanted)
        self._polite.deadline = min(self._polite.deadline, wanted[1])
        try:
            yield
        finally:
            self._ends.remove(wanted)

    def lose(self, reason: str) -> None:
        """The guest is gone: every waiter gets GuestDied, and the agent is not called any more."""
        self._move_if(ContainerEvent.LOST)
        gone = GuestDied(f"container {self.id!r}: its guest is gone ({reason})", state="lost")
        self._processes.lose(gone)
        self._link.cancel(gone)

    def tell_oom(self) -> None:
        """The kernel OOM-killed one of its processes."""
        self._oom_kills += 1
        self.events.tell(ActorEvent(self.events.source, "oom"))

    async def _create(self) -> None:
        try:
            await self._agent.create_container(self.id, self._spec, self._rootfs)
        except (OutcomeUnknown, trio.Cancelled) as error:
            # it may exist in the guest, but nobody will ask for it: remove it
            with trio.move_on_after(self._limits.cancel_grace_seconds) as scope:
                scope.shield = True
                with contextlib.suppress(KatrioError):
                    await self._agent.remove_container(self.id)
            if isinstance(error, OutcomeUnknown):
                # the outcome is known after all: nothing is left of it
                self._check_guest()
            raise
        self._check_guest()
        self._move(ContainerEvent.CREATED)

    def _check_guest(self) -> None:
        if self.state.value is ContainerState.LOST:
            raise GuestDied(f"container {self.id!r}: its guest died while it was created", state="lost")

    def _method(self, verb: str) -> Callable[..., Awaitable[object]]:
        """The agent's method for a plain verb."""
        self._check(verb)
        return partial(getattr(self._agent, f"{verb}_container"), self.id)

    def _judged(self, verb: str, handler: Handler) -> Handler:
        """Turn an agent's refusal into an invalid transition if its reason is that the container has ended."""

        async def judged(args: object, request: Request) -> object:
            try:
                return await handler(args, request)
            except (AgentError, InvalidArgument, NotFound) as error:
                if "field" not in error.details:
                    await self._processes.ends(self._processes.init)
                    try:
                        self._check(verb)
                    except InvalidTransition as refused:
                        raise refused from error
                raise

        return judged

    def _exited(self) -> None:
        self._move_if(ContainerEvent.EXITED)

    async def _start(self, args: Nothing, request: Request) -> Nothing:
        self._check("start")
        self._move(ContainerEvent.START)
        try:
            await self._agent.start_container(self.id)
        except BaseException as error:
            if not isinstance(error, OutcomeUnknown):
                self._move_if(ContainerEvent.START_FAILED)
            raise
        # it may have run and ended before the reply came
        self._move_if(ContainerEvent.STARTED)
        return Nothing()

    async def _pause(self, args: Nothing, request: Request) -> Nothing:
        self._check("pause")
        await self._agent.pause_container(self.id)
        self._move_if(ContainerEvent.PAUSED)
        return Nothing()

    async def _resume(self, args: Nothing, request: Request) -> Nothing:
        self._check("resume")
        await self._agent.resume_container(self.id)
        self._move_if(ContainerEvent.RESUMED)
        return Nothing()

    def _doubted(self, following: trio.Nursery, handler: Handler) -> Handler:
        """When a reply is lost with the link, fail the caller at once; later verbs wait, for a bounded time, for the real state.

        A stop must not wait longer, so if the guest has not answered by then, a background task goes on asking.
        """

        async def doubted(args: object, request: Request) -> object:
            try:
                return await handler(args, request)
            except OutcomeUnknown as error:
                request.fail(error)
            with trio.move_on_after(self._limits.reconnect_seconds) as asking:
                await self._adopt_state()
            if asking.cancelled_caught:
                following.start_soon(self._adopt_state, name=f"{self.id}:find out")
            return Nothing()

        return doubted

    async def _adopt_state(self) -> None:
        while self.state.value in _IN_DOUBT:
            try:
                found = await self._agent.container_state(self.id)
            except (AgentUnreachable, OutcomeUnknown, Expired):
                # the link redials by itself, and the sandbox reports a dead guest
                await trio.sleep(self._limits.reconnect_pause_seconds)
                continue
            except KatrioError:
                found = None
            for event in _TOLD.get((self.state.value, found), ()):
                self._move_if(event)
            return

    async def _stop(self, args: Stop) -> Stopped:
        init = self._processes.init
        if self.state.value is ContainerState.LOST:
            return await self._how_it_ended()
        self._check("stop")
        if self.state.value is not ContainerState.STOPPED:
            # a frozen or not yet started init can't handle a signal
            polite = self.state.value is ContainerState.RUNNING
            if self.state.value is not ContainerState.STOPPING:
                self._move(ContainerEvent.STOP)
            with _best_effort(args.force):
                await self._end_init(args, polite=polite)
            if args.force and not init.settled and self._agent.follows_processes:
                init.lose(OutcomeUnknown(f"container {self.id!r} was stopped by force; nobody told how it ended"))
            self._exited()
        with _best_effort(args.force):
            await self._remove()
        return await self._how_it_ended()

    async def _how_it_ended(self) -> Stopped:
        """After a completed stop, an unknown exit status of the init is no failure."""
        if not self._agent.follows_processes:
            return Stopped(0)
        try:
            return Stopped((await self._processes.init.wait()).code)
        except OutcomeUnknown as error:
            signum = error.details.get("signal")
            if not isinstance(signum, int):
                raise
            return Stopped(None, signum)

    async def _end_init(self, args: Stop, *, polite: bool) -> None:
        init = self._processes.init
        if polite:
            with _best_effort(args.force):
                # the agent may report that it has already ended
                with contextlib.suppress(NotFound):
                    await self._agent.signal_process(self.id, init.agent_name, args.signal)
                ends = [end for other, end in self._ends if other is not args]
                with trio.move_on_at(min([trio.current_time() + self._grace(args), *ends])) as self._polite:
                    await self._processes.ended(init)
        if not init.settled:
            await self._agent.kill_all(self.id)
            await self._processes.ended(init)

    async def _remove(self) -> None:
        if self._removed:
            return
        # execs end with the init; allow a moment for their last output
        with trio.move_on_after(self._limits.drain_grace_seconds):
            for process in self._processes:
                await self._processes.ended(process)
        # and another for their exit statuses, which an agent forgets with the container
        held = [process for process in self._processes if process.hurry()]
        with trio.move_on_after(self._limits.drain_grace_seconds):
            for process in held:
                await self._processes.ended(process)
        with contextlib.suppress(NotFound):
            await self._agent.remove_container(self.id)
        self._removed = True

    async def _delete(self, args: Delete, request: Request) -> Nothing:
        if args.force and self.state.value not in (ContainerState.STOPPED, ContainerState.LOST):
            # its exit status is not needed to remove it
            with contextlib.suppress(OutcomeUnknown):
                await self._stop(AT_ONCE)
        self._check("delete")
        if self.state.value is not ContainerState.LOST:
            with _best_effort(args.force):
                await self._remove()
        self._end()
        return Nothing()

    async def _disconnect(self, args: Nothing, request: Request) -> Nothing:
        self._check("disconnect")
        await self._agent.disconnect()
        return Nothing()

    async def _info(self, args: Nothing, request: Request) -> Info:
        names = tuple(process.name for process in self._processes if process.name and not process.settled)
        return Info(self.id, str(self.state.value), names, self._processes.init.status, self._oom_kills)


def _best_effort(force: bool) -> contextlib.AbstractContextManager[None]:
    """With `force`, a KatrioError in one step does not prevent the next."""
    return contextlib.suppress(KatrioError) if force else contextlib.nullcontext()
