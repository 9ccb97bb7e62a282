"""Guests that run already, started by somebody else: a Kata agent or a hyperstart at an address; and their roots.

For systems whose agent's configuration names one. Such a guest has one sandbox at a time, and lives on when that ends, if it is
made so. Each of its containers gets a throw-away copy of its image: what an agent does to roots is its own matter. Not for
starting guests: `actors.system.embedded`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.agents.base import Channels
from actors.errors import ResourceExhausted
from actors.host.roots import open_roots
from transports.agent_sockets import open_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from actors.host.images import ImageStore
    from actors.host.roots import Roots
    from actors.limits import Limits
    from actors.seams import Seams
    from transports.address import Address
    from transports.recognise import Peer
    from transports.telling import Told

__all__ = ["GuestElsewhere", "GuestsElsewhere", "PrivateImages", "open_private_images"]


class GuestsElsewhere:
    """See `actors.sandbox.GuestLauncher`.

    Args:
        addresses: the agent's, or hyperstart's control and stream channel.
        peers: who is expected at each.
        told, patient: see `transports.agent_sockets.open_dialer`.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        peers: Sequence[Peer],
        *,
        told: Told | None = None,
        patient: bool = False,
    ) -> None:
        self._opening = partial(open_dialer, told=told, patient=patient)
        self._address = addresses[0]
        self._places = tuple(zip(addresses, peers, strict=True))
        self._taken_by: str | None = None

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[GuestElsewhere]) -> None:
        await trio.lowlevel.checkpoint()
        if self._taken_by is not None:
            raise ResourceExhausted(
                f"sandbox {sandbox!r}: the guest at {self._address} has one sandbox, {self._taken_by!r}; stop that first",
                limit=1,
            )
        self._taken_by = sandbox
        try:
            async with AsyncExitStack() as stack:
                opening = [self._opening(*place) for place in self._places]
                dialers = [await stack.enter_async_context(opened) for opened in opening]
                task_status.started(GuestElsewhere(Channels(*dialers)))
                await trio.sleep_forever()
        finally:
            self._taken_by = None


class GuestElsewhere:
    """See `actors.sandbox.Guest`."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels

    async def wait_gone(self) -> str:
        """Never: its end is told by its links, or by its silence."""
        await trio.sleep_forever()
        raise AssertionError

    def kill(self) -> None:
        """It is somebody else's."""


class PrivateImages:
    """See `actors.sandbox.Images`: every root that an agent may spoil is a copy of its own."""

    def __init__(self, store: ImageStore, roots: Roots, seams: Seams) -> None:
        self._store = store
        self._roots = roots
        self._seams = seams

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        """See `actors.sandbox.Images`; and ResourceExhausted, PermissionDenied: it can't be copied."""

        def resolve() -> str:
            found = str(self._store.resolve(image))
            return self._roots.copy(found) if spoilt else found

        return await self._seams.threads.run(resolve)

    async def release(self, rootfs: str) -> None:
        """Its copy is removed."""
        await self._seams.threads.run(partial(self._roots.remove, rootfs))


@asynccontextmanager
async def open_private_images(
    store: ImageStore, place: Path, seams: Seams, limits: Limits, *, share: Path | None = None
) -> AsyncGenerator[PrivateImages]:
    """Copies of what `store` has, gone at the end, below `place` or in a share (see `open_roots`). Raises: PermissionDenied."""
    opened = open_roots(place, limits, seams.threads.checkpoint, share=share)
    roots = await seams.threads.run(opened.__enter__)
    try:
        yield PrivateImages(store, roots, seams)
    finally:
        with trio.CancelScope(shield=True):
            await seams.threads.run(partial(opened.__exit__, None, None, None))
