"""`python -m tests.support.doubles NAME ADDRESS [ADDRESS]`: one of the doubles, in the foreground, until it ends or is ended.

It prints one line of JSON when it can be dialled. `katrio run --world attached`, `katrio conformance` and `katrio call` take its
address as any agent's:

    .venv/bin/python -m tests.support.doubles today unix:///tmp/agent.sock
    .venv/bin/python -m tests.support.doubles kata1x serial:/tmp/port.sock --delay 0.05
    .venv/bin/python -m tests.support.doubles hyperstart unix:///tmp/ctl.sock unix:///tmp/tty.sock

Exit codes: 0 ended when asked to (SIGTERM, ^C), 3 the agent has ended by itself, or could not begin.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import msgspec
import trio

from actors.api import _PASSED_ON  # what a guest's own launcher gets
from actors.errors import GuestDied, KatrioError
from actors.launchers.addresses import serve_at
from actors.launchers.embedded import EmbeddedGuest, open_guests
from actors.limits import DEFAULT_LIMITS
from actors.node.facts import choose_engine, read_facts
from actors.node.rundir import default_run_root
from actors.nurseries import open_collapsing_nursery
from actors.seams import real_seams
from actors.words import AUTO
from tests.support.doubles.opening import DOUBLES, Port
from tests.support.doubles.power import Options
from tests.support.doubles.serving import Double
from transports.address import Address, parse_address
from transports.errors import TransportError
from transports.relay import relay_to
from transports.stream import serve_unix
from transports.yamux.dialer import serve_yamux


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.support.doubles", description="An agent of somebody else's.")
    parser.add_argument("name", choices=DOUBLES, help="which one")
    parser.add_argument(
        "addresses", nargs="+", type=parse_address, metavar="ADDRESS", help="where; a hyperstart has two"
    )
    parser.add_argument("--engine", default=AUTO, help="what runs its containers (default: %(default)s)")
    parser.add_argument("--run-dir", type=Path, default=default_run_root(os.environ, os.geteuid()))
    parser.add_argument("--one-processor", action="store_true", help="a blocked thread is the only one")
    parser.add_argument("--reuse-pids", action="store_true", help="what ended had the pid of the newest process")
    parser.add_argument("--harm-roots", action="store_true", help="delete and write in roots, as the real one does")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="of every read from a serial port")
    return parser.parse_args()


async def _serve(parsed: argparse.Namespace) -> int:
    options = Options(
        one_processor=parsed.one_processor,
        reuses_pids=parsed.reuse_pids,
        harms_roots=parsed.harm_roots,
        delay_seconds=parsed.delay,
    )
    opening = open_guests(
        run_root=parsed.run_dir,
        engine=choose_engine(read_facts(), parsed.engine)[0],
        environment={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        seams=real_seams(),
        limits=DEFAULT_LIMITS,
        protocol=DOUBLES[parsed.name].protocol,
        template=("tests.support.doubles.template", msgspec.json.encode(Double(parsed.name, options)).decode()),
    )
    code = 0
    async with open_collapsing_nursery() as nursery:
        await nursery.start(_end_when_asked, nursery.cancel_scope)
        try:
            async with opening as guests, open_collapsing_nursery() as running:
                guest = await running.start(guests, "double")
                await running.start(_listen, guest, parsed.addresses, options)
                print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)
        except GuestDied as error:
            print(f"{parsed.name}: {error}", file=sys.stderr)
            code = 3
        nursery.cancel_scope.cancel()
    return code


async def _listen(
    guest: EmbeddedGuest, addresses: list[Address], options: Options, *, task_status: trio.TaskStatus[None]
) -> None:
    if addresses[0].scheme != "serial":
        await serve_at(guest, addresses, task_status=task_status)
        return
    port = Port(partial(serve_yamux, handler=relay_to(guest.channels.agent)), options.delay_seconds)
    async with open_collapsing_nursery() as nursery:
        await nursery.start(serve_unix, addresses[0].target, port.serve)
        task_status.started()
        raise GuestDied(f"the guest ended: {await guest.wait_gone()}")


async def _end_when_asked(scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()


def main() -> int:
    """Serve; the exit code."""
    try:
        return trio.run(_serve, _parse())
    except (KatrioError, TransportError, OSError) as error:
        print(f"doubles: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
