"""Tell a waiting user what is waited for, and fail at once when waiting is pointless.

For interactive commands. A local path without a listener is most likely a typo: it fails at once, where a program that
has just started its agent would retry. Anything else may still come up: a booting VM, a slow guest. How long to wait is
decided in `transports.stream.dial_with_backoff`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import trio

from transports.errors import NobodyListens, Refused, TransportError, Unreachable

if TYPE_CHECKING:
    from transports.base import Dialer

__all__ = ["Told", "telling_dialer"]

# called once, with the reason for waiting
Told: TypeAlias = Callable[[str], None]

# shorter waits go unnoticed
NOTICED_SECONDS = 1.0


def telling_dialer(dial: Dialer, told: Told, *, patient: bool = False) -> Dialer:
    """`dial` with notices, until it has succeeded once; after that, redials are plain `dial`.

    Args:
        patient: also wait for a path without a listener.

    Besides what `dial` raises, the dialer raises:
        NobodyListens: instead of Refused, unless `patient`.
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
                failure = error  # raised below, outside the handler
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
