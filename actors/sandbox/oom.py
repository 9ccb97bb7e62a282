"""Watches for OOM kills: the agent reports each once, and the sandbox notifies its container.

Counting is in the container's actor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.errors import AgentUnreachable, KatrioError, OutcomeUnknown, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.agents.base import AgentConnection
    from actors.limits import Limits

__all__ = ["watch_oom"]


async def watch_oom(agent: AgentConnection, tell: Callable[[str], None], limits: Limits) -> None:
    """Call `tell` with the container of each OOM kill that the agent reports, until cancelled or the agent can't report any more.

    A link that breaks during a reply may lose one: the agent reports each only once.
    """
    told = 0
    while True:
        try:
            container = await agent.next_oom()
        except Unsupported:
            return
        except (AgentUnreachable, OutcomeUnknown):
            # the link redials by itself
            await trio.sleep(limits.reconnect_pause_seconds)
        except KatrioError:
            # avoids a busy loop if an agent fails at once (kata-containers #4376 filled a log that way)
            await trio.sleep(limits.oom_retry_seconds)
        else:
            tell(container)
            told += 1
            if told % limits.oom_burst == 0:
                await trio.sleep(limits.oom_pause_seconds)
