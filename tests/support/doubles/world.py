"""The attached world at a double, in memory and in virtual time: scenarios as they meet somebody else's agent.

For tests. A double is one agent's life: each scenario has a fresh one. Its containers' roots are real directories, without
programs in them: what is looked up there on the host is found. Not for an address: `__main__`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import trio

from actors.agents.choice import choose_agent
from actors.errors import InvalidArgument
from actors.launchers.external import ExternalGuests
from actors.limits import DEFAULT_LIMITS
from actors.scenario.reading.load import load_text
from actors.scenario.run.runner import run_scenario
from actors.seams import real_seams
from actors.system.compose import Parts, open_actors
from actors.worlds.attached import AttachedWorld
from tests.support.doubles.opening import DOUBLES, open_double
from transports.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.agents.base import Channels
    from actors.node.protocols import GuestProtocol
    from actors.scenario.reading.scenario import Loaded
    from actors.scenario.stage.results import Result
    from tests.support.doubles.power import Options

__all__ = ["SCENARIOS", "load", "load_named", "open_doubled_world", "run_at"]

SCENARIOS = sorted((Path(__file__).resolve().parents[3] / "scenarios").glob("*.yaml"))
_WORDS = {"ttrpc": ("kata", None), "grpc": ("kata", {"dialect": "grpc"}), "hyperstart": ("hyperstart", None)}


# of every root: what the host looks names of users up in
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}


class _Roots:
    """See `actors.sandbox.Images`: one directory for every container of the one image that there is."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        for name, text in _FILES.items():
            path = Path(directory, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        await trio.lowlevel.checkpoint()
        if image != "busybox":
            raise InvalidArgument(f"image {image!r}: there is 'busybox' alone", field="image")
        return self._directory

    async def release(self, rootfs: str) -> None:
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def open_doubled_world(channels: Channels, protocol: GuestProtocol) -> AsyncGenerator[AttachedWorld]:
    """A system whose agent is that double."""
    agent, config = _WORDS[protocol]
    chosen = choose_agent(agent, config)
    guests = ExternalGuests(channels, chosen, DEFAULT_LIMITS)
    with TemporaryDirectory() as directory:
        parts = Parts(
            transport=MemoryTransport(),
            address="memory://doubled",
            launch=guests,
            connect=guests.connect,
            images=_Roots(directory),
            seams=real_seams(),
            limits=DEFAULT_LIMITS,
        )
        async with open_actors(parts) as system:
            yield AttachedWorld(system, agent, guests)


def load(path: Path) -> Loaded:
    """One of `SCENARIOS`."""
    return load_text(path.read_bytes(), str(path))


def load_named(name: str) -> Loaded:
    """That one of `SCENARIOS`."""
    return load(next(path for path in SCENARIOS if path.stem == name))


async def run_at(name: str, loaded: Loaded, options: Options | None = None) -> Result:
    """A scenario at a fresh double of that name."""
    async with (
        open_double(name, options) as running,
        open_doubled_world(running.channels, DOUBLES[name].protocol) as world,
    ):
        return await run_scenario(loaded, world, listener=lambda _event: None)
