"""Guests that already run, started by somebody else: a Kata agent or a hyperstart at an address; and their roots.

For systems whose agent configuration has an address. Such a guest has one sandbox at a time, and may survive its end;
today's kata-agent does not, which the next user is told. Each container gets a disposable copy of its image, as an
agent may modify roots.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import trio

from actors.agents.base import Channels
from actors.agents.kinds import AgentKind, Identity
from actors.errors import AgentUnreachable, GuestDied, OutcomeUnknown, ResourceExhausted
from actors.node.roots import open_roots
from transports.agent_sockets import open_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from actors.agents.base import SandboxAgent
    from actors.agents.choice import ChosenAgent
    from actors.images.store import ImageStore
    from actors.limits import Limits
    from actors.node.roots import Roots
    from actors.seams import Seams
    from transports.telling import Told

__all__ = ["ExternalGuest", "ExternalGuests", "Found", "PrivateImages", "open_channels", "open_private_images"]


Identify: TypeAlias = "Callable[[Channels, Limits], Awaitable[tuple[Identity, bool | None]]]"


class Found(NamedTuple):
    """Who answers; `unified`: whether its machine has cgroup v2, if known."""

    identity: Identity
    unified: bool | None


@asynccontextmanager
async def open_channels(chosen: ChosenAgent, *, told: Told | None = None) -> AsyncGenerator[Channels]:
    """Dialers of an agent at its addresses; over a serial port they share one session, for the lifetime of the context.

    `told`: see `transports.agent_sockets.open_dialer`.
    """
    async with AsyncExitStack() as stack:
        opening = [
            open_dialer(*place, told=told, patient=chosen.patience > 0)
            for place in zip(chosen.addresses, chosen.peers, strict=True)
        ]
        yield Channels(*[await stack.enter_async_context(opened) for opened in opening])


class ExternalGuests:
    """See `actors.sandbox.GuestLauncher`. `channels` stay open for its lifetime."""

    def __init__(self, channels: Channels, chosen: ChosenAgent, limits: Limits) -> None:
        self._channels = channels
        self._chosen = chosen
        self._limits = limits
        self._place = str(chosen.addresses[0]) if chosen.addresses else "its address"
        self._taken_by: str | None = None
        # the sandbox with whose end the agent may have exited; and how long to wait for a new one then
        self._left_by: str | None = None
        self._again = False
        self._patience = limits.reconnect_seconds

    def connect(self, channels: Channels, limits: Limits) -> SandboxAgent:
        """See `actors.agents.base.AgentFactory`."""
        if self._again and self._chosen.identify is None:
            # a real hyperstart that had a host sends no READY to another
            limits = replace(limits, guest_start_seconds=limits.reconnect_seconds)
        return self._chosen.connect(channels, limits)

    async def identify(self) -> Found:
        """Ask who answers. Raises: KatrioError: nobody; GuestDied: it ended with its last sandbox."""
        if self._chosen.identify is None:
            # no request tells our hyperstart from a real one, and a real one serves one host in its life
            await trio.lowlevel.checkpoint()
            return Found(Identity(AgentKind.HYPERSTART), None)
        if self._left_by is None:
            return Found(*await self._chosen.identify(self._channels, self._limits))
        return Found(*await self._identify_again(self._chosen.identify, self._left_by))

    async def _identify_again(self, identify: Identify, left_by: str) -> tuple[Identity, bool | None]:
        """It may have exited with its last sandbox, and be restarted soon. Raises: GuestDied."""
        end = trio.current_time() + self._patience
        while True:
            left = max(end - trio.current_time(), self._limits.answer_grace_seconds)
            try:
                answer = await identify(self._channels, replace(self._limits, guest_start_seconds=left))
            except (AgentUnreachable, OutcomeUnknown) as error:
                if trio.current_time() < end:
                    await trio.sleep(self._limits.reconnect_pause_seconds)
                    continue
                # wait for a new one only once
                self._patience = 0.0
                raise GuestDied(
                    f"the agent at {self._place} has ended, with sandbox {left_by!r}, as today's kata-agent does: start a new one "
                    f"for each sandbox, and so for each file of a command ({error.message})",
                    state="lost",
                ) from error
            self._patience = self._limits.reconnect_seconds
            return answer

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[ExternalGuest]) -> None:
        await trio.lowlevel.checkpoint()
        if self._taken_by is not None:
            raise ResourceExhausted(
                f"sandbox {sandbox!r}: the guest at {self._place} has one sandbox, {self._taken_by!r}; stop that first",
                limit=1,
            )
        self._taken_by, self._again = sandbox, self._left_by is not None
        try:
            if self._left_by is not None:
                await self.identify()
                self._left_by = None
            task_status.started(ExternalGuest(self._channels))
            await trio.sleep_forever()
        finally:
            self._taken_by = None
            self._left_by = self._left_by or sandbox


class ExternalGuest:
    """See `actors.sandbox.Guest`."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels

    async def wait_gone(self) -> str:
        """Never returns: its end shows in its links, or in failed health checks."""
        await trio.sleep_forever()
        raise AssertionError

    def kill(self) -> None:
        """A no-op: it is not ours."""


class PrivateImages:
    """See `actors.sandbox.Images`: every root that the agent may modify is a private copy."""

    def __init__(self, store: ImageStore, roots: Roots, seams: Seams) -> None:
        self._store = store
        self._roots = roots
        self._seams = seams

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        """See `actors.sandbox.Images`; also ResourceExhausted, PermissionDenied: it can't be copied."""

        def resolve() -> str:
            found = str(self._store.resolve(image))
            return self._roots.copy(found) if spoilt else found

        return await self._seams.threads.run(resolve)

    async def release(self, rootfs: str) -> None:
        """Remove its copy."""
        await self._seams.threads.run(partial(self._roots.remove, rootfs))


@asynccontextmanager
async def open_private_images(
    store: ImageStore, place: Path, seams: Seams, limits: Limits, *, share: Path | None = None
) -> AsyncGenerator[PrivateImages]:
    """Copies of roots in `store`, removed at the end, below `place` or in a share (see `open_roots`). Raises: PermissionDenied."""
    opened = open_roots(place, limits, seams.threads.checkpoint, share=share)
    roots = await seams.threads.run(opened.__enter__)
    try:
        yield PrivateImages(store, roots, seams)
    finally:
        with trio.CancelScope(shield=True):
            await seams.threads.run(partial(opened.__exit__, None, None, None))
