"""Xoscar: an actor in another process of its pool; the asker stands outside of the pool."""

from __future__ import annotations

import asyncio
from typing import Any

import xoscar

from benchmarks.peers.turns import ARGS, serve_async


class Echo(xoscar.Actor):
    """Answers with what it got."""

    def echo(self, args: Any) -> Any:
        return args


async def main() -> None:
    """Make the pool, place the actor in its second process, and measure."""
    pool = await xoscar.create_actor_pool("127.0.0.1", n_process=1)
    async with pool:
        elsewhere = next(iter(pool.sub_processes))
        actor = await xoscar.create_actor(Echo, address=elsewhere, uid="echo")
        await serve_async(lambda: actor.echo(ARGS))


if __name__ == "__main__":
    asyncio.run(main())
