"""Races: two calls of a kind, an end and a call, a freeze and a kill. Either may win, but exactly one must."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal, is_loss
from actors.conformance.kata_container import Process
from actors.conformance.together import OK, at_once, outcome
from actors.errors import KatrioError

if TYPE_CHECKING:
    from actors.agents.kata.rpclink import RpcLink
    from actors.conformance.kata import Kata
    from actors.conformance.kata_container import Container

__all__ = ["CASES"]

CASES = Cases()

SIGTERM, SIGKILL = 15, 9
KILLED = 137
LOOP = "while true; do sleep 0.1; done"
# for calls that return at once, on an agent that is busy with many others
SOON = 8.0
# delay between two calls that should reach the agent in this order
AT_ONCE_SECONDS = 0.002


def _check_one(kata: Kata, outcomes: list[str], what: str, code: str) -> None:
    """Exactly one succeeds. Raises: FallsShort."""
    equal(outcomes.count(OK), 1, "calls that are done:")
    for each in outcomes:
        if each != OK:
            kata.check_code(what, each, code)


@CASES.add(
    "race.creates",
    title="Of two creates of one id exactly one is done, and what it made runs",
    does="creates a container twice at once, then starts it",
    expects="one ok, the other refused with already_exists; the container starts and runs an exec",
    why="agent-semantics 6.1 (3): the loser's roll-back in the Rust agent kills the winner",
)
async def creates(kata: Kata) -> None:
    container = kata.container_of(kata.fresh())
    one = partial(kata.call, "CreateContainer", container_id=container.id, exec_id=container.id, OCI=kata.spec())
    _check_one(kata, await at_once(one, one), "the other create of one id", "already_exists")
    await container.start()
    await container.check_alive()


@CASES.add(
    "race.create-cut",
    title="A create whose client goes away leaves nothing that can't be removed",
    does="cuts the link while a create is under way, removes what may be there, and creates the id again",
    expects="within 10 s the id can be created, started and used",
    why="agent-semantics 6.1 (5): ttrpc-rust drops the handler; the child stays on exec.fifo and the directory with it",
)
async def create_cut(kata: Kata) -> None:
    for pause in (0.0, 0.01):
        container = kata.container_of(kata.fresh())
        link = await kata.open_link()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_cut, kata, link, container.id)
            await kata.pass_time(pause)
            await link.disconnect()
        with kata.quick(f"the id of a create that was cut after {pause:g} s is free again", 10.0):
            await _made_anew(kata, container)
        await container.start()
        await container.check_alive()


async def _until_cut(kata: Kata, link: RpcLink, container: str) -> None:
    try:
        await kata.call("CreateContainer", link=link, container_id=container, exec_id=container, OCI=kata.spec())
    except KatrioError:
        # the link was cut on purpose
        return


async def _made_anew(kata: Kata, container: Container) -> None:
    """Wait until leftovers of the cut create are gone, and the id can be created."""
    again = partial(kata.call, "CreateContainer", container_id=container.id, exec_id=container.id, OCI=kata.spec())
    while await outcome(container.remove()) == OK or await outcome(again()) != OK:  # no agent reports when
        await kata.pass_time(0.2)


@CASES.add(
    "race.exit-meets-kill",
    title="A process that ends as it is killed has one exit code",
    does="kills shells that exit with 7 at about the same moment, and waits for each twice",
    expects="7 or 137, and no other the second time",
    why="agent-semantics 6.1 (8): kata runtime #1088, #1600: exit, status and teardown in the wrong order",
)
async def exit_meets_kill(kata: Kata) -> None:
    container = await kata.run()
    for tenths in (0, 1, 2):
        process = await container.spawn(f"sleep 0.{tenths}; exit 7")
        await kata.pass_time(tenths / 10)
        # for an ended process it is a no-op, or refused by some
        await outcome(process.signal(SIGKILL))
        code = await process.wait()
        check(code in (7, KILLED), f"exit code 7 or {KILLED}", code)
        await process.still_tells(code)


@CASES.add(
    "race.removes",
    title="Of two removes at once one is done, and the id is free",
    does="removes a running container twice at once, then makes another of its id",
    expects="one ok, the other ok or refused with not_found; the id can be used again",
    why="agent-semantics 6.1 (9): a delete in progress is waited for or refused, never half done",
)
async def removes(kata: Kata) -> None:
    container = await kata.run()
    outcomes = await at_once(container.remove, container.remove)
    check(OK in outcomes, "at least one ok", outcomes)
    for code in outcomes:
        if code != OK:
            kata.check_code("the other remove", code, "not_found")
    again = await kata.create(kata.spec(), named=container.id)
    await again.start()
    await again.check_alive()


@CASES.add(
    "race.last-removed",
    title="A container made while another is removed is unharmed",
    does="removes one container while another is created, then starts the new one",
    expects="both ok; the new one runs an exec",
    why="agent-semantics 6.1 (14): the sandbox must not be torn down under the new one",
)
async def last_removed(kata: Kata) -> None:
    old = await kata.run()
    new = kata.container_of(kata.fresh())
    create = partial(kata.call, "CreateContainer", container_id=new.id, exec_id=new.id, OCI=kata.spec())
    equal(await at_once(old.remove, create), [OK, OK], "outcomes")
    await new.start()
    await new.check_alive()


@CASES.add(
    "race.exec-of-paused",
    title="An exec into a paused container holds nobody up",
    does="execs into a paused container; meanwhile starts another container and runs an exec in it",
    expects="the other is made and answers within 8 s",
    why="agent-semantics 6.2 (17): the child is born frozen while its parent waits for it under the agent's lock",
    risky=True,
)
async def exec_of_paused(kata: Kata) -> None:
    frozen, other = await kata.run(), await kata.run()
    await frozen.pause()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outcome, frozen.exec("true"))
        await kata.pass_time(0.1)
        with kata.quick("a neighbour of a paused container answers", SOON):
            await other.check_alive()
            await frozen.resume()
        nursery.cancel_scope.cancel()


@CASES.add(
    "race.pause-meets-exec",
    title="An exec that meets a pause runs, or is refused",
    does="pauses a container and execs into it at once, once with the one first and once with the other, and resumes it",
    expects="the pause is ok, and so is the resume, be the exec answered or not; the exec is refused, or its output comes after the resume",
    why="agent-semantics 6.2 (21): as with an exec into a paused container",
    risky=True,
)
async def pause_meets_exec(kata: Kata) -> None:
    container = await kata.run()
    for order in (True, False):
        await _pause_meets_exec(kata, container, pause_first=order)
    await container.check_alive()


async def _pause_meets_exec(kata: Kata, container: Container, *, pause_first: bool) -> None:
    name = kata.fresh("ex")
    codes: list[str] = []
    paused = trio.Event()

    async def pause() -> None:
        await container.pause()
        paused.set()

    async def execute() -> None:
        codes.append(await outcome(container.exec("echo", "ran", named=name)))

    async with trio.open_nursery() as nursery:
        for ask in (pause, execute) if pause_first else (execute, pause):
            nursery.start_soon(ask)
            # sent, and usually not answered yet
            await kata.pass_time(AT_ONCE_SECONDS)
        await paused.wait()
        with kata.quick("a resume beside the exec is answered"):
            await container.resume()
        await kata.comes("an exec that met a pause is answered after the resume", codes)
    if codes == [OK]:
        equal(await Process(kata, container.id, name).rest(), b"ran\n", "the exec's output is")


@CASES.add(
    "race.kill-all-of-paused",
    title="SIGKILL to all of a paused container ends it, and it is paused no more",
    does="pauses a container with two processes, kills all, waits for both, and resumes it",
    expects="137 for both within 8 s; the resume is refused",
    why="agent-semantics 6.2 (18): the Rust agent's state stays paused, and a resume works on corpses",
    needs=("cgroups",),
)
async def kill_all_of_paused(kata: Kata) -> None:
    container = await kata.shell(LOOP)
    other = await container.spawn(LOOP)
    await container.pause()
    await container.kill_all()
    with kata.quick("both processes have ended", SOON):
        equal([await container.init.wait(), await other.wait()], [KILLED, KILLED], "exit codes")
    with kata.refused("a resume of what has ended"):
        await container.resume()


@CASES.add(
    "race.resume-meets-kill",
    title="A resume that meets a kill does not bring anything back",
    does="resumes a paused container and kills all of it at once, and execs into it afterwards",
    expects="the kill is ok, wait tells 137, and the container stays ended: the exec is refused",
    why="agent-semantics 6.2 (19): stopped wins",
)
async def resume_meets_kill(kata: Kata) -> None:
    container = await kata.shell(LOOP)
    await container.pause()
    outcomes = await at_once(container.resume, container.kill_all)
    equal(outcomes[1], OK, "the kill is")
    with kata.quick("its end is told", SOON):
        equal(await container.init.wait(), KILLED, "exit code")
    with kata.refused("an exec into what has ended"):
        await container.exec("true")


@CASES.add(
    "race.kill-all-cut",
    title="A kill of all whose client goes away is carried through",
    does="cuts the link while SIGKILL to all of a paused container is under way",
    expects="its init has ended within 8 s, and the container can be removed",
    why="agent-semantics 6.2 (20): a handler dropped between freeze and thaw leaves the group frozen",
)
async def kill_all_cut(kata: Kata) -> None:
    container = await kata.shell(LOOP)
    await container.pause()
    link = await kata.open_link()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_kill_until_cut, kata, link, container.id)
        await kata.pass_time(0.005)
        await link.disconnect()
    # the call may or may not have been sent before the cut: this one certainly is; some refuse it for an ended process
    await outcome(container.kill_all())
    with kata.quick("its end is told", SOON):
        equal(await container.init.wait(), KILLED, "exit code")
    await container.remove()


async def _kill_until_cut(kata: Kata, link: RpcLink, container: str) -> None:
    try:
        await kata.call("SignalProcess", link=link, container_id=container, exec_id="", signal=SIGKILL)
    except KatrioError:
        # the link was cut on purpose
        return


@CASES.add(
    "race.execs",
    title="Of two execs of one id exactly one runs, and its output is its own",
    does="execs twice at once under one id",
    expects="one ok, the other refused with already_exists; one word of output",
    why="agent-semantics 6.3 (26): the first was overwritten in silence until kata-agent 5f08cc75b3",
)
async def execs(kata: Kata) -> None:
    container = await kata.run()
    name = kata.fresh("ex")
    one = partial(container.exec, "echo", "word", named=name)
    _check_one(kata, await at_once(one, one), "the other exec of one id", "already_exists")
    equal(await Process(kata, container.id, name).rest(), b"word\n", "its output is")


@CASES.add(
    "race.exec-meets-remove",
    title="An exec that meets a remove is refused, or ends with its container",
    does="execs into a container and removes it at once",
    expects="the remove is ok; afterwards the container is unknown, and its id is free",
    why="agent-semantics 6.3 (39): kata-containers #5366, #4359: processes are left behind",
)
async def exec_meets_remove(kata: Kata) -> None:
    container = await kata.run()
    outcomes = await at_once(partial(container.exec, "sleep", "1000"), container.remove)
    equal(outcomes[1], OK, "the remove is")
    with kata.refused("an exec afterwards"):
        await container.exec("true")
    again = await kata.create(kata.spec(), named=container.id)
    await again.start()
    await again.check_alive()


@CASES.add(
    "race.stats-meet-kill",
    title="Counting does not delay a kill",
    does="asks for stats and processes again and again while a container is killed and removed",
    expects="killed and removed within 8 s",
    why="agent-semantics 6.5 (65): kata-containers #13452: a slow read of a control group blocked the kill",
)
async def stats_meet_kill(kata: Kata) -> None:
    container = await kata.shell(LOOP)

    async def count() -> None:
        while True:
            try:
                await kata.call("StatsContainer", container_id=container.id)
            except KatrioError as error:
                if is_loss(error):
                    raise
                # the container may end meanwhile, or have no counters: only the kill matters
                await kata.pass_time(0.02)
            await kata.pass_time(0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await kata.pass_time(0.05)
        with kata.quick("a container that is being counted is killed and removed", SOON):
            await container.kill_all()
            equal(await container.init.wait(), KILLED, "exit code")
            await container.remove()
        nursery.cancel_scope.cancel()
