"""Watches that a sandbox's guest still answers, for as long as it seems to run.

For the sandbox actor: a guest whose process ends is told by its launcher, one that hangs by nobody. Each round asks over
the sandbox's own connection whether the agent serves, and then for something that needs the lock under which a Kata
agent does its work, since its health check is green while that lock is stuck. Any answer is a good one, also an error.
Not for lost links: those are dialled again, and concern their own actor.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentUnreachable, Expired, KatrioError, OutcomeUnknown

if TYPE_CHECKING:
    from actors.agents.base import AgentConnection
    from actors.limits import Limits

__all__ = ["watch_health"]

# no container need have this name: "not found" says as well that the lock could be taken
_CANARY = "katrio-canary"


async def watch_health(agent: AgentConnection, limits: Limits) -> str:
    """Wait until the guest is to be given up; why, for people. Never ends with a guest that answers."""
    missed: deque[bool] = deque(maxlen=limits.health_window)
    began = trio.current_time()
    while True:
        await trio.sleep_until(began + limits.health_period_seconds)
        began = trio.current_time()
        what = await _miss(agent, limits)
        missed.append(what is not None)
        if what is not None and sum(missed) >= limits.health_misses:
            return f"{what}, in {sum(missed)} of the last {len(missed)} rounds"


async def _miss(agent: AgentConnection, limits: Limits) -> str | None:
    """One round: what went unanswered; None when all was well, or when it was we who were not there to hear."""
    asked = "a health check"
    with trio.move_on_after(limits.health_answer_seconds) as round_:
        try:
            await agent.check()
            asked = "a call that needs its lock"
            await agent.stats_container(_CANARY)
        except (AgentUnreachable, OutcomeUnknown) as error:
            return f"it can't be reached ({error})"
        except Expired:
            # the guest's own word for the same deadline, and as late
            return f"it did not answer {asked} within {limits.health_answer_seconds:g} s"
        except KatrioError:
            return None
    if not round_.cancelled_caught:
        return None
    # a host that was suspended or stopped finds its deadlines passed when it wakes: that says nothing of the guest
    if trio.current_time() - round_.deadline > limits.health_late_seconds:
        return None
    return f"it did not answer {asked} within {limits.health_answer_seconds:g} s"
