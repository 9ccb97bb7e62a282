"""The base of all reports: each kind adds methods for what it reports. Not for their texts."""

from __future__ import annotations

import trio

__all__ = ["Report"]


class Report:
    """Says nothing; every method but `run` returns at once."""

    def notice(self, text: str) -> None:
        """One line for people, beside the report: a warning, or that an orderly stop has begun."""

    async def run(self) -> None:
        """Keep what is shown up to date, until cancelled."""
        await trio.sleep_forever()

    def close(self) -> None:
        """Leave the terminal as it was found; write what is to be written. Idempotent."""
