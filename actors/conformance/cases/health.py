"""Whether an agent says who it is and that it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()


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
