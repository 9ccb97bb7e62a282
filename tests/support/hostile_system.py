"""A whole system whose sandboxes have hostile guests, each on a real socket.

For what a guest can do to the host through everything, and for measuring it. Not for single replies: those need no
actors (`tests.support.lies`).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from actors.agents.base import Channels
from actors.agents.kata.agent import connect_kata
from actors.launchers.nothing import AnyImage
from actors.limits import DEFAULT_LIMITS
from actors.nurseries import open_collapsing_nursery
from actors.seams import real_seams
from actors.system.compose import Parts, open_actors
from transports.memory import MemoryTransport
from transports.stream import serve_unix, unix_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from actors.handles import SystemHandle
    from actors.limits import Limits
    from tests.support.hostile_guest import HostileGuest
    from transports.base import Dialer

__all__ = ["LIMITS", "open_dialled_system", "open_hostile_system"]

# the orderly end waits for a guest's answers, which some of these never give
LIMITS = replace(DEFAULT_LIMITS, shutdown_seconds=0.5, cancel_grace_seconds=0.1)


@dataclass
class _Running:
    """See `actors.sandbox.Guest`."""

    channels: Channels

    async def wait_gone(self) -> str:
        await trio.sleep_forever()
        raise AssertionError

    def kill(self) -> None:
        """A task of the test's own, which ends with it."""


@asynccontextmanager
async def open_dialled_system(dialers: Mapping[str, Dialer], limits: Limits = LIMITS) -> AsyncGenerator[SystemHandle]:
    """A system whose sandboxes find their guests running already: `dialers` by sandbox. Hides nurseries."""

    async def launch(sandbox: str, *, task_status: trio.TaskStatus[_Running]) -> None:
        task_status.started(_Running(Channels(dialers[sandbox])))
        await trio.sleep_forever()

    parts = Parts(
        transport=MemoryTransport(),
        address="memory://hostile",
        launch=launch,
        connect=connect_kata,
        images=AnyImage(),
        seams=real_seams(),
        limits=limits,
    )
    async with open_actors(parts) as system:
        yield system


@asynccontextmanager
async def open_hostile_system(directory: str, guests: Mapping[str, HostileGuest]) -> AsyncGenerator[SystemHandle]:
    """`guests` by the sandbox that gets it; sockets lie in `directory`, which has mode 0700. Hides nurseries."""
    paths = {sandbox: f"{directory}/{sandbox}.sock" for sandbox in guests}
    async with open_collapsing_nursery() as serving:
        for sandbox, path in paths.items():
            await serving.start(serve_unix, path, guests[sandbox].serve)
        async with open_dialled_system({sandbox: unix_dialer(path) for sandbox, path in paths.items()}) as system:
            yield system
        serving.cancel_scope.cancel()
