"""What a case finds and goes on after, and how long it waits: the part of a subject that both kinds of agent share.

What an agent does and with which words it says so are two questions: a refusal with another code is kept here, and the case
goes on to its point. What ends a link is never taken for a refusal: the runner finds out whether the agent still lives. Not
for asking an agent anything (`kata`, `hyperstart`).
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from actors.conformance.case import FallsShort, Late
from actors.conformance.expect import SHOWN_BYTES, is_loss
from actors.errors import AgentProtocolError, AgentUnreachable, KatrioError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Generator, Sized

__all__ = ["Findings"]

# what an agent does at once may wait behind others on a machine that is busy; what hangs takes longer
QUICK_SECONDS = 8.0
POLL_SECONDS = 0.05


@dataclass(kw_only=True)
class Findings:
    """One case's.

    Attributes:
        deadline: of the case, in Trio's time.
        slow: by how much all bounds and pauses are stretched, for an agent on a slow machine.
        wrong_codes: refusals with another code than the case expects.
        shortfalls: what fell short and did not end the case.
        agent_ended: the case has ended the agent, as it may: nothing is left to be removed.
    """

    deadline: float
    slow: float = 1.0
    wrong_codes: list[FallsShort] = field(default_factory=list[FallsShort])
    shortfalls: list[FallsShort] = field(default_factory=list[FallsShort])
    agent_ended: bool = False
    _bounds: list[float] = field(default_factory=list[float])
    _late: bool = False
    _cleaning: bool = False
    # with the instants when they were begun
    _given_up: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    _lost_since: float = math.inf
    # and whether they had been sent for certain
    _lost: list[tuple[float, str, bool]] = field(default_factory=list[tuple[float, str, bool]])

    @property
    def unanswered(self) -> list[str]:
        """The calls that were under way when a bound was over, in the order in which they were begun."""
        return [call for _, call in sorted(self._given_up)]

    @property
    def lost(self) -> list[str]:
        """The calls that were under way when their link ended: those that were sent, the last of them first, or else the others
        in the order in which they were begun."""
        sent = [call for _, call, sent in sorted(self._lost, reverse=True) if sent]
        return sent or [call for _, call, _ in sorted(self._lost)]

    def begin_cleaning(self) -> None:
        """The agent lives: the links that the case has lost are no matter any more."""
        self._cleaning = True
        self._lost.clear()
        self._lost_since = math.inf

    @contextmanager
    def asking(self, call: str) -> Generator[None]:
        """Around a call: it is named when it is given up because a bound was over, and when its link ends."""
        began = trio.current_time()
        if self._cleaning:
            call = f"in the clean-up, in {call}"
        try:
            yield
        except trio.Cancelled:
            # the clean-up has bounds of its own
            if self._cleaning or self._late or trio.current_time() >= min((self.deadline, *self._bounds)):
                self._given_up.append((began, call))
            raise
        except KatrioError as error:
            self._note_loss(error, began, call)
            raise

    def _note_loss(self, error: KatrioError, began: float, call: str) -> None:
        # what is begun over a link that has ended is no news
        if is_loss(error) and began < self._lost_since:
            self._lost_since = min(self._lost_since, trio.current_time())
            self._lost.append((began, call, not isinstance(error, AgentUnreachable)))

    @contextmanager
    def quick(self, what: str, seconds: float = QUICK_SECONDS) -> Generator[None]:
        """The block must be done within a bound of its own, that is shorter than the case's. Raises: Late."""
        before, seconds = len(self._given_up), seconds * self.slow
        ends = trio.current_time() + seconds
        self._bounds.append(ends)
        try:
            with trio.move_on_at(ends) as bound:
                yield
        finally:
            self._bounds.remove(ends)
        if bound.cancelled_caught:
            # what goes on beside the block is given up for it as well
            self._late = True
            calls = ", ".join(call for _, call in self._given_up[before:][:4])
            raise Late(f"{what} within {seconds:g} s", f"after {seconds:g} s no answer{calls and f' to {calls}'}")

    async def comes(self, what: str, seen: Sized, seconds: float = QUICK_SECONDS) -> None:
        """Wait until a task beside this one has put something there. Raises: Late."""
        with self.quick(what, seconds):
            while not seen:  # noqa: ASYNC110  # a list tells nobody
                await trio.sleep(POLL_SECONDS)

    async def pass_time(self, seconds: float) -> None:
        """Where only time can show that something does not happen, or has happened."""
        await trio.sleep(seconds * self.slow)

    @contextmanager
    def refused(self, what: str, *codes: str, go_on: bool = False) -> Generator[None]:
        """The block asks for something that the agent must refuse, with one of the codes, or with any.

        Another code is kept, and so is, with `go_on`, a refusal that does not come.

        Raises: FallsShort when it was accepted; what is no refusal (a lost link, a broken protocol, UNIMPLEMENTED) goes on
            its way.
        """
        try:
            yield
        except KatrioError as error:
            if is_loss(error) or isinstance(error, Unsupported | AgentProtocolError):
                raise
            self.told(what, error.code, *codes, message=error.message)
            return
        accepted = FallsShort(_refusal(what, codes), "it was accepted")
        if not go_on:
            raise accepted
        self.shortfalls.append(accepted)

    def told(self, what: str, code: str, *codes: str, message: str = "") -> None:
        """A refusal with `code` where one of `codes` is expected (none: any)."""
        if codes and code not in codes:
            seen = f"{code}: {message[:SHOWN_BYTES]}" if message else code
            self.wrong_codes.append(FallsShort(_refusal(what, codes), seen))

    @contextmanager
    def done(self, what: str) -> Generator[None]:
        """The block asks for something that must be done; a refusal is kept, and the case goes on. Raises: what is none."""
        try:
            yield
        except KatrioError as error:
            if is_loss(error) or isinstance(error, Unsupported | AgentProtocolError):
                raise
            seen = f"{error.code}: {error.message[:SHOWN_BYTES]}"
            self.shortfalls.append(FallsShort(f"{what} is done", seen))


def _refusal(what: str, codes: tuple[str, ...]) -> str:
    return f"{what} is refused" + (f" with {' or '.join(codes)}" if codes else "")
