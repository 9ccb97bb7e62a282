"""The words of `katrio call` as frozen, validated options. Not for the words of the call itself: `arguments`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.cli.options import DIALECTS, UsageError

if TYPE_CHECKING:
    import argparse

__all__ = ["CallOptions"]


@dataclass(frozen=True, slots=True)
class CallOptions:
    """`words` is empty for the shell; `seconds` None: the client's own bounds."""

    address: str
    dialect: str
    words: tuple[str, ...]
    json: bool
    listing: bool
    defaults: bool
    repeat: int
    seconds: float | None

    @classmethod
    def parsed(cls, words: argparse.Namespace) -> CallOptions:
        """Validate what argparse found. Raises: UsageError."""
        call = tuple(words.words)
        if words.list:
            if len(call) > 1:
                raise UsageError("--list shows calls and makes none: name one of them at the most")
        elif not words.address:
            raise UsageError("--address URL is missing: where the agent listens, as in unix:///run/agent.sock")
        if words.repeat != 1 and not call:
            raise UsageError("--repeat is for one call; in the shell say: repeat N CALL")
        return cls(
            address=words.address or "",
            dialect=words.dialect or DIALECTS[0],
            words=call,
            json=words.json,
            listing=words.list,
            defaults=not words.no_defaults,
            repeat=words.repeat,
            seconds=_seconds(words.timeout),
        )


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    from actors.scenario.language.kinds import Kind
    from actors.scenario.language.scalars import parse

    seconds = parse(Kind.DURATION, text if text[-1:].isalpha() else f"{text}s")
    if not isinstance(seconds, float) or seconds <= 0:
        raise UsageError(f"--timeout {text}: expected seconds, or a duration such as 500ms")
    return seconds
