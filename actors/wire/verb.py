"""What a verb's declaration says: one row, from which everything that is the same for all verbs is derived.

`actors.wire.verbs` declares them. Derived are the actor's check of arguments and states, its order of work, the handler of a
plain verb, its step in a scenario file, the pages docs/verbs.md and docs/agents.md, and `katrio verbs`. Not for what a verb does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from actors.words import ENGINES, SIMULATED, AgentType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import StrEnum

    from actors.limits import Limits

__all__ = ["COLUMNS", "EVERYWHERE", "KATA", "NOOP", "Concurrency", "StepWords", "Verb", "reading", "verbs_of"]

A = TypeVar("A", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

# the agents and, where it matters, the engine of the guest behind one
_ENGINES = (*ENGINES, SIMULATED)
NOOP = frozenset({str(AgentType.NOOP)})
KATA = NOOP | {f"{AgentType.KATA}/{engine}" for engine in _ENGINES}
EVERYWHERE = KATA | {f"{AgentType.HYPERSTART}/{engine}" for engine in _ENGINES}
COLUMNS = (*NOOP, *(f"{agent}/{engine}" for agent in AgentType if agent not in NOOP for engine in _ENGINES))


class Concurrency(Enum):
    """How a verb may run beside others of the same actor."""

    # changes the actor's state: one at a time, in arrival order, after the shared ones before it have ended
    EXCLUSIVE = "exclusive"
    # like EXCLUSIVE, but does not wait for shared ones: a stuck exec must not hold up a stop
    PREEMPTIVE = "preemptive"
    # runs beside other shared ones, never beside an exclusive one
    SHARED = "shared"
    # runs beside anything: waits, streams, and what must reach a process in whatever state
    BESIDE = "beside"


class StepWords(NamedTuple):
    """What the scenario language says of a verb that a file asks as it is, by a step of its name.

    Attributes:
        does: a sentence, for the reference.
        example: the step as it is written in a file where `box` is a sandbox and `one` a container in it.
        fields: of each argument that the step has a field for, a sentence. Texts are bytes where the argument is.
        values: those of them that are numbers and may be a value, as `${seconds}`.
        needs: of the world, beside what the file lists.
    """

    does: str
    example: str
    fields: Mapping[str, str] = MappingProxyType({})
    values: frozenset[str] = frozenset()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verb(Generic[A, R]):
    """One verb; its name is that of the class attribute that it is.

    A verb that changes nothing stops when its caller stops waiting. One that does runs to its own bound
    (its caller alone stops waiting, and gets `unknown`), unless it is `stoppable`.

    Attributes:
        args, result: the shapes of its arguments and of its answer.
        states: where it is allowed; empty: the actor does not look at its state.
        plain: it is one call of the agent's method of its name (of a container: `NAME_container`, given the id), which takes
            the arguments, if there are any, and returns the answer, if it has anything in it. No handler is written.
        valid: refuses arguments of a plain verb that the limits do not allow. Raises: InvalidArgument.
        support: the columns of the support table where it is done; `unsupported` in the others.
        streams: it is opened as a stream.
        step: the step of a scenario file that asks it, where that has no meaning of its own.
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
        object.__setattr__(self, "name", name)


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
    """One that changes nothing."""
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
    """The verbs that a class declares, by name, in their order there."""
    found: dict[str, Verb[Any, Any]] = {name: verb for name, verb in vars(owner).items() if isinstance(verb, Verb)}
    return found
