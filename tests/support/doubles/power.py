"""Whether the machine of a double runs: some of what an agent is asked ends it, and its VM with it.

Not for an orderly end that its host asks for otherwise: whoever runs the double does that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Options", "Power"]


@dataclass
class Power:
    """One machine's. `cut` is what its end does, at once: in a process that is its exit."""

    gone: trio.Event = field(default_factory=trio.Event)
    reason: str = ""
    cut: Callable[[], None] | None = None

    async def off(self, reason: str) -> None:
        """It ends, with all that runs in it; whoever calls this is never answered."""
        self.reason = self.reason or reason
        self.gone.set()
        if self.cut is not None:
            self.cut()
        await trio.sleep_forever()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a double is made like, where the real ones differ or must be asked for.

    Attributes:
        one_processor: a machine on which a blocked thread is the only one.
        reuses_pids: what ended had a pid that the newest process of its container has now.
        harms_roots: it writes and deletes in the root directories that it is given, as the real one does; otherwise it tells
            on stderr what it would have done. In the simulation roots are nobody's, and it always does.
        delay_seconds: what every read from its channel takes, as on the serial port of a slow machine.
        unified_groups: its machine has control groups v2, with which OOM kills are told as they happen.
    """

    one_processor: bool = False
    reuses_pids: bool = False
    harms_roots: bool = False
    delay_seconds: float = 0.0
    unified_groups: bool = False
