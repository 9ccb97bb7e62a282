"""The words in which cases say what they expect of an agent.

For `cases`. What ends a link is never taken for a refusal: the runner finds out whether the agent still lives. Not for
asking an agent anything.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeGuard

import trio

from actors.conformance.case import FallsShort, Late
from actors.errors import AgentProtocolError, AgentUnreachable, GuestDied, KatrioError, OutcomeUnknown, Unsupported

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["check", "equal", "is_loss", "quick", "refused", "shown"]

# what an agent does at once may wait behind others on a machine that is busy; what hangs takes longer
QUICK_SECONDS = 8.0
# what a report shows of an output
SHOWN_BYTES = 200


def check(held: bool, expected: str, seen: object) -> None:
    """Raises: FallsShort."""
    if not held:
        raise FallsShort(expected, shown(seen))


def equal(seen: object, wanted: object, what: str) -> None:
    """Raises: FallsShort."""
    check(seen == wanted, f"{what} {shown(wanted)}", seen)


def shown(value: object) -> str:
    """A value as a report shows it, bounded."""
    if isinstance(value, str):
        return value[:SHOWN_BYTES]
    text = repr(value)
    return text if len(text) <= SHOWN_BYTES else f"{text[:SHOWN_BYTES]}... ({len(text)} characters)"


def is_loss(error: BaseException) -> TypeGuard[KatrioError]:
    """Whether the link to the agent may be gone: only another look at the agent can tell."""
    return isinstance(error, AgentUnreachable | OutcomeUnknown | GuestDied)


@contextmanager
def refused(what: str, *codes: str) -> Generator[None]:
    """The block asks for something that the agent must refuse, with one of the codes, or with any.

    Raises: FallsShort; what is no refusal (a lost link, a broken protocol, UNIMPLEMENTED) goes on its way.
    """
    wanted = f"{what} is refused" + (f" with {' or '.join(codes)}" if codes else "")
    try:
        yield
    except KatrioError as error:
        if is_loss(error) or isinstance(error, Unsupported | AgentProtocolError):
            raise
        if codes and error.code not in codes:
            raise FallsShort(wanted, f"{error.code}: {error.message[:SHOWN_BYTES]}") from error
        return
    raise FallsShort(wanted, "it was accepted")


@contextmanager
def quick(what: str, seconds: float = QUICK_SECONDS) -> Generator[None]:
    """The block must be done within a bound of its own, that is shorter than the case's. Raises: Late."""
    with trio.move_on_after(seconds) as bound:
        yield
    if bound.cancelled_caught:
        raise Late(f"{what} within {seconds:g} s", f"no answer after {seconds:g} s")
