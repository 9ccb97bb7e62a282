"""The ports through which a sandbox gets its guest and its images; worlds bring implementations.

For the sandbox actor and for whoever composes a system. Not for a guest's inside: that is `actors.guest`,
in another process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import trio

    from actors.agents.base import Channels

__all__ = ["Guest", "GuestLauncher", "Images"]


class Guest(Protocol):
    """One running guest."""

    @property
    def channels(self) -> Channels:
        """How its agent is dialled."""
        ...

    async def wait_gone(self) -> str:
        """Wait until it is gone; the reason, for people."""
        ...

    def kill(self) -> None:
        """End it at once, since it can't be asked; one that is gone, or that is not ours to end, is left alone."""


class GuestLauncher(Protocol):
    """Starts guests. A long-lived task for each: it owns the guest and removes every trace when it ends."""

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[Guest]) -> None:
        """Run one guest for `sandbox` until cancelled or until the guest is gone.

        Raises (before it has started): GuestDied, Unsupported, ResourceExhausted.
        """


class Images(Protocol):
    """Where unpacked roots come from."""

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        """The directory of an image's root, as the guest sees it; `spoilt`: its agent may write into it, or remove it.

        Raises: NotFound, InvalidArgument.
        """
        ...

    async def release(self, rootfs: str) -> None:
        """A container that had a root of `resolve`'s is no more. Idempotent."""
