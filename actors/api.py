"""The public face: open a system of actors on this host, or one of the worlds by name.

For programs that embed katrio, and for the command line. Chooses nng as the transport; everything below is
given one. Not for tests of a layer: those compose it themselves.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument
from actors.host.facts import AUTO, choose_engine, read_facts
from actors.host.images import ImageStore, default_image_root, find_static_busybox
from actors.host.rundir import default_run_root
from actors.limits import DEFAULT_LIMITS, Limits
from actors.seams import real_seams
from actors.system.absent import AnyImage, launch_nothing
from actors.system.agents import AGENTS, AgentType
from actors.system.compose import Parts, open_actors
from actors.system.embedded import EmbeddedGuests, EmbeddedImages, EmbeddedWorld
from transports.schemes import transport_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from actors.handles import SystemHandle

__all__ = ["WORLDS", "open_system", "open_world"]

WORLDS = ("embedded",)
# what a guest's processes get of our environment; a container gets none of it
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME", "XDG_RUNTIME_DIR")


@asynccontextmanager
async def open_system(
    *, agent: str = "kata", engine: str = AUTO, run_dir: Path | None = None, limits: Limits = DEFAULT_LIMITS
) -> AsyncGenerator[SystemHandle]:
    """A system whose sandboxes are embedded guests on this host, and a handle on it.

    Hides nurseries: one error of the body stays one plain error. On the way out, cancelled or not, every
    sandbox is stopped in order.

    Raises:
        InvalidArgument: no such agent or engine.
        Unsupported: this machine can't run that engine; the message says what to install.
    """
    async with open_embedded(agent=agent, engine=engine, run_dir=run_dir, limits=limits) as world:
        yield world.system


@asynccontextmanager
async def open_embedded(
    *, agent: str, engine: str, run_dir: Path | None, limits: Limits = DEFAULT_LIMITS
) -> AsyncGenerator[EmbeddedWorld]:
    """The embedded world; see `open_system`."""
    agent_type = AgentType.parse(agent)
    seams = real_seams()
    chosen, _ = choose_engine(read_facts(), engine)
    guests = EmbeddedGuests(
        run_root=run_dir or default_run_root(os.environ, os.geteuid()),
        engine=chosen,
        environment={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        seams=seams,
        limits=limits,
    )
    runs = agent_type is not AgentType.NOOP
    address = f"inproc://{seams.ids.fresh('katrio')}"
    store = ImageStore(default_image_root(os.environ, os.geteuid()), find_static_busybox())
    parts = Parts(
        transport=transport_for(address),
        address=address,
        launch=guests if runs else launch_nothing,
        connect=AGENTS[agent_type],
        # plain processes run in the host's own root
        images=EmbeddedImages(store, seams) if runs and chosen != "processes" else AnyImage(),
        seams=seams,
        limits=limits,
    )
    async with open_actors(parts) as system:
        yield EmbeddedWorld(system=system, agent=agent, engine=chosen if runs else None, guests=guests)


@asynccontextmanager
async def open_world(
    world: str, *, agent: str, engine: str, run_dir: Path | None, seed: int | None
) -> AsyncGenerator[EmbeddedWorld]:
    """A world by its name, for a scenario to run in; `seed` is for worlds that have one.

    Raises: as `open_system`; InvalidArgument for a world that is not there.
    """
    if world not in WORLDS:
        raise InvalidArgument(f"world {world!r}: expected one of {', '.join(WORLDS)}", field="world")
    async with open_embedded(agent=agent, engine=engine, run_dir=run_dir) as opened:
        yield opened
