"""The interfaces through which a sandbox gets its guest and its images; worlds implement them.

The inside of a guest is in `actors.guest`, in another process.
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
        """How to dial its agent."""
        ...

    async def wait_gone(self) -> str:
        """Wait until it is gone; returns the reason, for display."""
        ...

    def kill(self) -> None:
        """End it at once, without asking it; a no-op if it is gone or not ours to end."""


class GuestLauncher(Protocol):
    """Starts guests. A long-running task for each, which owns the guest and removes every trace of it at the end."""

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[Guest]) -> None:
        """Run one guest for `sandbox` until cancelled or until the guest is gone.

        Raises (before it has started): GuestDied, Unsupported, ResourceExhausted.
        """


class Images(Protocol):
    """Provides unpacked roots."""

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        """The directory of an image's root, as the guest sees it; `spoilt`: the agent may write into it, or remove it.

        Raises: NotFound, InvalidArgument.
        """
        ...

    async def release(self, rootfs: str) -> None:
        """The container that had this root is gone. Idempotent."""
