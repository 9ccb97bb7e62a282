"""CreateSandbox and DestroySandbox: one sandbox for a guest's life, made once and ended as often as one likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases, Spoken
from actors.conformance.expect import check, equal, is_loss, quick, refused
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
    code = await kata.code("SignalProcess", container_id=container.id, signal=9)
    check(code in ("not_found", "invalid_argument"), "no such container any more", code)
    if not await _ended(kata, "DestroySandbox"):
        await kata.target.make_sandbox()
        await (await kata.run()).check_alive()


@CASES.add(
    "sandbox.destroy-meets-create",
    title="A create that is pending while the sandbox is destroyed leaves nothing",
    does="destroys the sandbox with a create under way, looks for the container, and makes it anew in a new sandbox",
    expects="the create is done or refused, soon; no container is left, and the id can be used again; or an agent that ends",
    why="agent-semantics 6.1 (10): a sandbox stopped while a create is pending",
    destructive=True,
)
async def destroy_meets_create(kata: Kata) -> None:
    for pause in (0.0, 0.01):
        container = kata.container_of(kata.fresh())
        ended = False
        with quick("a create and the destroy that meets it are answered"):
            async with kata.together() as nursery:
                nursery.start_soon(_create, kata, container.id)
                await kata.pass_time(pause)
                ended = await _ended(kata, "DestroySandbox")
        if ended:
            return
        code = await kata.code("SignalProcess", container_id=container.id, signal=9)
        check(code in ("not_found", "invalid_argument"), "no such container any more", code)
        await kata.target.make_sandbox()
        again = await kata.create(kata.spec(), named=container.id)
        await again.start()
        await again.check_alive()


async def _create(kata: Kata, name: str) -> None:
    """Done, or refused; whether the agent has ended, the destroy beside it finds out."""
    try:
        await kata.call("CreateContainer", container_id=name, exec_id=name, OCI=kata.spec())
    except KatrioError as error:
        if is_loss(error) and kata.target.spoken is not Spoken.TTRPC:
            raise


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
