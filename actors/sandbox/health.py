"""Health checks: watches that a sandbox's guest still answers while it seems to run.

The launcher reports a guest whose process ends, but not one that hangs. Each round calls, over
the sandbox's own connection, the agent's health check, and then something that needs the lock under which a Kata
agent works, since the health check succeeds while that lock is stuck. Any reply counts as success, even an error.
Lost links are redialled, and affect only their own actor.
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

# no such container need exist: "not found" also proves that the lock could be taken
_CANARY = "katrio-canary"


async def watch_health(agent: AgentConnection, limits: Limits) -> str:
    """Wait until the guest should be given up; returns the reason. Never returns while the guest answers."""
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
    """One round: what went unanswered; None if all was well, or if this host itself was suspended."""
    asked = "a health check"
    with trio.move_on_after(limits.health_answer_seconds) as round_:
        try:
            await agent.check()
            asked = "a call that needs its lock"
            await agent.stats_container(_CANARY)
        except (AgentUnreachable, OutcomeUnknown) as error:
            return f"it can't be reached ({error})"
        except Expired:
            # the guest's own error for the same deadline, arriving as late
            return f"it did not answer {asked} within {limits.health_answer_seconds:g} s"
        except KatrioError:
            return None
    if not round_.cancelled_caught:
        return None
    # a suspended host finds its deadlines passed when it resumes: that says nothing about the guest
    if trio.current_time() - round_.deadline > limits.health_late_seconds:
        return None
    return f"it did not answer {asked} within {limits.health_answer_seconds:g} s"
