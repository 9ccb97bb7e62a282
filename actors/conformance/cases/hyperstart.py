"""hyperstart's commands in order: version, containers, execs and their output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases, Spoken
from actors.conformance.expect import check, equal
from transports.hyperstart.codec import Code

if TYPE_CHECKING:
    from actors.conformance.hyperstart import Hyperstart

__all__ = ["CASES"]

CASES = Cases(speaks=(Spoken.HYPERSTART,))


@CASES.add(
    "hyperstart.version",
    title="The guest tells the version of its API",
    does="sends GETVERSION",
    expects="4 bytes, and at least 4243: below it processes have no ids",
    why="hyperstart api.h; runv branches on 4242",
)
async def version(guest: Hyperstart) -> None:
    payload = await guest.command(Code.GETVERSION)
    equal(len(payload), 4, "bytes of the answer:")
    check(int.from_bytes(payload) >= 4243, "a version of at least 4243", int.from_bytes(payload))


@CASES.add(
    "hyperstart.exec-output",
    title="An exec's outputs come on their own sequences, and its exit code with its end",
    does="runs a shell in a running container that prints to both outputs and exits with 7",
    expects="each word on its own stream, and status 7",
    why="hyperstart EXECCMD, PROCESSASYNCEVENT",
)
async def exec_output(guest: Hyperstart) -> None:
    container = await guest.run()
    done = await container.sh("echo out-$((1 + 1)); echo err-$((2 + 2)) >&2; exit $((3 + 4))")
    equal(done.stdout, b"out-2\n", "on stdout")
    equal(done.stderr, b"err-4\n", "on stderr")
    equal(done.code, 7, "status")
