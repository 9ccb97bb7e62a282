"""A conformance case: an immutable row with texts for the report, and the function that tests an agent.

A case passes unless its function raises: `FallsShort` says what was expected and what was seen instead, Unsupported
that the agent lacks the feature. Running cases is in `runner`; talking to an agent in `kata` and `hyperstart`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from actors.node.protocols import GuestProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["GREEN", "LOST", "NEEDS", "Case", "Cases", "FallsShort", "Hung", "Late", "Result", "Verdict"]

# features that a guest may lack, independent of its agent
NEEDS = ("cgroups", "isolation", "tty")
F = TypeVar("F", bound="Callable[[Any], Awaitable[None]]")

# time limit of a case by default: with eight cases in parallel on a loaded machine some took 20 s,
# and calls known to hang have a shorter limit of their own
CASE_SECONDS = 45.0


KATA = (GuestProtocol.TTRPC, GuestProtocol.GRPC)


class Verdict(StrEnum):
    """The result of a case."""

    HOLDS = "holds"
    UNSUPPORTED = "unsupported"
    # it refused correctly and without side effects, but with another code
    WRONG_CODE = "wrong code"
    FALLS_SHORT = "falls short"
    HUNG = "hung"
    AGENT_DIED = "agent died"
    # the agent was lost earlier, in another case
    NOT_ASKED = "not asked"


# what leaves the suite green
GREEN = (Verdict.HOLDS, Verdict.UNSUPPORTED)
# of a case in which the agent was lost
LOST = (Verdict.HUNG, Verdict.AGENT_DIED)


class FallsShort(Exception):
    """The agent's behaviour differs from the case's expectation."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}, seen {seen}")
        self.expected = expected
        self.seen = seen


class Late(FallsShort):
    """It did not answer within the case's own limit for one call: check whether it is still alive."""


class Hung(Exception):
    """The agent did not answer within a limit shorter than the case's."""

    def __init__(self, seen: str) -> None:
        super().__init__(seen)
        self.seen = seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row.

    Attributes:
        id: `family.what`, stable: exceptions and filters use it.
        title: the rule, in one line.
        does, expects: texts for a report.
        why: the source of the rule.
        run: tests the agent; takes a subject (`kata.Kata`, `hyperstart.Hyperstart`).
        protocols: the agent protocols that it applies to.
        needs: features required of the guest, from `NEEDS`.
        destructive: may harm the agent's machine, or end the agent; runs only on request, and last.
        alone: no other case may run at the same time.
        risky: makes a known agent block others until its link is closed; runs alone and after all that are not, so that no
        other case is affected.
        fatal: makes a known agent hang or end for good; runs alone, and after the risky ones.
        ends: an agent may legitimately end in it; runs last of all.
        seconds: its time limit.
    """

    id: str
    title: str
    does: str
    expects: str
    why: str
    run: Callable[[Any], Awaitable[None]] = field(repr=False, compare=False)
    protocols: tuple[GuestProtocol, ...] = KATA
    needs: tuple[str, ...] = ()
    destructive: bool = False
    alone: bool = False
    risky: bool = False
    fatal: bool = False
    ends: bool = False
    seconds: float = CASE_SECONDS

    @property
    def costly(self) -> bool:
        """Whether it may disable the agent: nothing runs at the same time, and all other cases run before."""
        return self.risky or self.fatal or self.destructive


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one case; `expected` and `seen` are empty if it passes."""

    case: Case
    verdict: Verdict
    expected: str
    seen: str
    seconds: float


class Cases:
    """The cases of one module, in order; `add` is the decorator that registers a function as one."""

    def __init__(self, *, protocols: tuple[GuestProtocol, ...] = KATA) -> None:
        self._protocols = protocols
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
        protocols: tuple[GuestProtocol, ...] | None = None,
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
                    protocols=protocols or self._protocols,
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
