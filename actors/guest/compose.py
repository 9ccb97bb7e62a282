"""A guest put together: engine, machine, conductor and the kata service behind a ttRPC server.

For whoever runs a guest: `serve`, in a process of its own, and the simulation, as tasks. Not for listening, nor for
the order in which a guest ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from actors.guest.conductor import Conductor
from actors.guest.machine import Machine
from actors.guest.services.kata import KataService
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.guest.engines.base import Engine
    from actors.guest.platform import Platform
    from actors.limits import Limits

__all__ = ["Composed", "compose"]


class Composed(NamedTuple):
    """Run `conductor.run` first; then `server.serve_stream` for each connection."""

    conductor: Conductor
    server: TtrpcServer


def compose(
    engine: Engine,
    limits: Limits,
    *,
    version: str,
    platform: Platform,
    on_error: Callable[[str, str, Exception], None],
) -> Composed:
    """Nothing runs yet. `on_error`: see `transports.ttrpc.server`."""
    conductor = Conductor(engine, Machine(limits), limits)
    service = KataService(conductor, limits, version=version, engine=engine.name, platform=platform)
    return Composed(conductor, TtrpcServer(service.handlers(), on_error=on_error))
