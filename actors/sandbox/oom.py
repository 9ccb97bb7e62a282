"""The watch for kills for lack of memory: the agent tells of each once, and the sandbox tells its container.

For the sandbox actor. Not for counting them: the container's actor does.
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
    """Call `tell` with the container of each kill that the agent tells of, until cancelled or it can't tell any.

    A link that breaks while the agent answers may lose one: the agent has told it once, and tells it to nobody else.
    """
    told = 0
    while True:
        try:
            container = await agent.next_oom()
        except Unsupported:
            return
        except (AgentUnreachable, OutcomeUnknown):
            # the link dials again by itself
            await trio.sleep(limits.reconnect_pause_seconds)
        except KatrioError:
            # an agent that fails at once must not be asked in a busy loop (kata-containers #4376 filled a log with it)
            await trio.sleep(limits.oom_retry_seconds)
        else:
            tell(container)
            told += 1
            if told % limits.oom_burst == 0:
                await trio.sleep(limits.oom_pause_seconds)
