"""A guest of ours on the simulated engine as an agent under test, in virtual time."""

from __future__ import annotations

import random
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.conformance.hyperstart import HyperstartTarget
from actors.conformance.kata import KataTarget
from actors.guest.compose import compose
from actors.limits import DEFAULT_LIMITS
from actors.node.protocols import Channel, GuestProtocol
from actors.seams import real_seams
from actors.simulation.engine import SimulatedEngine
from actors.simulation.links import stream_pair
from tests.support.hyperstart_guest import NamedPlatform, open_guest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.conformance.subject import Target

__all__ = [
    "MOST_EXCEPTIONS",
    "SERVED",
    "exceptions",
    "open_simulated",
    "open_simulated_hyperstart",
    "open_simulated_kata",
]

# what our guest speaks
SERVED = (GuestProtocol.TTRPC, GuestProtocol.GRPC, GuestProtocol.HYPERSTART)
# of one dialect; each is a choice that docs/conformance.md explains
MOST_EXCEPTIONS = 8
_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
_ROW = re.compile(r"^\| ([a-z]+\.[a-z0-9-]+) \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)


def exceptions(protocol: GuestProtocol, engine: str) -> set[str]:
    """The cases that need not hold, by the table of the documentation."""
    rows = _ROW.findall(_DOCUMENT.read_text("utf-8"))
    assert rows, "the table of exceptions is not where it was"
    return {
        case
        for case, protocols, engines in rows
        if protocol.label in protocols.split(", ") and engine in engines.split(", ")
    }


@asynccontextmanager
async def open_simulated(protocol: GuestProtocol) -> AsyncGenerator[Target]:
    """Our guest, speaking that."""
    opened = open_simulated_hyperstart() if protocol is GuestProtocol.HYPERSTART else open_simulated_kata(protocol)
    async with opened as target:
        yield target


@asynccontextmanager
async def open_simulated_kata(
    protocol: GuestProtocol = GuestProtocol.TTRPC, seed: int = 0
) -> AsyncGenerator[KataTarget]:
    """Our kata service in a dialect. At the end nothing may have been raised that should not have been."""
    rng = random.Random(seed)
    bugs: list[BaseException] = []
    engine = SimulatedEngine(rng)
    composed = compose(
        engine,
        DEFAULT_LIMITS,
        version="katrio simulated",
        platform=NamedPlatform(engine),
        on_error=lambda _service, _method, error: bugs.append(error),
    )
    face = composed.servers[protocol]
    serve = face.channels[Channel.AGENT]
    async with trio.open_nursery() as nursery:
        await nursery.start(composed.executor.run)
        await nursery.start(face.run)
        async with trio.open_nursery() as links:

            async def dial() -> trio.abc.Stream:
                await trio.lowlevel.checkpoint()
                ours, theirs = stream_pair("agent", rng, lambda _name, _data: None)
                links.start_soon(serve, theirs)
                return ours

            yield KataTarget(dial, rootfs="/", ids=real_seams().ids, protocol=protocol)
            links.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    assert not bugs, bugs


@asynccontextmanager
async def open_simulated_hyperstart() -> AsyncGenerator[HyperstartTarget]:
    """Our hyperstart service."""
    async with open_guest() as guest:
        yield HyperstartTarget(guest.dial_control, guest.dial_streams, rootfs="", share="/", ids=real_seams().ids)
