"""The actor loop: takes mail from an inbox, checks it, and runs each verb as its row of the table says.

For the system, sandbox and container actors, which bring a verb table and a handler for each row. Not for
states and agents: handlers do that. Order and overlap live in `Lane`; deadlines and cancels in `_attend`.
"""

from __future__ import annotations

import difflib
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
from actors.lane import Lane
from actors.node.exhaustion import told_when_exhausted
from actors.wire.verbs import Nothing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from actors.limits import Limits
    from actors.mailbox import Inbox, Mail
    from actors.wire.verbs import Verb

    Handler = Callable[[Any, Mail], Awaitable[object]]

__all__ = ["Actor", "plain_handlers"]

_log = logging.getLogger("katrio")


class Actor:
    """One actor's loop; the owner runs `serve` in a task of its own nursery.

    `handlers[verb]` is given the decoded arguments and the mail (for what it wants to push), and returns
    the verb's result. A `KatrioError` it raises is the answer; any other exception is a bug: it is
    answered `internal`, logged, and the actor goes on, so that one bad verb can't orphan a guest.
    """

    def __init__(
        self,
        name: str,
        inbox: Inbox,
        verbs: Mapping[str, Verb[Any, Any]],
        handlers: Mapping[str, Handler],
        limits: Limits,
    ) -> None:
        self.name = name
        self.lane = Lane()
        self._inbox = inbox
        self._verbs = verbs
        self._handlers = handlers
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

    async def serve(self) -> None:
        """Serve until the inbox is unregistered, and then until what was begun has ended; or until cancelled."""
        async with trio.open_nursery() as work:
            while True:
                try:
                    mail = await self._inbox.receive()
                except trio.ClosedResourceError:
                    return
                verb = self._verbs.get(mail.verb)
                if verb is None:
                    mail.fail(self._unknown_verb(mail.verb))
                    continue
                if verb.streams is not mail.is_stream:
                    how = "a stream" if verb.streams else "an ask"
                    mail.fail(InvalidArgument(f"{mail.verb} is {how}: open it as one", field="verb"))
                    continue
                try:
                    args = mail.decode(verb.args)
                except KatrioError as error:
                    mail.fail(error)
                    continue
                if self.lane.waiting >= self._limits.inbox_messages:
                    mail.fail(
                        Busy(f"{self.name or 'the system'} has {self.lane.waiting} verbs waiting; try again later")
                    )
                    continue
                # a place in the lane is taken here and not in the task, so that arrival order is kept
                ticket = self.lane.ticket(verb.overlap)
                work.start_soon(
                    self._attend,
                    mail,
                    verb,
                    args,
                    ticket,
                    name=f"{self.name}:{mail.verb}",
                )

    async def _attend(self, mail: Mail, verb: Verb[Any, Any], args: Any, ticket: Lane.Ticket) -> None:
        """One verb from its place in the lane to its answer; one that ends with the actor is answered as well."""
        told = self._pending.get(mail.verb)
        try:
            with nullcontext() if told is None else told(args):
                await self._take_turn(mail, verb, args, ticket)
        finally:
            if not mail.settled:
                mail.fail(unknown(mail) if verb.changes_state else _stopped(mail))

    async def _take_turn(self, mail: Mail, verb: Verb[Any, Any], args: Any, ticket: Lane.Ticket) -> None:
        with ticket:
            with trio.CancelScope() as waiting:
                waiting.deadline = mail.deadline
                mail.on_cancel(waiting.cancel)
                await ticket.turn()
            if waiting.cancelled_caught:
                mail.fail(_not_begun(mail))
                return
            if mail.settled:
                return
            with trio.CancelScope() as running:
                if verb.stoppable:
                    running.deadline = mail.deadline
                    mail.on_cancel(running.cancel)
                else:
                    # a caller that gives up does not stop it
                    running.deadline = trio.current_time() + self._bound_of(mail.verb, args)
                await self._run(mail, args)
            if running.cancelled_caught and not mail.settled:
                mail.fail(_stopped(mail) if not verb.changes_state else unknown(mail))

    async def _run(self, mail: Mail, args: Any) -> None:
        try:
            with told_when_exhausted(f"{mail.verb} of {self.name!r}"):
                result = await self._handlers[mail.verb](args, mail)
        except KatrioError as error:
            mail.fail(error)
        except Exception as bug:
            _log.exception("%s of %r failed with a bug", mail.verb, self.name)
            mail.fail(InternalError(f"{mail.verb} of {self.name!r}: {type(bug).__name__}; this is a bug of katrio"))
        else:
            # a handler may answer first and find out what came of it while it still has its turn
            if not mail.settled:
                mail.answer(result)

    def _bound_of(self, verb: str, args: Any) -> float:
        bound = self._bounds.get(verb)
        return self._limits.mutate_seconds if bound is None else bound(args)

    def _unknown_verb(self, verb: str) -> KatrioError:
        near = difflib.get_close_matches(verb, self._verbs, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it knows {', '.join(sorted(self._verbs))}"
        return InvalidArgument(f"{self.name or 'the system'} knows no verb {verb!r}{hint}", field="verb")


def plain_handlers(
    verbs: Mapping[str, Verb[Any, Any]], limits: Limits, method: Callable[[str], Callable[..., Awaitable[object]]]
) -> dict[str, Handler]:
    """The handlers of the plain verbs among `verbs`.

    Each checks the arguments against the limits, and passes them on to `method(verb)`, which first refuses the verb where the
    actor's state does not allow it.
    """

    def handler(verb: Verb[Any, Any]) -> Handler:
        async def handle(args: Any, mail: Mail) -> object:
            if verb.valid is not None:
                verb.valid(args, limits)
            answer = await method(verb.name)(*(() if verb.args is Nothing else (args,)))
            return Nothing() if answer is None else answer

        return handle

    return {name: handler(verb) for name, verb in verbs.items() if verb.plain}


def late(mail: Mail) -> bool:
    """Whether its caller's time is over."""
    return mail.deadline != math.inf and trio.current_time() >= mail.deadline


def _not_begun(mail: Mail) -> KatrioError:
    if late(mail):
        return Expired(f"{mail.verb} of {mail.to!r}: its deadline passed while others ran before it; nothing was done")
    return CallerCancelled(f"{mail.verb} of {mail.to!r}: cancelled before it began; nothing was done")


def _stopped(mail: Mail) -> KatrioError:
    if late(mail):
        return Expired(f"{mail.verb} of {mail.to!r}: its deadline passed; it changes nothing, ask again")
    return CallerCancelled(f"{mail.verb} of {mail.to!r}: cancelled")


def unknown(mail: Mail) -> KatrioError:
    """The answer to a verb that changes state and was given up."""
    return OutcomeUnknown(f"{mail.verb} of {mail.to!r}: it did not end in time and may still take effect")
