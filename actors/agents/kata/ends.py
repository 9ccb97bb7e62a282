"""How to ask a real agent for a process's end while others hold its output, and its error texts for an ended process.

A real agent closes a process's streams and forgets it with its answer to a wait, so its host must read all
output before waiting; a child that holds the output open would delay that for ever. Other ways to detect an end:

- 1.x's agent refuses signal 0, which has no effect, for an ended process.
- Today's agent answers every signal alike. It is asked to wait over a separate link, which is cut when calls queued behind it on
the agent's lock have been answered: a waiter whose link is cut loses nothing. A process that ends within these few
hundred microseconds loses output written meanwhile, and its exit code if the answer was in flight.

When to ask is decided in `actors.container.process`; exit codes are in `exits`.
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

# the kernel's ESRCH as worded by Go, Rust and C; Go's os package; libcontainer
_ENDED = ("no such process", "esrch", "process already finished", "process already done", "container not running")
# a valid id that no container has
_NOBODY = "katrio-nobody"
# an answered wait has taken the lock twice, and its answer goes out after that
_TURNS = 3
# an ended process wrote its last output before this, and reads of it are in progress
_LAST_OUTPUT_SECONDS = 0.2
# an agent that exits with its sandbox has exited by then, and the polling interval
_ENDING_SECONDS = 1.0
_LOOK_SECONDS = 0.02


def says_ended(error: KatrioError) -> bool:
    """Whether an agent's refusal means that a process has ended: there is no code for that."""
    return any(word in error.message.lower() for word in _ENDED)


async def poll_by_wait(client: KataClient, request: api.WaitProcessRequest) -> int | None:
    """The result of a wait within a few turns of the agent's lock; `client`'s link must be cut after it. Raises: KatrioError."""
    told: list[int] = []

    async def wait() -> None:
        # a refused poll does not mean an end; the host's own wait gets the reason
        with suppress(KatrioError):
            told.append((await client.call(request)).status)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        # let its request go out first
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
    """The result of a wait, if the process can't be signalled any more. Raises: KatrioError."""
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
    """Wait until an agent that exits with its sandbox has exited, for a bounded time: a new link to it would be cut off."""
    with trio.move_on_after(_ENDING_SECONDS):
        while True:
            try:
                await client.call(api.CheckRequest())
            except KatrioError:
                return
            await trio.sleep(_LOOK_SECONDS)
