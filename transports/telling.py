"""Tell whoever waits at an address that he waits, and at once when there is nothing to wait for.

For commands, at whose end a person sits. A path on this machine where nobody listens is most likely mistyped: it is refused
at once, where a program that has just started its agent would dial again. Everything else may be coming up: a VM that boots, a
guest that is slow. Not for how long is waited: `transports.stream.dial_with_backoff`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import trio

from transports.errors import NobodyListens, Refused, TransportError, Unreachable

if TYPE_CHECKING:
    from transports.base import Dialer

__all__ = ["Told", "telling_dialer"]

# is told once, with the reason for which somebody waits
Told: TypeAlias = Callable[[str], None]

# a person does not notice less
NOTICED_SECONDS = 1.0


def telling_dialer(dial: Dialer, told: Told, *, patient: bool = False) -> Dialer:
    """`dial`, until it has succeeded once: then a link that broke is dialled again as ever.

    Args:
        patient: a path where nobody listens is waited for as well.

    The dialer raises, beside what `dial` does:
        NobodyListens: instead of Refused, when it is not patient.
    """
    waiting = answered = False

    def tell(why: str) -> None:
        nonlocal waiting
        if not waiting:
            waiting = True
            told(why)

    async def tell_later() -> None:
        await trio.sleep(NOTICED_SECONDS)
        tell("no answer yet")

    async def dial_told() -> trio.abc.Stream:
        nonlocal answered
        if answered:
            return await dial()
        failure: TransportError | None = None
        stream: trio.abc.Stream | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell_later)
            try:
                stream = await dial()
            except TransportError as error:
                failure = error  # raised below, bare
            nursery.cancel_scope.cancel()
        if isinstance(failure, Refused) and not patient:
            raise NobodyListens(*failure.args) from failure.__cause__
        if isinstance(failure, Unreachable):
            tell(str(failure))
        if failure is not None:
            raise failure
        assert stream is not None
        answered = True
        return stream

    return dial_told
