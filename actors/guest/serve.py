"""The guest's main: an engine, the executor and one protocol's service on its unix sockets, until SIGTERM.

Runs in the launcher's child, inside its namespaces. The working directory is the state directory. An orderly shutdown
kills and deletes every container. Namespaces and sweeping are in `launch`.
"""

from __future__ import annotations

import signal
import sys
import traceback
from typing import TYPE_CHECKING

import trio

from actors import VERSION
from actors.errors import Unsupported
from actors.guest.compose import compose
from actors.guest.descriptors import Descriptors
from actors.guest.embedded import EmbeddedPlatform
from actors.guest.engines.oci import OciEngine
from actors.guest.engines.processes import ProcessEngine
from actors.guest.engines.reaper import Reaper
from actors.guest.engines.unified import hide_unified
from actors.node.cgroups import read_layout
from actors.node.facts import find_runtime
from actors.node.heap import keep_freed_buffers
from actors.node.protocols import GuestProtocol
from actors.schemas.oci import Spec
from actors.schemas.rpcs import prepare_answers
from actors.seams import real_seams
from actors.wire.fields import prepare_check
from actors.words import Dialect
from transports.stream import serve_unix

if TYPE_CHECKING:
    from actors.guest.compose import Compose
    from actors.guest.engines.base import Engine
    from actors.limits import Limits
    from actors.node.rundir import RunDirectory

__all__ = ["prepare", "serve"]

# less than the launcher waits for an orderly shutdown
_ENDING_SECONDS = 8.0
_LOGGED_ERRORS = 100


def prepare(protocol: GuestProtocol) -> None:
    """Before a fork: make what every guest with this protocol would otherwise make for itself at a first call."""
    if protocol is not GuestProtocol.HYPERSTART:
        prepare_answers(Dialect(protocol))
    prepare_check(Spec)


def serve(
    directory: RunDirectory,
    engine: str,
    protocol: GuestProtocol,
    limits: Limits,
    *,
    namespaces: bool,
    token: str,
    compose: Compose = compose,
) -> int:
    """Serve until SIGTERM; returns the exit code. `token` marks processes where there is no pid namespace."""
    keep_freed_buffers()
    found = make_engine(engine, directory.path.name, token="" if namespaces else token, limits=limits)
    return trio.run(_main, directory, found, protocol, limits, namespaces, compose)


def make_engine(engine: str, sandbox_directory: str, *, token: str, limits: Limits) -> Engine:
    """Call first, in the guest's own mount namespace, which crun needs modified.

    Raises: Unsupported if the runtime is not installed, or can't work with this machine's cgroups.
    """
    reaper, descriptors = Reaper(), Descriptors()
    if engine == "processes":
        return ProcessEngine(sandbox_directory=sandbox_directory, reaper=reaper, token=token, descriptors=descriptors)
    program = find_runtime(engine)
    if program is None:
        raise Unsupported(f"engine {engine!r}: no such program here")
    if engine == "crun":
        hide_unified()
    return OciEngine(
        program,
        name=engine,
        sandbox_directory=sandbox_directory,
        layout=read_layout(),
        reaper=reaper,
        descriptors=descriptors,
        limits=limits,
        threads=real_seams().threads,
    )


async def _main(
    directory: RunDirectory,
    engine: Engine,
    protocol: GuestProtocol,
    limits: Limits,
    namespaces: bool,
    compose: Compose,
) -> int:
    composed = compose(
        engine,
        limits,
        version=f"katrio {VERSION}",
        platform=EmbeddedPlatform(namespaces=namespaces),
        on_error=_Complaints(),
    )
    executor, server = composed.executor, composed.servers[protocol]
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            # the launcher blocked them, so that none is lost before the handlers are installed
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            await nursery.start(executor.run)
            await nursery.start(server.run)
            async with trio.open_nursery() as listeners:
                for channel, serve_stream in server.channels.items():
                    await listeners.start(serve_unix, str(directory.sockets[channel]), serve_stream)
                async for _ in signals:
                    break
                listeners.cancel_scope.cancel()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _ENDING_SECONDS):
                await executor.remove_all()
        nursery.cancel_scope.cancel()
    return 0


class _Complaints:
    """Logs internal errors, bounded: a client must not be able to fill the disk by repeating one."""

    def __init__(self) -> None:
        self._left = _LOGGED_ERRORS

    def __call__(self, service: str, method: str, error: Exception) -> None:
        if self._left > 0:
            self._left -= 1
            print(
                f"{service}/{method} failed:", *traceback.format_exception(error), sep="\n", file=sys.stderr, flush=True
            )
