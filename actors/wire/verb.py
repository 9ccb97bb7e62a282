"""A verb's declaration: one row, from which everything common to all verbs is derived.

Declared in `actors.wire.verbs`. Derived are the actor's checks of arguments and states, its concurrency, the handler of
a plain verb, its step in a scenario file, the pages docs/verbs.md and docs/agents.md, and `katrio verbs`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import force_setattr

from actors.limits import Limits
from actors.words import ENGINES, SIMULATED, AgentType

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["COLUMNS", "EVERYWHERE", "KATA", "NOOP", "Concurrency", "StepWords", "Verb", "reading", "verbs_of"]

A = TypeVar("A", bound=Struct)
R = TypeVar("R", bound=Struct)

# the agents and, where it matters, the engine of the guest behind one
_ENGINES = (*ENGINES, SIMULATED)
NOOP = frozenset({str(AgentType.NOOP)})
KATA = NOOP | {f"{AgentType.KATA}/{engine}" for engine in _ENGINES}
EVERYWHERE = KATA | {f"{AgentType.HYPERSTART}/{engine}" for engine in _ENGINES}
COLUMNS = (*NOOP, *(f"{agent}/{engine}" for agent in AgentType if agent not in NOOP for engine in _ENGINES))


class Concurrency(Enum):
    """How a verb may overlap with other verbs of the same actor."""

    # changes the actor's state: one at a time, in arrival order, after earlier shared ones have ended
    EXCLUSIVE = "exclusive"
    # like EXCLUSIVE, but does not wait for shared ones: a stuck exec must not block a stop
    PREEMPTIVE = "preemptive"
    # overlaps with other shared ones, never with an exclusive one
    SHARED = "shared"
    # overlaps with anything: waits, streams, and what must reach a process in any state
    BESIDE = "beside"


class StepWords(NamedTuple):
    """The scenario language's description of a verb that is a step by its own name.

    Attributes:
        does: a sentence for the reference.
        example: the step in a file where `box` is a sandbox and `one` a container in it.
        fields: a sentence for each argument that the step has a field for. Texts are bytes where the argument is.
        values: the numeric ones that may be a value reference, as `${seconds}`.
        needs: requirements on the world, besides those the file lists.
    """

    does: str
    example: str
    fields: Mapping[str, str] = MappingProxyType({})
    values: frozenset[str] = frozenset()
    needs: tuple[str, ...] = ()


class Verb(Struct, Generic[A, R], frozen=True):
    """One verb; its name is that of the class attribute that holds it.

    A verb that changes nothing is cancelled when its caller stops waiting. Any other runs to completion or its own time
    limit (the caller gets `unknown`), unless it is `stoppable`.

    Attributes:
        args, result: the types of its arguments and its result.
        states: where it is allowed; empty: in any state.
        plain: it is one call of the agent's method of that name (for a container: `NAME_container`, with the id), which takes
        the arguments, if there are any, and returns the result, if it is not empty. No handler is written.
        valid: rejects arguments of a plain verb that exceed the limits. Raises: InvalidArgument.
        support: the columns of the support table where it is supported; `unsupported` in the others.
        streams: it is opened as a stream.
        step: its step in a scenario file, if it has no special step.
    """

    args: type[A]
    result: type[R]
    concurrency: Concurrency
    states: frozenset[StrEnum] = frozenset()
    plain: bool = False
    valid: Callable[[A, Limits], None] | None = None
    support: frozenset[str] = EVERYWHERE
    changes_state: bool = True
    stoppable: bool = False
    streams: bool = False
    step: StepWords | None = None
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        force_setattr(self, "name", name)


def reading(
    args: type[A],
    result: type[R],
    states: frozenset[StrEnum] = frozenset(),
    *,
    plain: bool = False,
    support: frozenset[str] = EVERYWHERE,
    streams: bool = False,
    step: StepWords | None = None,
) -> Verb[A, R]:
    """A verb that changes nothing."""
    return Verb(
        args,
        result,
        Concurrency.BESIDE,
        states,
        plain=plain,
        support=support,
        changes_state=False,
        stoppable=True,
        streams=streams,
        step=step,
    )


def verbs_of(owner: type) -> Mapping[str, Verb[Any, Any]]:
    """The verbs declared by a class, by name, in declaration order."""
    found: dict[str, Verb[Any, Any]] = {name: verb for name, verb in vars(owner).items() if isinstance(verb, Verb)}
    return found
