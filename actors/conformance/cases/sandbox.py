"""CreateSandbox and DestroySandbox: one sandbox for a guest's life, made once and ended as often as one likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases, Spoken
from actors.conformance.expect import check, equal, is_loss, refused
from actors.errors import KatrioError, Unsupported

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()


@CASES.add(
    "sandbox.hostname",
    title="Containers see the sandbox's hostname",
    does="asks a container for its hostname, in a sandbox that was made with the name `conformance`",
    expects="conformance",
    why="agent.proto CreateSandbox: hostname; virtcontainers cuts it at 64",
    needs=("isolation",),
)
async def hostname(kata: Kata) -> None:
    if not kata.target.made_sandbox:
        raise Unsupported("the agent had a sandbox before; its hostname is not known here")
    container = await kata.run()
    equal((await container.sh("hostname")).stdout, b"conformance\n", "hostname")


@CASES.add(
    "sandbox.second-refused",
    title="A second sandbox is refused, and what runs is unharmed",
    does="creates a sandbox again while a container runs",
    expects="already_exists; the container is alive, with its files",
    why="agent-semantics 6.1 (13): the Rust agent wipes the bundles of what runs, through their bind mounts",
    destructive=True,
)
async def second(kata: Kata) -> None:
    container = await kata.run()
    with refused("a second sandbox", "already_exists"):
        await kata.call("CreateSandbox", sandbox_id=kata.fresh("sandbox"), hostname="second")
    await container.check_alive()


@CASES.add(
    "sandbox.destroy-ends-containers",
    title="With the sandbox its containers end, and a second destroy is fine",
    does="destroys the sandbox with a running container in it, looks for the container, destroys again",
    expects="ok, or an agent that ends as today's does; no container is left, and the second destroy is ok too",
    why="agent-semantics 6.1 (12): the Rust agent's second destroy is INTERNAL; today's agent exits with its sandbox",
    destructive=True,
)
async def destroy(kata: Kata) -> None:
    container = await kata.run()
    await container.check_alive()
    if await _ended(kata, "DestroySandbox"):
        return
    code = await kata.code("StatsContainer", container_id=container.id)
    check(code in ("not_found", "invalid_argument"), "no such container any more", code)
    if not await _ended(kata, "DestroySandbox"):
        await kata.target.make_sandbox()
        await (await kata.run()).check_alive()


async def _ended(kata: Kata, method: str) -> bool:
    """Make the call; whether today's agent ended with it, as it is made to."""
    try:
        await kata.call(method)
        await kata.call("Check")
    except KatrioError as error:
        if is_loss(error) and kata.target.spoken is Spoken.TTRPC:
            return True
        raise
    return False
