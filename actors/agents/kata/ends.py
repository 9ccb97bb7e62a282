"""How a process's end is asked of a real agent while others hold its output, and the words by which agents say that it has ended.

For the kata agent. With the answer to a wait a real agent closes a process's streams and forgets it, so that its host reads all
output before it waits; a child that holds the output would make that last for ever. What else tells an end:

- 1.x's agent refuses signal 0, which reaches nobody, to what has ended.
- Today's agent answers every signal alike. It is asked to wait over a link of its own, which is cut when calls that take the same
  lock behind it have been answered: a waiter whose link is cut loses nothing. A process that ends within these few hundred
  microseconds loses what it printed meanwhile, and its code if the answer was on its way.

Not for when to ask (`actors.container.process`), nor for what a code means (`exits`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentUnreachable, Expired, KatrioError, OutcomeUnknown
from actors.schemas import agent as api

if TYPE_CHECKING:
    from actors.agents.kata.client import KataClient

__all__ = ["poll_by_signal", "poll_by_wait", "says_ended", "until_it_ends"]

# the kernel's ESRCH as Go, Rust and C say it; Go's os package; libcontainer
_ENDED = ("no such process", "esrch", "process already finished", "process already done", "container not running")
# an id that an agent could have, and none has
_NOBODY = "katrio-nobody"
# a wait that is answered has taken the lock twice, and its answer goes out after that
_TURNS = 3
# what has ended printed the last of its output before that, and reads of it are under way
_LAST_OUTPUT_SECONDS = 0.2
# an agent that ends with its sandbox has by then, and how often it is looked at
_ENDING_SECONDS = 1.0
_LOOK_SECONDS = 0.02


def says_ended(error: KatrioError) -> bool:
    """Whether an agent refuses because a process has ended: there is no code for that."""
    return any(word in error.message.lower() for word in _ENDED)


async def poll_by_wait(client: KataClient, request: api.WaitProcessRequest) -> int | None:
    """What a wait tells within a few turns of the agent's lock; `client`'s link must be cut after it. Raises: KatrioError."""
    told: list[int] = []

    async def wait() -> None:
        # one that is refused is none that ended; the host's own wait is told why
        with suppress(KatrioError):
            told.append((await client.call(request)).status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        # its request goes out first
        await trio.lowlevel.checkpoint()
        for _ in range(_TURNS):
            try:
                await client.call(api.StatsContainerRequest(container_id=_NOBODY))
            except (AgentUnreachable, Expired, OutcomeUnknown):
                break
            except KatrioError:
                continue
        nursery.cancel_scope.cancel()
    return told[0] if told else None


async def poll_by_signal(client: KataClient, request: api.WaitProcessRequest) -> int | None:
    """What a wait tells, of a process that can't be signalled any more. Raises: KatrioError."""
    signalling = api.SignalProcessRequest(container_id=request.container_id, exec_id=request.exec_id, signal=0)
    try:
        await client.call(signalling)
    except KatrioError as error:
        if not says_ended(error):
            return None
    else:
        return None
    await trio.sleep(_LAST_OUTPUT_SECONDS)
    return (await client.call(request)).status


async def until_it_ends(client: KataClient) -> None:
    """Wait until an agent that ends with its sandbox has, and no longer than that takes: whoever dialled it now would be cut off."""
    with trio.move_on_after(_ENDING_SECONDS):
        while True:
            try:
                await client.call(api.CheckRequest())
            except KatrioError:
                return
            await trio.sleep(_LOOK_SECONDS)
