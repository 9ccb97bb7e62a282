"""The type of a transition table, and how it is applied.

It holds no state: the owner stores what `move` returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

from actors.errors import GuestDied, InternalError, InvalidTransition

if TYPE_CHECKING:
    from actors.wire.verb import Verb

__all__ = ["Lifecycle", "states_of"]

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class Lifecycle(Struct, Generic[S, E], frozen=True):
    """A state machine: `transitions[state, event]` is the next state, `verbs[verb]` the states in which it is allowed.

    An error message ends with what the caller can do instead: `instead[verb, state]`, or else `advice[state]`.
    In the state `lost` no verb needs advice: there is no guest.
    """

    noun: str
    transitions: Mapping[tuple[S, E], S]
    verbs: Mapping[str, frozenset[S]]
    advice: Mapping[S, str]
    instead: Mapping[tuple[str, S], str]
    lost: S | None = None

    def move(self, state: S, event: E) -> S:
        """The state after `event`.

        Raises:
            InternalError: impossible in this state: a bug of the caller, which had to check the verb.
        """
        after = self.transitions.get((state, event))
        if after is None:
            raise InternalError(
                f"{self.noun}: event {event} in state {state}",
                state=str(state),
                event=str(event),
            )
        return after

    def can(self, state: S, event: E) -> bool:
        """Whether `event` may happen in `state`."""
        return (state, event) in self.transitions

    def check(self, verb: str, state: S, name: str) -> None:
        """Refuse `verb` in `state`.

        Raises:
            GuestDied: the state is `lost`.
            InvalidTransition: any other state. Both have `state` and `verb` in their details; the message gives advice.
        """
        allowed = self.verbs[verb]
        if state in allowed:
            return
        advice = self.instead.get((verb, state)) or self.advice[state]
        if state == self.lost:
            raise GuestDied(f"{verb} of {self.noun} {name!r}: its guest is gone; {advice}", state=str(state), verb=verb)
        wanted = " or ".join(sorted(str(s) for s in allowed))
        raise InvalidTransition(
            f"{verb} of {self.noun} {name!r}: it is {state}, and {verb} needs {wanted}; {advice}",
            state=str(state),
            verb=verb,
        )


def states_of(verbs: Mapping[str, Verb[Any, Any]], kind: type[S]) -> Mapping[str, frozenset[S]]:
    """The states in which each verb is allowed, from its declaration; verbs without a check are omitted."""
    return {name: frozenset(map(kind, verb.states)) for name, verb in verbs.items() if verb.states}
