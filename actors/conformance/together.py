"""Concurrent calls, and the outcome of each: for races in which either may win, but exactly one must.

Assertions are in `expect`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.conformance.expect import is_loss
from actors.errors import AgentProtocolError, KatrioError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["OK", "at_once", "outcome"]

OK = "ok"


async def outcome(ask: Awaitable[object]) -> str:
    """`ok`, or the code of a refusal. Raises: anything else."""
    try:
        await ask
    except KatrioError as error:
        if is_loss(error) or isinstance(error, Unsupported | AgentProtocolError):
            raise
        return error.code
    return OK


async def at_once(*asks: Callable[[], Awaitable[object]]) -> list[str]:
    """The outcome of each, in order; all are in flight before one is answered. Raises: what is no refusal."""
    outcomes = [""] * len(asks)

    async def one(number: int) -> None:
        outcomes[number] = await outcome(asks[number]())

    async with trio.open_nursery() as nursery:
        for number in range(len(asks)):
            nursery.start_soon(one, number)
    return outcomes
