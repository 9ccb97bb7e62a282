"""Numbers and values as text, the same in every report: counts, durations, JSON; and lines into a stream. Pure but for those.

For people: `counted`, `tally`, `duration`, `Lines.line`. For programs: `json_text`, `Lines.json`. Not for terminals that can do more:
`screen`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from transports.plain import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

__all__ = ["Lines", "counted", "duration", "json_text", "tally"]


def counted(number: int, thing: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def tally(counts: Mapping[str, int]) -> str:
    """`2 held, 1 failed`, without those that there are none of."""
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def duration(seconds: float) -> str:
    """A time with its unit, to three digits."""
    # what would be rounded up to 1 of the next unit is shown in that unit
    unit, size = next((one for one in (("s", 1.0), ("ms", 1e-3)) if seconds >= 0.9995 * one[1]), ("us", 1e-6))
    number = seconds / size
    return f"{number:.3g} {unit}" if number < 999.5 else f"{number:.0f} {unit}"


def json_text(value: object, *, indent: int | None = None) -> str:
    """A value as JSON in ASCII: all else, control characters and lone surrogates included, is escaped, so that it comes
    back as it was by whatever way it goes."""
    return json.dumps(msgspec.to_builtins(value), indent=indent)


class Lines:
    """Whole lines into a stream, each seen at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str) -> None:
        """One line that can't steer a terminal, whatever it quotes."""
        self._write(printable(text))

    def json(self, value: object) -> None:
        """One value as JSON."""
        self._write(json_text(value))

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()
