"""A nursery for public context managers: one error comes out as itself and not in a group of one.

For callers who write `except Unreachable`. Two errors at once still come out as the group they are.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["open_plain_nursery", "plain_error"]


@asynccontextmanager
async def open_plain_nursery() -> AsyncGenerator[trio.Nursery]:
    """Like `trio.open_nursery`, but a sole error is raised bare, with the cause it had."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        sole = plain_error(group)
        if sole is group:
            raise
        cause, context = sole.__cause__, sole.__context__
        try:
            raise sole
        finally:
            # the group would stand in the traceback as "during handling of"
            sole.__cause__, sole.__context__ = cause, context


def plain_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error in a group, when it is but one; the group otherwise."""
    while len(group.exceptions) == 1:
        only = group.exceptions[0]
        if not isinstance(only, BaseExceptionGroup):
            return only
        group = cast("BaseExceptionGroup[BaseException]", only)
    return group
