"""Templates that systems have in common: those of one command, of one test session.

Without, each system has its own, which ends with it.
"""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import trio

from actors.launchers.template import GuestTemplate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping, Sequence

    from actors.seams import Processes

__all__ = ["SHARED", "Templates", "open_template", "open_templates"]

# of those that nobody uses: an engine or two, each with a protocol or two
KEPT = 4


class Templates:
    """Templates that outlive who uses them, by program and environment; of those in use by nobody the last few are kept."""

    def __init__(self) -> None:
        self._templates: dict[tuple[object, ...], GuestTemplate] = {}
        self._users: Counter[tuple[object, ...]] = Counter()
        self._run: trio.lowlevel.TrioToken | None = None

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [template.pid for template in self._templates.values() if template.pid is not None]

    def take(self) -> bool:
        """Whether this run of Trio may use them: no other does, in another thread, at the moment."""
        run = trio.lowlevel.current_trio_token()
        if self._users.total() and self._run is not run:
            return False
        self._run = run
        return True

    @asynccontextmanager
    async def use(
        self, argv: Sequence[str], *, environment: Mapping[str, str], processes: Processes
    ) -> AsyncGenerator[GuestTemplate]:
        """The template for this program, shared with whoever else has it. After `take`."""
        key = (tuple(argv), *sorted(environment.items()))
        template = self._templates.pop(key, None)
        # the last one used is the last in order
        self._templates[key] = template or GuestTemplate(argv, environment=environment, processes=processes)
        self._users[key] += 1
        try:
            yield self._templates[key]
        finally:
            self._users[key] -= 1
            idle = [other for other in self._templates if not self._users[other]]
            for other in idle[:-KEPT]:
                await self._templates.pop(other).aclose()

    @contextmanager
    def shared(self) -> Generator[None]:
        """Systems opened within the block use these. For several runs of Trio too; whoever made them ends them."""
        before = SHARED.set(self)
        try:
            yield
        finally:
            SHARED.reset(before)

    async def aclose(self) -> None:
        """End all of them."""
        while self._templates:
            await self._templates.popitem()[1].aclose()


# of the task, or of the program that runs Trio; None: each system has its own
SHARED: ContextVar[Templates | None] = ContextVar("shared templates", default=None)


@asynccontextmanager
async def open_template(
    argv: Sequence[str], *, environment: Mapping[str, str], processes: Processes
) -> AsyncGenerator[GuestTemplate]:
    """A template that ends with the block, or belongs to the `Templates` that are shared around it.

    `argv`: the program, see `actors.guest.template`.
    """
    if (templates := SHARED.get()) is not None and templates.take():
        async with templates.use(argv, environment=environment, processes=processes) as template:
            yield template
        return
    template = GuestTemplate(argv, environment=environment, processes=processes)
    try:
        yield template
    finally:
        await template.aclose()


@asynccontextmanager
async def open_templates() -> AsyncGenerator[Templates]:
    """Systems opened within the block, one after another or at once, have their templates in common."""
    templates = Templates()
    try:
        with templates.shared():
            yield templates
    finally:
        await templates.aclose()
