"""`katrio call`: its arguments, and what they become. Not for the words of the call itself: `arguments`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.cli.commands import CommandLine, UsageError, prepared
from actors.cli.exits import EXIT_CODES
from actors.cli.options.arguments import DIALECTS, add_address, add_dialect, add_json, add_repeat

if TYPE_CHECKING:
    import argparse

__all__ = ["CALL", "CallOptions"]


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


def _add_arguments(call: argparse.ArgumentParser) -> None:
    call.add_argument("words", nargs="*", metavar="RPC", help="the call by its name in any case, and its fields")
    add_address(call, "where the agent listens, as in unix:///run/agent.sock")
    add_dialect(call)
    call.add_argument("--list", action="store_true", help="show every call, or RPC's fields with their types")
    add_json(call, "one JSON object a call")
    add_repeat(call, "make the call so many times")
    call.add_argument("--timeout", metavar="SECONDS", help="of each call (default: 60; none for calls that wait)")
    call.add_argument("--no-defaults", action="store_true", help="send what is written, and fill nothing in")


CALL = CommandLine(
    prepared(CallOptions.parsed, "call.command:call"),
    _add_arguments,
    description="Make one call of the Kata agent API: RPC ['{json}' | @FILE | - | field=value ...]. Without RPC, a shell.",
    epilog=EXIT_CODES,
    takes_more=True,
)
