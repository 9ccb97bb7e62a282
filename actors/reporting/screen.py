"""A terminal for people: lines that scroll by, and below them what goes on now, drawn anew `FPS` times a second; nothing that is quoted can steer it.

Draws from a task of ours, never from a thread; honours NO_COLOR and the terminal's size. Imports rich, which costs a start: imported
by what is shown on a terminal alone. Not for logs: `texts.Lines`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actors.reporting.base import Report
from transports.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, RenderableType

__all__ = ["Screen", "Words", "progress"]

FPS = 12
BAR_WIDTH = 28


class Words(Text):
    """What is drawn, printable and in one line whatever it is made of. The linter refuses rich's own class elsewhere."""

    def __init__(self, text: str = "", style: str = "", **settings: Any) -> None:
        super().__init__(printable(text), style, **settings)

    def append(self, text: Text | str, style: Any = None) -> Words:
        super().append(printable(text) if isinstance(text, str) else text, style)
        return self


class Screen(Report):
    """A report on `console`, which must be a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._running = False

    def _now(self) -> Iterable[RenderableType]:
        """What goes on, from the top."""
        raise NotImplementedError

    def notice(self, text: str) -> None:
        self._say(text, "yellow")

    async def run(self) -> None:
        while True:
            if self._running:
                self._live.update(Group(*self._now()), refresh=True)
            await trio.sleep(1 / FPS)

    def close(self) -> None:
        """What goes on is no longer shown."""
        self._running = False
        self._live.stop()

    def _start(self) -> None:
        """Show what goes on, from now on."""
        self._running = True
        self._live.start()

    @property
    def _room(self) -> int:
        """How many lines what goes on may have at most, and still be seen whole."""
        return max(1, self._console.height - 4)

    def _say(self, text: str, style: str = "") -> None:
        """A line that scrolls by, as long as it is."""
        self._console.print(Words(text, style), soft_wrap=True)

    def _under_way(self, what: str, *known: str) -> RenderableType:
        """A line for something that goes on, and what is known of it, cut to the terminal's width."""
        line = Words.assemble(("  ▸ ", "cyan"), what, *((f"  {one}", "dim") for one in known), no_wrap=True)
        line.truncate(self._console.width - 1, overflow="ellipsis")
        return line


def progress(done: float, of: float, text: str, indent: str = "") -> Table:
    """A bar, and beside it what it means."""
    grid = Table.grid(padding=(0, 2))
    shown = ProgressBar(total=max(of, 1e-9), completed=min(done, of), width=BAR_WIDTH)
    grid.add_row(*([Words(indent)] if indent else []), shown, Words(text, style="dim"))
    return grid
