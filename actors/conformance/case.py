"""What a conformance case is: a frozen row for people, and the function that asks an agent and looks at what came of it.

A case holds unless its function raises: `FallsShort` says what was expected and what was seen instead, Unsupported that the
agent does not do it at all. Not for running cases (`runner`), nor for talking to an agent (`kata`, `hyperstart`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["NEEDS", "AgentProtocol", "Case", "Cases", "FallsShort", "Hung", "Late", "Result", "Verdict"]

# what a guest may lack, whatever its agent is like
NEEDS = ("cgroups", "isolation", "tty")
F = TypeVar("F", bound="Callable[[Any], Awaitable[None]]")

# of one case, unless its row says otherwise: with eight beside each other on a machine with other work some were seen to take 20,
# and what is known to hang has a bound of its own
CASE_SECONDS = 45.0


class AgentProtocol(StrEnum):
    """What an agent speaks; a case names those that it concerns."""

    TTRPC = "kata ttrpc"
    GRPC = "kata grpc"
    HYPERSTART = "hyperstart"


KATA = (AgentProtocol.TTRPC, AgentProtocol.GRPC)


class Verdict(StrEnum):
    """What came of a case. Only the first two leave the suite green."""

    HOLDS = "holds"
    UNSUPPORTED = "unsupported"
    # it refused what it must, harmed nobody, and said so with another code
    WRONG_CODE = "wrong code"
    FALLS_SHORT = "falls short"
    HUNG = "hung"
    AGENT_DIED = "agent died"
    # the agent was lost before, by another case
    NOT_ASKED = "not asked"


class FallsShort(Exception):
    """The agent did something else than the case expects."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}, seen {seen}")
        self.expected = expected
        self.seen = seen


class Late(FallsShort):
    """It did not answer within a bound that the case had of its own: whether it still lives is worth a look."""


class Hung(Exception):
    """The agent did not answer within a bound that is shorter than the case's."""

    def __init__(self, seen: str) -> None:
        super().__init__(seen)
        self.seen = seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row.

    Attributes:
        id: `family.what`, stable: exceptions and filters name it.
        title: the rule, in one line.
        does, expects: for people, in a report.
        why: where the rule comes from.
        run: asks the agent; takes a subject (`kata.Kata`, `hyperstart.Hyperstart`).
        speaks: the agents that it concerns.
        needs: what a guest must have beside an agent: words of `NEEDS`.
        destructive: it could harm the machine that the agent runs on, or end the agent; runs only when asked for, and last.
        alone: no other case may run beside it.
        risky: a known agent holds others up by it, until its link is closed; runs alone and after all that are not, so that no
            other case is judged by what came of it.
        fatal: a known agent hangs or ends by it for good; runs alone, and after those that are risky.
        ends: an agent may rightly end by it; runs last of all.
        seconds: its bound.
    """

    id: str
    title: str
    does: str
    expects: str
    why: str
    run: Callable[[Any], Awaitable[None]] = field(repr=False, compare=False)
    speaks: tuple[AgentProtocol, ...] = KATA
    needs: tuple[str, ...] = ()
    destructive: bool = False
    alone: bool = False
    risky: bool = False
    fatal: bool = False
    ends: bool = False
    seconds: float = CASE_SECONDS

    @property
    def costly(self) -> bool:
        """Whether it may cost the agent: nothing runs beside it, and what does not runs before."""
        return self.risky or self.fatal or self.destructive


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one case; `expected` and `seen` are empty when it holds."""

    case: Case
    verdict: Verdict
    expected: str
    seen: str
    seconds: float


class Cases:
    """The cases of one module, in their order; `add` is the decorator that makes a function one of them."""

    def __init__(self, *, speaks: tuple[AgentProtocol, ...] = KATA) -> None:
        self._speaks = speaks
        self._rows: list[Case] = []

    def __iter__(self) -> Iterator[Case]:
        return iter(tuple(self._rows))

    def add(
        self,
        name: str,
        *,
        title: str,
        does: str,
        expects: str,
        why: str,
        speaks: tuple[AgentProtocol, ...] | None = None,
        needs: tuple[str, ...] = (),
        destructive: bool = False,
        alone: bool = False,
        risky: bool = False,
        fatal: bool = False,
        ends: bool = False,
        seconds: float = CASE_SECONDS,
    ) -> Callable[[F], F]:
        """See `Case`; `name` is its id."""

        def made(function: F) -> F:
            self._rows.append(
                Case(
                    id=name,
                    title=title,
                    does=does,
                    expects=expects,
                    why=why,
                    run=function,
                    speaks=speaks or self._speaks,
                    needs=needs,
                    destructive=destructive,
                    alone=alone,
                    risky=risky,
                    fatal=fatal,
                    ends=ends,
                    seconds=seconds,
                )
            )
            return function

        return made
