"""The actor loop: takes requests from an inbox, checks them, and runs each verb as its row of the table says.

Theory of operation. `serve` is the only reader of the inbox, and never waits for a verb: it checks a request (known verb, shape
of the arguments), takes a place in the `TurnQueue` in arrival order, and starts a task, `_attend`. That task waits for its turn, with the
request's deadline and its caller's cancel; then runs the handler, with both where the verb may be stopped, else with a bound of
its own, whoever has gone; then gives its turn up, in any case. Each request is settled once: by its answer, its error, or when
its task ends without one (the actor is cancelled): `unknown` if the verb changes state.

Why it can't deadlock: a handler that waits for another actor's verb waits for a child's (a sandbox for its containers), never for
an owner's; what must get through a stuck verb (`stop`, signals, streams) preempts or runs beside it; every wait has a bound.

For the system, sandbox and container actors, which bring a verb table and a handler for each row. Not for states and agents:
handlers do that.
"""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import trio

from actors.errors import (
    Busy,
    CallerCancelled,
    Expired,
    InternalError,
    InvalidArgument,
    KatrioError,
    OutcomeUnknown,
)
from actors.node.exhaustion import told_when_exhausted
from actors.suggest import nearest
from actors.turns import TurnQueue
from actors.wire.verbs import Nothing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from actors.limits import Limits
    from actors.mailbox import Inbox, Request
    from actors.wire.verbs import Verb

    Handler = Callable[[Any, Request], Awaitable[object]]

__all__ = ["Actor", "Handler", "plain_handlers"]

_log = logging.getLogger("katrio")


