"""The edges of the agent interface, states and signals: one body for each situation, over the whole path, on real containers.

The situations are those on which the known implementations of the interface differ (virtcontainers, Kata 1.x, today's
Go and Rust); each body's name is the situation, and what it asserts is our contract, as docs/agent-interface.md says.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import AlreadyExists, InvalidArgument, InvalidTransition, NotFound
from actors.wire.spec import ProcessSpec
from actors.words import AgentType
from tests.support.boxes import ENGINES, SLEEP, TICK, Room, a_room, code_of, in_state, refused, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

# signals


async def signal_to_ready(room: Room) -> None:
    one = await room.created()
    assert (await one.signal(signal.SIGKILL)).processes == 1
    assert await code_of(one) == 137
    assert (await one.info()).state == "stopped"
    async with refused("invalid_transition", "stopped"):
        await one.start()


async def signal_to_paused(room: Room) -> None:
    one = await room.running("sh", "-c", f"trap 'exit 3' USR1; echo up; {TICK}")
    await until(one.init, b"up\n")
    await one.pause()
    await one.signal(signal.SIGUSR1)
    # it stands still and keeps the signal for later
    with trio.move_on_after(0.3):
        await one.init.wait()
    assert await room.frozen(one) == "frozen"
    await one.resume()
    assert await code_of(one) == 3
    other = await room.running(name="other")
    await other.pause()
    await other.signal(signal.SIGKILL)
    assert await code_of(other) == 137
    assert (await other.info()).state == "stopped"


async def signal_to_stopped(room: Room) -> None:
    one = await room.running("true")
    assert await code_of(one) == 0
    for ending in (signal.SIGTERM, signal.SIGKILL):
        assert (await one.signal(ending)).processes == 0
    async with refused("invalid_transition", "stopped"):
        await one.signal(signal.SIGUSR1, all_processes=True)


async def signal_to_an_unknown_container(room: Room) -> None:
    for number in (signal.SIGKILL, signal.SIGUSR1):
        async with refused("not_found"):
            await room.box.container("nobody").signal(number)


async def signal_to_an_exec_that_never_started(room: Room) -> None:
    one = await room.running()
    async with refused("not_found"):
        await one.process("never").signal(signal.SIGKILL)
    async with refused("invalid_argument"):
        await one.exec("missing", ProcessSpec(args=("nosuchprogram",)))
    async with refused("not_found"):
        await one.process("missing").signal(signal.SIGKILL)
    assert (await one.info()).state == "running", "it never falls back to the init"


async def signal_to_all_that_is_not_kill(room: Room) -> None:
    # the end of an init would take the others along
    one = await room.running("sh", "-c", f"trap 'echo got' USR1; echo up; {TICK}")
    exits = ("sh", "-c", f"trap 'exit 5' USR1; echo up; {TICK}")
    execs = [await one.exec(f"e{number}", ProcessSpec(args=exits)) for number in range(2)]
    for process in (one.init, *execs):
        await until(process, b"up\n")
    assert (await one.signal(signal.SIGUSR1, all_processes=True)).processes == 3
    assert [(await process.wait()).code for process in execs] == [5, 5]
    await until(one.init, b"got\n")


async def signal_to_one_is_not_to_all(room: Room) -> None:
    one = await room.running()
    other = await one.exec("e1", ProcessSpec(args=SLEEP))
    assert (await other.signal(signal.SIGKILL)).processes == 1
    assert (await other.wait()).code == 137
    assert (await one.info()).state == "running"


async def sigterm_to_an_init_without_handler(room: Room) -> None:
    one = await room.running()
    await one.signal(signal.SIGTERM)
    assert await code_of(one) == 137
    deaf = await room.running("sh", "-c", f"trap '' TERM; echo up; {TICK}", name="deaf")
    await until(deaf.init, b"up\n")
    await deaf.signal(signal.SIGTERM)
    with trio.move_on_after(0.3):
        await deaf.init.wait()
    assert (await deaf.info()).state == "running"
    assert (await deaf.stop(grace=0.2)).code == 137


async def exit_code_by_signal(room: Room) -> None:
    one = await room.running()
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGKILL):
        process = await one.exec(f"e{number.value}", ProcessSpec(args=SLEEP))
        await process.signal(number)
        assert (await process.wait()).code == 128 + number


# stop and delete


async def stop_graceful(room: Room) -> None:
    polite = await room.running("sh", "-c", f"trap 'exit 4' TERM; echo up; {TICK}")
    deaf = await room.running("sh", "-c", f"trap '' TERM; echo up; {TICK}", name="deaf")
    for container in (polite, deaf):
        await until(container.init, b"up\n")
    assert (await polite.stop()).code == 4
    began = trio.current_time()
    assert (await deaf.stop(grace=0.5)).code == 137
    assert trio.current_time() - began >= 0.5


async def stop_forced(room: Room) -> None:
    one = await room.running("sh", "-c", f"trap '' TERM; echo up; {TICK}")
    await one.exec("e1", ProcessSpec(args=SLEEP))
    assert (await one.stop(grace=0, force=True)).code == 137
    assert (await one.info()).state == "stopped"


async def stop_of_stopped(room: Room) -> None:
    one = await room.running("sh", "-c", "exit 6")
    assert await code_of(one) == 6
    assert [(await one.stop()).code for _ in range(3)] == [6, 6, 6]


async def stop_of_paused(room: Room) -> None:
    one = await room.running()
    await one.pause()
    assert (await one.stop()).code == 137


async def delete_running(room: Room) -> None:
    one = await room.running()
    async with refused("invalid_transition", "running"):
        await one.delete()
    await one.delete(force=True)
    assert (await room.box.info()).children == ()
    # its name is free
    await room.running()


async def delete_missing_forced(room: Room) -> None:
    async with refused("not_found"):
        await room.box.container("nobody").delete()
    await room.box.container("nobody").delete(force=True)


# pause and resume


async def pause_of_what_does_not_run(room: Room) -> None:
    one = await room.created()
    async with refused("invalid_transition", "ready"):
        await one.pause()
    assert (await one.info()).state == "ready"
    await one.start()
    await one.pause()
    async with refused("invalid_transition", "paused"):
        await one.pause()
    await one.stop()
    async with refused("invalid_transition", "stopped"):
        await one.pause()


async def resume_of_what_is_not_paused(room: Room) -> None:
    one = await room.created()
    async with refused("invalid_transition", "ready"):
        await one.resume()
    await one.start()
    async with refused("invalid_transition", "running"):
        await one.resume()


async def exec_into_paused(room: Room) -> None:
    one = await room.running()
    await one.pause()
    began = trio.current_time()
    async with refused("invalid_transition", "paused"):
        await one.exec("e1", ProcessSpec(args=("true",)))
    assert trio.current_time() - began < 5, "at once"
    await one.resume()
    assert (await (await one.exec("e1", ProcessSpec(args=("true",)))).wait()).code == 0, "the id was not taken"


async def exec_into_stopped(room: Room) -> None:
    one = await room.running("true")
    await code_of(one)
    async with refused("invalid_transition", "stopped"):
        await one.exec("e1", ProcessSpec(args=("true",)))


async def exec_before_start(room: Room) -> None:
    one = await room.created()
    done = await (await one.exec("e1", ProcessSpec(args=("sh", "-c", "echo early; exit 2")))).collect()
    assert (done.code, done.stdout) == (2, b"early\n")
    await one.start()
    assert (await one.info()).state == "running"


# lifecycle


async def start_twice(room: Room) -> None:
    one = await room.created()
    outcomes: list[str] = []

    async def start() -> None:
        try:
            await one.start()
            outcomes.append("started")
        except InvalidTransition:
            outcomes.append("invalid_transition")

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(start)
    assert sorted(outcomes) == ["invalid_transition", "invalid_transition", "started"]


async def start_of_stopped(room: Room) -> None:
    one = await room.running("true")
    await code_of(one)
    with pytest.raises(InvalidTransition, match="create it again"):
        await one.start()


async def the_same_exec_id_twice(room: Room) -> None:
    one = await room.running()
    first = await one.exec("e1", ProcessSpec(args=SLEEP))
    with pytest.raises(AlreadyExists):
        await one.exec("e1", ProcessSpec(args=("true",)))
    await first.signal(signal.SIGKILL)
    assert (await first.wait()).code == 137, "the first is unharmed"


async def the_same_container_id_twice(room: Room) -> None:
    one = await room.running()
    with pytest.raises(AlreadyExists):
        await room.created()
    assert (await one.info()).state == "running"
    await one.exec("e1", ProcessSpec(args=("true",)))


async def waits_and_signals_go_beside_a_stop(room: Room) -> None:
    one = await room.running("sh", "-c", f"trap '' TERM; trap 'exit 7' USR2; echo up; {TICK}")
    await until(one.init, b"up\n")
    async with trio.open_nursery() as nursery:
        codes: list[int | None] = []

        async def stop() -> None:
            codes.append((await one.stop(grace=30)).code)

        nursery.start_soon(stop)
        await in_state(one, "stopping")
        await one.signal(signal.SIGUSR2)
        assert await code_of(one) == 7
    assert codes == [7]


async def an_id_that_could_be_a_path(room: Room) -> None:
    for name in ("..", "a/b", ".hidden", "a\0b", "x" * 4096, "\u0430dmin"):
        with pytest.raises((InvalidArgument, NotFound)):
            await room.created(name=name)
    assert (await room.box.info()).children == ()


BODIES: tuple[Callable[[Room], Awaitable[None]], ...] = (
    signal_to_ready,
    signal_to_paused,
    signal_to_stopped,
    signal_to_an_unknown_container,
    signal_to_an_exec_that_never_started,
    signal_to_all_that_is_not_kill,
    signal_to_one_is_not_to_all,
    sigterm_to_an_init_without_handler,
    exit_code_by_signal,
    stop_graceful,
    stop_forced,
    stop_of_stopped,
    stop_of_paused,
    delete_running,
    delete_missing_forced,
    pause_of_what_does_not_run,
    resume_of_what_is_not_paused,
    exec_into_paused,
    exec_into_stopped,
    exec_before_start,
    start_twice,
    start_of_stopped,
    the_same_exec_id_twice,
    the_same_container_id_twice,
    waits_and_signals_go_beside_a_stop,
    an_id_that_could_be_a_path,
)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
@pytest.mark.parametrize("engine", ENGINES)
async def test_an_edge(engine: str, body: Callable[[Room], Awaitable[None]], tmp_path: Path) -> None:
    async with a_room(engine, tmp_path) as room:
        await body(room)


def test_an_unknown_agent_is_refused_and_never_taken_for_noop() -> None:
    for word in ("hyperstart2", "Kata", " kata", ""):
        with pytest.raises(InvalidArgument, match="unknown agent type"):
            AgentType.parse(word)
