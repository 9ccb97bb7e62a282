"""CreateSandbox and DestroySandbox: one sandbox per guest, created once and destroyed idempotently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal, is_loss
from actors.conformance.together import OK
from actors.errors import AgentProtocolError, KatrioError, Unsupported

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()

# time for an agent that exits with its sandbox, from its reply to the destroy
ENDED_SECONDS = 0.5


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
    with kata.refused("a second sandbox", "already_exists", go_on=True):
        await kata.call("CreateSandbox", sandbox_id=kata.fresh("sandbox"), hostname="second")
    await container.check_alive()


@CASES.add(
    "sandbox.destroy-ends-containers",
    title="With the sandbox its containers end, and a second destroy is no error",
    does="destroys the sandbox with a running container in it, looks for the container, destroys again",
    expects="an agent that ends, as today's does; or ok, no container left, a second destroy that is ok too, and a new sandbox",
    why="agent-semantics 6.1 (12): the Rust agent's second destroy is INTERNAL; today's agent exits with its sandbox",
    destructive=True,
    ends=True,
)
async def destroy(kata: Kata) -> None:
    container = await kata.run()
    await container.check_alive()
    if await _ended_with_sandbox(kata):
        return
    await _check_gone(kata, container.id)
    with kata.done("a second destroy"):
        await kata.call("DestroySandbox")
    await kata.target.make_sandbox()
    await (await kata.run()).check_alive()


@CASES.add(
    "sandbox.destroy-meets-create",
    title="A create that is pending while the sandbox is destroyed leaves nothing",
    does="destroys the sandbox with a create under way, looks for the container, and makes it anew in a new sandbox",
    expects="the create is done or refused, soon; then an agent that ends, or no container left, and an id that can be used again",
    why="agent-semantics 6.1 (10): a sandbox stopped while a create is pending",
    destructive=True,
    ends=True,
)
async def destroy_meets_create(kata: Kata) -> None:
    # the create must reach the agent before the destroy
    for pause in (0.002, 0.01):
        container = kata.container_of(kata.fresh())
        with kata.quick("a create and the destroy that meets it are answered"):
            async with kata.together() as nursery:
                nursery.start_soon(_create, kata, container.id)
                await kata.pass_time(pause)
                await _ended_with_sandbox(kata)
        if kata.agent_ended:
            return
        await _check_gone(kata, container.id)
        await kata.target.make_sandbox()
        again = await kata.create(kata.spec(), named=container.id)
        await again.start()
        await again.check_alive()


async def _create(kata: Kata, name: str) -> None:
    """It succeeds or is refused; whether the agent has ended is detected by the concurrent destroy."""
    try:
        await kata.call("CreateContainer", container_id=name, exec_id=name, OCI=kata.spec())
    except KatrioError as error:
        if isinstance(error, AgentProtocolError):
            raise


async def _check_gone(kata: Kata, container: str) -> None:
    """Raises: FallsShort."""
    code = await kata.code("SignalProcess", container_id=container, signal=9)
    check(code != OK, "no such container any more", "a signal to it was sent")
    kata.check_code("a signal in a container that went with its sandbox", code, "not_found", "invalid_transition")


async def _ended_with_sandbox(kata: Kata) -> bool:
    """Destroy the sandbox; whether the agent exits with it, after its reply or instead of one. Raises: KatrioError."""
    try:
        await kata.call("DestroySandbox")
        await kata.pass_time(ENDED_SECONDS)
        await kata.call("Check", link=await kata.open_link())
    except KatrioError as error:
        if not is_loss(error) or await _answers(kata):
            raise
        kata.agent_ended = True
    return kata.agent_ended


async def _answers(kata: Kata) -> bool:
    try:
        await kata.target.check_alive()
    except KatrioError:
        return False
    return True
