"""Non-fatal findings of a case, and its time limits: the part of a subject that both kinds of agent share.

What an agent does and which code it uses are separate questions: a refusal with another code is recorded, and the case
continues. A lost link never counts as a refusal: the runner checks whether the agent is still alive. Calls to an agent
are in `kata` and `hyperstart`.
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

# immediate calls may still queue behind others on a loaded machine; one that hangs takes longer
QUICK_SECONDS = 8.0
POLL_SECONDS = 0.05


@dataclass(kw_only=True)
class Findings:
    """The findings of one case.

    Attributes:
        deadline: of the case, on Trio's clock.
        slow: factor on all time limits and pauses, for an agent on a slow machine.
        wrong_codes: refusals with another code than the case expects.
        failures: failures that did not end the case.
        agent_ended: the case has ended the agent, legitimately: there is nothing to clean up.
    """

    deadline: float
    slow: float = 1.0
    wrong_codes: list[FallsShort] = field(default_factory=list[FallsShort])
    failures: list[FallsShort] = field(default_factory=list[FallsShort])
    agent_ended: bool = False
    _bounds: list[float] = field(default_factory=list[float])
    _late: bool = False
    _cleaning: bool = False
    # with their start times
    _given_up: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    _lost_since: float = math.inf
    # and whether they were certainly sent
    _lost: list[tuple[float, str, bool]] = field(default_factory=list[tuple[float, str, bool]])

    @property
    def unanswered(self) -> list[str]:
        """The calls in flight when a time limit expired, in starting order."""
        return [call for _, call in sorted(self._given_up)]

    @property
    def lost(self) -> list[str]:
        """The calls in flight when their link was lost: those that were sent, latest first, or else the others
        in starting order."""
        sent = [call for _, call, sent in sorted(self._lost, reverse=True) if sent]
        return sent or [call for _, call, _ in sorted(self._lost)]

    def begin_cleaning(self) -> None:
        """The agent is alive: links lost by the case no longer matter."""
        self._cleaning = True
        self._lost.clear()
        self._lost_since = math.inf

    @contextmanager
    def asking(self, call: str) -> Generator[None]:
        """Around a call: records its name if a time limit expires or its link is lost."""
        began = trio.current_time()
        if self._cleaning:
            call = f"in the clean-up, in {call}"
        try:
            yield
        except trio.Cancelled:
            # clean-up has time limits of its own
            if self._cleaning or self._late or trio.current_time() >= min((self.deadline, *self._bounds)):
                self._given_up.append((began, call))
            raise
        except KatrioError as error:
            self._note_loss(error, began, call)
            raise

    def _note_loss(self, error: KatrioError, began: float, call: str) -> None:
        # a call started on a lost link is not news
        if is_loss(error) and began < self._lost_since:
            self._lost_since = min(self._lost_since, trio.current_time())
            self._lost.append((began, call, not isinstance(error, AgentUnreachable)))

    @contextmanager
    def quick(self, what: str, seconds: float = QUICK_SECONDS) -> Generator[None]:
        """The block has a time limit of its own, shorter than the case's. Raises: Late."""
        before, seconds = len(self._given_up), seconds * self.slow
        ends = trio.current_time() + seconds
        self._bounds.append(ends)
        try:
            with trio.move_on_at(ends) as bound:
                yield
        finally:
            self._bounds.remove(ends)
        if bound.cancelled_caught:
            # tasks running alongside the block are abandoned too
            self._late = True
            calls = ", ".join(call for _, call in self._given_up[before:][:4])
            raise Late(f"{what} within {seconds:g} s", f"after {seconds:g} s no answer{calls and f' to {calls}'}")

    async def comes(self, what: str, seen: Sized, seconds: float = QUICK_SECONDS) -> None:
        """Wait until a concurrent task has put something there. Raises: Late."""
        with self.quick(what, seconds):
            while not seen:  # noqa: ASYNC110  # a list tells nobody
                await trio.sleep(POLL_SECONDS)

    async def pass_time(self, seconds: float) -> None:
        """Wait, where only time can show that something happens or does not."""
        await trio.sleep(seconds * self.slow)

    @contextmanager
    def refused(self, what: str, *codes: str, go_on: bool = False) -> Generator[None]:
        """The block makes a request that the agent must refuse, with one of the codes, or with any.

        Another code is recorded, and so is, with `go_on`, a missing refusal.

        Raises: FallsShort if it was accepted; what is no refusal (a lost link, a protocol violation, UNIMPLEMENTED)
        passes through.
        """
        try:
            yield
        except KatrioError as error:
            if is_loss(error) or isinstance(error, Unsupported | AgentProtocolError):
                raise
            self.check_code(what, error.code, *codes, message=error.message)
            return
        accepted = FallsShort(_refusal(what, codes), "it was accepted")
        if not go_on:
            raise accepted
        self.failures.append(accepted)

    def check_code(self, what: str, code: str, *codes: str, message: str = "") -> None:
        """Record a refusal with `code` where one of `codes` is expected (none: any)."""
        if codes and code not in codes:
            seen = f"{code}: {message[:SHOWN_BYTES]}" if message else code
            self.wrong_codes.append(FallsShort(_refusal(what, codes), seen))

    @contextmanager
    def done(self, what: str) -> Generator[None]:
        """The block makes a request that must succeed; a refusal is recorded, and the case continues. Raises: anything else."""
        try:
            yield
        except KatrioError as error:
            if is_loss(error) or isinstance(error, Unsupported | AgentProtocolError):
                raise
            seen = f"{error.code}: {error.message[:SHOWN_BYTES]}"
            self.failures.append(FallsShort(f"{what} is done", seen))


def _refusal(what: str, codes: tuple[str, ...]) -> str:
    return f"{what} is refused" + (f" with {' or '.join(codes)}" if codes else "")
