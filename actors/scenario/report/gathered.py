"""The events of one of several runs that go on at once, kept until it can be told in one piece.

For the command line's `--jobs`. Bounded: of what processes print only the beginning is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.scenario.stage.events import Printed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.scenario.stage.events import Event

__all__ = ["Gathered"]

# of one run, in bytes
OUTPUT_KEPT = 1024 * 1024


class Gathered:
    """A listener. `also` is told each event at once, as well."""

    def __init__(self, also: Callable[[Event], None] | None) -> None:
        self._also = also
        self._events: list[Event] = []
        self._printed = 0

    def add(self, event: Event) -> None:
        """Keep an event."""
        if self._also is not None:
            self._also(event)
        if isinstance(event, Printed):
            self._printed += len(event.data)
            if self._printed > OUTPUT_KEPT:
                return
        self._events.append(event)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)
