"""To start what serves or dials on the real clock: it says so soon, or the test fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# a start takes milliseconds; on a busy machine a thousand times that
START_SECONDS = 20


async def started(nursery: trio.Nursery, run: Callable[..., Awaitable[object]], *args: object) -> Any:
    """What it is `started` with. Raises: trio.TooSlowError."""
    with trio.fail_after(START_SECONDS):
        return await nursery.start(run, *args)
