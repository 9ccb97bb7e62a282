"""What came of a call, for people and for programs, and the exit code that it means.

For the command and the shell. An agent is not believed: what it says can't steer the terminal. Bytes go out as they are only
when standard output is no terminal.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from actors.cli.exits import Exit
from actors.cli.say import complain, note, say
from actors.errors import (
    AgentProtocolError,
    AgentUnreachable,
    Expired,
    GuestDied,
    InvalidArgument,
    KatrioError,
    OutcomeUnknown,
)
from actors.reporting.texts import json_text
from actors.schemas.jsonform import request_to_json, response_to_json
from actors.schemas.shapes import response_shape
from actors.schemas.text import plain_text

if TYPE_CHECKING:
    import msgspec

    from actors.agents.kata.client import KataClient
    from actors.cli.call.arguments import Call
    from actors.cli.call.fitting import Fitter

__all__ = ["Answer", "ask", "report_failed_call", "show", "summary"]

_INFRASTRUCTURE = (AgentUnreachable, AgentProtocolError, GuestDied, Expired, OutcomeUnknown)
# one reply's text; the protocol's own bound is a frame
_TEXT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one call: a response, or an error."""

    call: Call
    seconds: float
    response: msgspec.Struct | None = None
    error: KatrioError | None = None

    @property
    def exit(self) -> Exit:
        """What a command with this call alone ends with."""
        if self.error is None:
            return Exit.HELD
        return Exit.INFRASTRUCTURE if isinstance(self.error, _INFRASTRUCTURE) else Exit.FAILED


async def ask(client: KataClient, call: Call, fitter: Fitter) -> Answer:
    """Make one call; its failure is an answer too."""
    began = trio.current_time()
    try:
        response = await fitter.call(client, call)
    except KatrioError as error:
        return Answer(call, trio.current_time() - began, error=error)
    return Answer(call, trio.current_time() - began, response=response)


def show(answer: Answer, *, as_json: bool) -> None:
    """Print it: JSON is one line on standard output; else answers go there and errors to standard error."""
    if as_json:
        _line(json_text(_record(answer)))
        return
    if answer.error is not None:
        note(f"{answer.call.rpc.method}: {answer.error.code}: {answer.error}")
        return
    assert answer.response is not None
    fields = response_shape(answer.call.rpc).fields
    if len(fields) == 1 and fields[0].kind in ("string", "bytes") and fields[0].form == "one":
        _show_text(getattr(answer.response, fields[0].attribute))
    elif fields:
        _line(*json_text(response_to_json(answer.call.rpc, answer.response), indent=2).splitlines())
    else:
        _line(f"{answer.call.rpc.method}: done in {1000 * answer.seconds:.1f} ms")


def _line(*lines: str) -> None:
    say(*lines)
    # a program may wait for the answer to one call before it asks for the next
    sys.stdout.flush()


def _show_text(value: str | bytes) -> None:
    data = value if isinstance(value, bytes) else value.encode()
    if sys.stdout.isatty():
        _line(*plain_text(data.decode("utf-8", "replace"), _TEXT).removesuffix("\n").split("\n"))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _record(answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {
        "rpc": answer.call.rpc.method,
        "request": request_to_json(answer.call.rpc, answer.call.request),
    }
    if answer.error is not None:
        told["error"] = _error(answer.error)
    elif answer.response is not None:
        told["response"] = response_to_json(answer.call.rpc, answer.response)
    return {**told, "seconds": round(answer.seconds, 6)}


def _error(error: KatrioError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "details": error.details}


def report_failed_call(error: KatrioError, name: str, *, as_json: bool) -> None:
    """A call that could not be made: its words are no call, or nobody was there to take it."""
    if as_json:
        _line(json_text({"rpc": name, "error": _error(error), "seconds": 0}))
    else:
        code = "" if isinstance(error, InvalidArgument) else f"{error.code}: "
        complain(f"{code}{error}", command="katrio call")


def summary(answers_seconds: list[float], failed: int) -> str:
    """One line about many repeats of a call."""
    ordered = sorted(answers_seconds)
    count = len(ordered)

    def at(part: float) -> str:
        return f"{1000 * ordered[min(count - 1, math.ceil(part * count) - 1)]:.2f} ms"

    return f"{count} calls, {failed} failed; p50 {at(0.5)}, p99 {at(0.99)}, longest {at(1)}"
