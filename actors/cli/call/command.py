"""`katrio call`: make one call of the Kata agent API, many times if asked to, or open the shell.

Not for verbs of actors: `katrio run` and scenarios have those. Exit codes are every command's: 0, 1 the agent refused, 2 no
such call or field, 3 no agent or a broken one, 130.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.agents.kata.client import open_kata_client
from actors.cli.call.answers import ask, report_failed_call, show, summary
from actors.cli.call.arguments import parse_call
from actors.cli.call.fitting import Fitter
from actors.cli.call.interrupts import Interrupted, Interrupts
from actors.cli.call.listing import call_page, calls_json, calls_page
from actors.cli.call.shell import Shell
from actors.cli.exits import Exit
from actors.cli.say import complain, note, say
from actors.errors import InvalidArgument, KatrioError
from actors.limits import DEFAULT_LIMITS
from actors.nurseries import plain_error
from actors.schemas.naming import find_rpc
from actors.schemas.rpcs import RPCS
from actors.seams import real_seams
from actors.words import Dialect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from actors.agents.kata.client import KataClient
    from actors.cli.call.arguments import Call
    from actors.cli.call.options import CallOptions

__all__ = ["call"]

# somebody is waiting at a terminal, and an address that nobody answers on is most likely mistyped
_DIAL_SECONDS = 3.0


def call(options: CallOptions) -> int:
    """Do it; the exit code."""
    try:
        if options.listing:
            return _list(options)
        return _one(options) if options.words else _run(partial(_shell, options))
    except KatrioError as error:
        report_failed_call(error, "".join(options.words[:1]), as_json=options.json and bool(options.words))
        return Exit.USAGE if isinstance(error, InvalidArgument) else Exit.INFRASTRUCTURE
    except Interrupted:
        complain("interrupted", command="katrio call")
        return Exit.INTERRUPTED


def _list(options: CallOptions) -> int:
    rpcs = [find_rpc(options.words[0])] if options.words else list(RPCS.values())
    if options.json:
        say(calls_json(rpcs))
    else:
        say(*(call_page(rpcs[0]) if options.words else calls_page()).splitlines())
    return Exit.HELD


def _one(options: CallOptions) -> int:
    # before anything is dialled: what is wrong with it can be told without an agent
    made = parse_call(options.words, real_seams(), defaults=options.defaults)
    return _run(partial(_make, options, made))


def _run(main: Callable[[], Awaitable[int]]) -> int:
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        raise plain_error(group) from None


async def _shell(options: CallOptions) -> int:
    interrupts = Interrupts()
    async with interrupts.open(_open(options)) as client:
        return await Shell(options, client, interrupts, real_seams()).run()


async def _make(options: CallOptions, made: Call) -> int:
    took: list[float] = []
    failed, worst = 0, Exit.HELD
    fitter = Fitter(options.address, options.seconds)
    async with _open(options) as client:
        for _ in range(options.repeat):
            answer = await ask(client, made, fitter)
            show(answer, as_json=options.json)
            took.append(answer.seconds)
            failed += answer.error is not None
            worst = max(worst, answer.exit)
    if options.repeat > 1:
        note(summary(took, failed))
    return worst


@asynccontextmanager
async def _open(options: CallOptions) -> AsyncGenerator[KataClient]:
    limits = replace(DEFAULT_LIMITS, guest_start_seconds=min(_DIAL_SECONDS, options.seconds or _DIAL_SECONDS))

    def told(why: str) -> None:
        seconds = limits.guest_start_seconds
        complain(f"{why}; waiting for {options.address}, {seconds:g} s at the most", command="katrio call")

    dialect = Dialect(options.dialect)
    async with open_kata_client(options.address, dialect=dialect, limits=limits, told=told) as client:
        yield client if options.seconds is None else client.within(options.seconds)
