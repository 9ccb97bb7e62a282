"""What a report is, whatever it tells of: each kind adds the methods by which it is told. Not for what they say."""

from __future__ import annotations

import trio

__all__ = ["Report"]


class Report:
    """Says nothing; every method but `run` returns at once."""

    def notice(self, text: str) -> None:
        """One line beside what is told, for people: a warning, or that an orderly stop has begun."""

    async def run(self) -> None:
        """Keep what is shown up to date, until cancelled."""
        await trio.sleep_forever()

    def close(self) -> None:
        """Leave the terminal as it was found; write what is to be written. Idempotent."""
