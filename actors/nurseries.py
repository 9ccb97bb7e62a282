"""Nurseries for context managers: one whose sole error comes out as itself, and one that lasts until its block has ended; and
`Background`, that of an object which is assembled before it runs.

For callers who write `except Unreachable`. Errors of katrio's own that came together are told by the first, with the others as its
notes: `except KatrioError` is what a caller writes. Any others come out as the group they are.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVarTuple, Unpack, cast

import trio

from actors.errors import KatrioError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

__all__ = ["Background", "open_collapsing_nursery", "open_lasting_nursery", "plain_error"]

Ts = TypeVarTuple("Ts")


@asynccontextmanager
async def open_collapsing_nursery() -> AsyncGenerator[trio.Nursery]:
    """Like `trio.open_nursery`, but one error (`plain_error`) is raised bare, with the cause it had."""
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


@asynccontextmanager
async def open_lasting_nursery() -> AsyncGenerator[trio.Nursery]:
    """A nursery whose tasks go on under a cancel from outside until the block has ended, and are cancelled then.

    For what a shielded end of the block still needs. Opened under a cancel it opens all the same: Trio would else wait for ever
    for a shielded task that may no longer say that it has started.
    """
    async with trio.open_nursery() as holder:
        lasting: trio.Nursery | None = None
        with trio.CancelScope(shield=True):
            lasting = await holder.start(_hold)
        assert lasting is not None, "a shield swallows nothing"
        try:
            yield lasting
        finally:
            lasting.cancel_scope.cancel()


async def _hold(*, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            task_status.started(nursery)
            await trio.sleep_forever()


class Background:
    """What an object's methods start while its `run` runs: `async with self._background.open(): ...`.

    For objects that are assembled before there is a nursery (an engine before Trio runs, a guest before its listeners): each
    would else have a field for it that is None until then.
    """

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[trio.Nursery]:
        """The nursery; it waits for what was started, and is cancelled with its owner."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            yield nursery

    def start_soon(self, act: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts) -> None:
        """Like the nursery's."""
        assert self._nursery is not None, "its owner is run before it is asked for anything"
        self._nursery.start_soon(act, *args)


def plain_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error in a group: when it is but one, or the first when all are katrio's own; the group otherwise."""
    errors = list(_leaves(group))
    if len(errors) == 1:
        return errors[0]
    if all(isinstance(error, KatrioError) for error in errors):
        first, *others = errors
        for other in others:
            if str(other) != str(first):
                first.add_note(f"and: {other}")
        return first
    return group


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(cast("BaseExceptionGroup[BaseException]", error))
        else:
            yield error
