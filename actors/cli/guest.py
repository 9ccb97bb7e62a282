"""`katrio guest`: one embedded guest in the foreground, on an address, until ^C, SIGTERM or SIGHUP.

For clients that are none of ours, and to try ours against an agent that they did not start. Not for serving a system of
actors to other programs: that is `actors.api.open_system(listen=...)`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import trio

from actors.api import open_guest, settle_engine
from actors.cli.exits import Exit
from actors.cli.failures import COMMAND_ERRORS, fail
from actors.cli.say import say
from actors.cli.signals import handle_interrupts
from actors.cli.streams import Output
from actors.launchers.addresses import serve_at
from actors.node.protocols import GuestProtocol
from actors.nurseries import open_collapsing_nursery
from actors.reporting.texts import json_text

if TYPE_CHECKING:
    from actors.cli.options.guest import GuestOptions

__all__ = ["guest"]


def guest(options: GuestOptions) -> int:
    """Serve; the exit code. Being asked to end is how it ends, once it was ready: before, nobody has had a guest."""
    try:
        return trio.run(_serve, options)
    except COMMAND_ERRORS as error:
        return fail(error, command="katrio guest")


async def _serve(options: GuestOptions) -> Exit:
    protocol = GuestProtocol.of(options.agent, options.dialect)
    code = Exit.INTERRUPTED
    async with open_collapsing_nursery() as nursery:
        with trio.CancelScope() as serving:
            await nursery.start(handle_interrupts, serving.cancel, lambda: None)
            engine, _ = await settle_engine(options.engine)
            async with (
                open_guest(engine=engine, protocol=protocol, run_dir=options.run_dir) as running,
                open_collapsing_nursery() as listeners,
            ):
                await listeners.start(serve_at, running, options.addresses)
                _report_ready(options, engine)
                code = Exit.HELD
                if isinstance(sys.stdout, Output) and sys.stdout.lost:
                    # whoever started us waits for a line that can't come
                    serving.cancel()
        nursery.cancel_scope.cancel()
    return code


def _report_ready(options: GuestOptions, engine: str) -> None:
    addresses = [str(address) for address in options.addresses]
    if options.json:
        ready = {
            "ready": True,
            "agent": options.agent,
            "dialect": options.dialect if options.agent == "kata" else None,
            "engine": engine,
            "address": addresses[0],
            "tty_address": addresses[1] if len(addresses) > 1 else None,
            "pid": os.getpid(),
        }
        say(json_text(ready))
        sys.stdout.flush()
        return
    dialect = f" ({options.dialect})" if options.agent == "kata" else ""
    say(f"ready: {options.agent}{dialect} over {engine} on {' and '.join(addresses)}; ^C ends it")
    sys.stdout.flush()
