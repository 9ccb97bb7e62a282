"""What a sandbox's and a container's actor have in common: a state that moves by a table, `stop`, and what is told of both.

Each brings the other verbs' handlers, when it runs, and the order in which it stops. The system has none of this: it has no state,
and ends with its task. The loop: `actors.actor`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio
from trio_util import AsyncValue

from actors.actor import Actor
from actors.events import Events
from actors.wire.events import ActorEvent
from actors.wire.verbs import Concurrency, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from actors.actor import Handler
    from actors.lifecycle.table import Lifecycle
    from actors.limits import Limits
    from actors.mailbox import Inbox
    from actors.wire.verbs import Verb

__all__ = ["AT_ONCE", "StatefulActor"]

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)
R = TypeVar("R")

AT_ONCE = Stop(grace_seconds=0, force=True)


class StatefulActor(ABC, Generic[S, E, R]):
    """An actor whose stop returns an `R`.

    Args:
        name: its id among its owner's.
        verbs: what it serves.
        events: its owner's.
        forget: frees its name; idempotent.
    """

    def __init__(
        self,
        name: str,
        lifecycle: Lifecycle[S, E],
        state: S,
        verbs: Mapping[str, Verb[Any, Any]],
        *,
        inbox: Inbox,
        limits: Limits,
        events: Events,
        forget: Callable[[], None],
    ) -> None:
        self.id = name
        self.events = Events(inbox.name, self.present, above=events)
        self.state = AsyncValue(state)
        self._lifecycle = lifecycle
        self._limits = limits
        self._forget = forget
        self._deleted = trio.Event()
        self._actor = Actor(inbox, verbs, limits)
        self._actor.bound("stop", lambda args: limits.mutate_seconds + self._grace(args))
        self._actor.while_pending("stop", self.wants_end)
        self._actor.while_pending("delete", lambda args: self.wants_end(AT_ONCE) if args.force else nullcontext())

    async def _serve(self, handlers: Mapping[str, Handler]) -> None:
        """The loop, with the handlers of all other verbs."""
        await self._actor.serve(
            {"stop": lambda args, request: self._stop(args), "events": self.events.serve, **handlers}
        )

    async def stop(self, args: Stop) -> R:
        """The stop sequence, for the owner: queues in this actor's turn queue like a caller's `stop`."""
        with self._actor.turns.take(Concurrency.PREEMPTIVE) as turn, self.wants_end(args):
            await turn.wait()
            return await self._stop(args)

    @abstractmethod
    def wants_end(self, args: Stop) -> AbstractContextManager[None]:
        """During the block, no earlier stop, whose caller may have given up, waits longer than this one would."""

    @abstractmethod
    async def _stop(self, args: Stop) -> R: ...

    def present(self) -> Iterator[ActorEvent]:
        """The current state, for a new subscriber."""
        yield ActorEvent(self.events.source, "state", state=str(self.state.value))

    def _move(self, event: E) -> None:
        self.state.value = self._lifecycle.move(self.state.value, event)
        self.events.state(str(self.state.value))

    def _move_if(self, event: E) -> None:
        """Apply the event unless something else has happened meanwhile that excludes it."""
        if self._lifecycle.can(self.state.value, event):
            self._move(event)

    def _check(self, verb: str) -> None:
        self._lifecycle.check(verb, self.state.value, self.id)

    def _grace(self, args: Stop) -> float:
        return self._limits.stop_grace_seconds if args.grace_seconds is None else args.grace_seconds

    def _end(self) -> None:
        """It is deleted; its name is free before the caller gets the reply."""
        self.events.close()
        self._forget()
        self._deleted.set()
