"""Several tasks of one step at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["together"]


async def together(tasks: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """Run all at the same time; the first failure stops the others and is raised bare."""
    failures: list[Exception] = []

    async def guarded(task: Callable[[], Awaitable[object]]) -> None:
        try:
            await task()
        except Exception as error:  # raised below, as soon as the others have stopped
            failures.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(guarded, task)
    if failures:
        raise failures[0]
