"""No guest at all, for an agent that contacts none (noop).

Dialling it is refused.
"""

from __future__ import annotations

import trio

from actors.agents.base import Channels
from transports.errors import Unreachable

__all__ = ["AnyImage", "launch_nothing"]


class _AbsentGuest:
    @property
    def channels(self) -> Channels:
        return Channels(_refuse)

    async def wait_gone(self) -> str:
        await trio.sleep_forever()
        raise AssertionError

    def kill(self) -> None:
        """Nothing to kill."""


async def _refuse() -> trio.abc.Stream:
    await trio.lowlevel.checkpoint()
    raise Unreachable("there is no guest: this system's agent contacts none")


async def launch_nothing(sandbox: str, *, task_status: trio.TaskStatus[_AbsentGuest]) -> None:
    """See `actors.sandbox.GuestLauncher`."""
    task_status.started(_AbsentGuest())
    await trio.sleep_forever()


class AnyImage:
    """See `actors.sandbox.Images`: accepts any name, as nothing is unpacked."""

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        """A placeholder."""
        await trio.lowlevel.checkpoint()
        return "/"

    async def release(self, rootfs: str) -> None:
        """Nothing to do."""
