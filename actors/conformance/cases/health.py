"""Version and health check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal
from actors.conformance.together import outcome

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()

# any refusal comes within this time; a later answer means stuck
STUCK_SECONDS = 0.5


@CASES.add(
    "health.serving",
    title="A health check is answered with SERVING",
    does="calls Health.Check",
    expects="status SERVING (1)",
    why="health.proto; kata-agent rpc.rs: a constant; virtcontainers takes anything else for a dead agent",
)
async def serving(kata: Kata) -> None:
    equal((await kata.call("Check")).status, 1, "status")


@CASES.add(
    "health.version",
    title="The agent tells its own version and that of its API",
    does="calls Health.Version",
    expects="an agent_version that is not empty, and a grpc_version",
    why="health.proto; clients choose by it how to read exit codes (kata-containers#13251)",
)
async def version(kata: Kata) -> None:
    told = await kata.call("Version")
    check(bool(told.agent_version), "an agent_version", repr(told.agent_version))
    check(bool(told.grpc_version), "a grpc_version", repr(told.grpc_version))


@CASES.add(
    "health.while-stuck",
    title="An agent that tells its health answers its other calls as well",
    does="starts a running container again, leaves that call be, and asks for the agent's health and another container's statistics",
    expects="the statistics are told, or refused, when the health is SERVING; another container takes an exec",
    why="health.proto: SERVING; clients take it for life, and today's agent says so while nothing else is answered",
    fatal=True,
)
async def while_stuck(kata: Kata) -> None:
    container, other = await kata.run(), await kata.run()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outcome, container.start())
        await kata.pass_time(STUCK_SECONDS)
        equal((await kata.call("Check", link=await kata.open_link())).status, 1, "status")
        with kata.quick("what needs more than a health check is answered, as the health is SERVING"):
            await outcome(kata.call("StatsContainer", link=await kata.open_link(), container_id=other.id))
            await other.check_alive()
        nursery.cancel_scope.cancel()