class Actor:
    """One actor's loop; the owner runs `serve` in a task of its own nursery.

    `handlers[verb]`, which `serve` gets, is given the decoded arguments and the request (for what it wants to push), and returns
    the verb's result. A `KatrioError` it raises is the answer; any other exception is a bug: it is
    answered `internal`, logged, and the actor goes on, so that one bad verb can't orphan a guest.
    """

    def __init__(self, inbox: Inbox, verbs: Mapping[str, Verb[Any, Any]], limits: Limits) -> None:
        self.name = inbox.name
        self.turns = TurnQueue()
        self._inbox = inbox
        self._verbs = verbs
        self._handlers: Mapping[str, Handler] = {}
        self._limits = limits
        # how long a verb that changes state may take; stop adds the grace it was asked for
        self._bounds: dict[str, Callable[[Any], float]] = {}
        self._pending: dict[str, Callable[[Any], AbstractContextManager[None]]] = {}

    def bound(self, verb: str, seconds: Callable[[Any], float]) -> None:
        """Let `verb` take longer than the default, depending on its arguments."""
        self._bounds[verb] = seconds

    def while_pending(self, verb: str, told: Callable[[Any], AbstractContextManager[None]]) -> None:
        """Let what runs know of each `verb` with its arguments, from its arrival, before its turn, to its answer."""
        self._pending[verb] = told

    async def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Serve until the inbox is unregistered, and then until what was begun has ended; or until cancelled."""
        self._handlers = handlers
        async with trio.open_nursery() as work:
            while True:
                try:
                    request = await self._inbox.receive()
                except trio.ClosedResourceError:
                    return
                verb = self._verbs.get(request.verb)
                if verb is None:
                    request.fail(self._unknown_verb(request.verb))
                    continue
                if verb.streams is not request.is_stream:
                    how = "a stream" if verb.streams else "an ask"
                    request.fail(InvalidArgument(f"{request.verb} is {how}: open it as one", field="verb"))
                    continue
                try:
                    args = request.decode(verb.args)
                except KatrioError as error:
                    request.fail(error)
                    continue
                if self.turns.waiting >= self._limits.inbox_messages:
                    request.fail(
                        Busy(f"{self.name or 'the system'} has {self.turns.waiting} verbs waiting; try again later")
                    )
                    continue
                # a place in the turn queue is taken here and not in the task, so that arrival order is kept
                turn = self.turns.take(verb.concurrency)
                work.start_soon(self._attend, request, verb, args, turn, name=f"{self.name}:{request.verb}")

    async def _attend(self, request: Request, verb: Verb[Any, Any], args: Any, turn: TurnQueue.Turn) -> None:
        """One verb from its place in the turn queue to its answer; one that ends with the actor is answered as well."""
        told = self._pending.get(request.verb)
        try:
            with nullcontext() if told is None else told(args):
                await self._take_turn(request, verb, args, turn)
        finally:
            if not request.settled:
                request.fail(unknown(request) if verb.changes_state else _stopped(request))

    async def _take_turn(self, request: Request, verb: Verb[Any, Any], args: Any, turn: TurnQueue.Turn) -> None:
        with turn:
            with trio.CancelScope() as waiting:
                waiting.deadline = request.deadline
                request.on_cancel(waiting.cancel)
                await turn.wait()
            if waiting.cancelled_caught:
                request.fail(_not_begun(request))
                return
            if request.settled:
                return
            with trio.CancelScope() as running:
                if verb.stoppable:
                    running.deadline = request.deadline
                    request.on_cancel(running.cancel)
                else:
                    # a caller that gives up does not stop it
                    running.deadline = trio.current_time() + self._bound_of(request.verb, args)
                await self._run(request, args)
            if running.cancelled_caught and not request.settled:
                request.fail(_stopped(request) if not verb.changes_state else unknown(request))

    async def _run(self, request: Request, args: Any) -> None:
        try:
            with told_when_exhausted(f"{request.verb} of {self.name!r}"):
                result = await self._handlers[request.verb](args, request)
        except KatrioError as error:
            request.fail(error)
        except Exception as bug:
            _log.exception("%s of %r failed with a bug", request.verb, self.name)
            request.fail(
                InternalError(f"{request.verb} of {self.name!r}: {type(bug).__name__}; this is a bug of katrio")
            )
        else:
            # a handler may answer first and find out what came of it while it still has its turn
            if not request.settled:
                request.answer(result)

    def _bound_of(self, verb: str, args: Any) -> float:
        bound = self._bounds.get(verb)
        return self._limits.mutate_seconds if bound is None else bound(args)

    def _unknown_verb(self, verb: str) -> KatrioError:
        near = nearest(verb, self._verbs)
        hint = f"; did you mean {near!r}?" if near else f"; it knows {', '.join(sorted(self._verbs))}"
        return InvalidArgument(f"{self.name or 'the system'} knows no verb {verb!r}{hint}", field="verb")


def plain_handlers(
    verbs: Mapping[str, Verb[Any, Any]], limits: Limits, method: Callable[[str], Callable[..., Awaitable[object]]]
) -> dict[str, Handler]:
    """The handlers of the plain verbs among `verbs`.

    Each checks the arguments against the limits, and passes them on to `method(verb)`, which first refuses the verb where the
    actor's state does not allow it.
    """

    def handler(verb: Verb[Any, Any]) -> Handler:
        async def handle(args: Any, request: Request) -> object:
            if verb.valid is not None:
                verb.valid(args, limits)
            answer = await method(verb.name)(*(() if verb.args is Nothing else (args,)))
            return Nothing() if answer is None else answer

        return handle

    return {name: handler(verb) for name, verb in verbs.items() if verb.plain}


def late(request: Request) -> bool:
    """Whether its caller's time is over."""
    return request.deadline != math.inf and trio.current_time() >= request.deadline


def _not_begun(request: Request) -> KatrioError:
    if late(request):
        return Expired(
            f"{request.verb} of {request.to!r}: its deadline passed while others ran before it; nothing was done"
        )
    return CallerCancelled(f"{request.verb} of {request.to!r}: cancelled before it began; nothing was done")


def _stopped(request: Request) -> KatrioError:
    if late(request):
        return Expired(f"{request.verb} of {request.to!r}: its deadline passed; it changes nothing, ask again")
    return CallerCancelled(f"{request.verb} of {request.to!r}: cancelled")


def unknown(request: Request) -> KatrioError:
    """The answer to a verb that changes state and was given up."""
    return OutcomeUnknown(f"{request.verb} of {request.to!r}: it did not end in time and may still take effect")
