"""System, sandbox and container actors, whole, over the in-memory transport and a scripted guest, in virtual time."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import (
    AgentError,
    AlreadyExists,
    Busy,
    CallerCancelled,
    GuestDied,
    InvalidArgument,
    InvalidTransition,
    KatrioError,
    NotFound,
    OutcomeUnknown,
)
from actors.limits import DEFAULT_LIMITS
from actors.mailbox.client import WATERMARK_EVERY
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.agents import ScriptedGuest, scripted_system

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.handles import ContainerHandle, SandboxHandle

SH = ProcessSpec(args=("sh",))
SPEC = ContainerSpec(process=SH)
LIMITS = DEFAULT_LIMITS


@asynccontextmanager
async def a_sandbox(guest: ScriptedGuest) -> AsyncGenerator[SandboxHandle]:
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        await box.start()
        yield box


async def running(box: SandboxHandle, name: str, spec: ContainerSpec = SPEC) -> ContainerHandle:
    container = await box.create_container(name, spec)
    await container.start()
    return container


async def test_one_container_pauses_and_its_neighbour_goes_on(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        still, going = await running(box, "still"), await running(box, "going")
        assert guest.connections == 3, "the sandbox and each container have a connection of their own"
        await still.pause()
        assert (await still.info()).state == "paused"
        assert (await going.info()).state == "running"
        await going.exec("e1", SH)
        await still.resume()
        assert (await still.info()).state == "running"
        assert (await box.info()).children == ("still", "going")


async def test_exec_into_a_paused_container_is_refused_before_the_agent_is_asked(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        still = await running(box, "still")
        await still.pause()
        with pytest.raises(InvalidTransition, match="resume it first") as caught:
            await still.exec("e1", SH)
        assert caught.value.details == {"state": "paused", "verb": "exec"}
        assert guest.calls["exec_process"] == 0


@pytest.mark.parametrize(
    ("verb", "state"),
    [("pause", "ready"), ("resume", "running"), ("start", "running"), ("delete", "running"), ("delete", "paused")],
)
async def test_a_verb_out_of_turn_is_refused(verb: str, state: str, autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        container = await box.create_container("one", SPEC)
        if state != "ready":
            await container.start()
        if state == "paused":
            await container.pause()
        with pytest.raises(InvalidTransition) as caught:
            await getattr(container, verb)()
        assert caught.value.details["state"] == state


async def test_the_same_id_twice_at_once_makes_one_container(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    outcomes: list[str] = []
    async with a_sandbox(guest) as box:

        async def create() -> None:
            try:
                await box.create_container("one", SPEC)
                outcomes.append("made")
            except AlreadyExists:
                outcomes.append("already_exists")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(create)
            nursery.start_soon(create)
    assert sorted(outcomes) == ["already_exists", "made"]
    assert guest.calls["create_container"] == 1


async def test_a_failed_create_leaves_its_id_free(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"create_container": AgentError("no space")})
    async with a_sandbox(guest) as box:
        with pytest.raises(AgentError, match="no space"):
            await box.create_container("one", SPEC)
        assert guest.connections == 1
        del guest.failures["create_container"]
        await box.create_container("one", SPEC)


async def test_a_create_of_unknown_outcome_is_undone_in_the_guest(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"create_container": OutcomeUnknown("the link broke")})
    async with a_sandbox(guest) as box:
        with pytest.raises(OutcomeUnknown):
            await box.create_container("one", SPEC)
        assert guest.calls["remove_container"] == 1


@pytest.mark.parametrize("name", ["", "a", "../x", "a/b", "a\0b", "-ab", "\uff41b", "x" * 65])
async def test_an_id_that_is_no_id_is_refused(name: str, autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        with pytest.raises(InvalidArgument) as caught:
            await box.create_container(name, SPEC)
        assert caught.value.details["field"] == "id"


async def test_stop_is_polite_first_and_kills_after_the_grace(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        stubborn = await running(box, "stubborn")
        guest.init("stubborn").ignores = frozenset({signal.SIGTERM})
        began = trio.current_time()
        assert (await stubborn.stop(grace=3)).code == 137
        assert trio.current_time() - began == pytest.approx(3)
        polite = await running(box, "polite")
        began = trio.current_time()
        assert (await polite.stop(grace=3)).code == 143
        assert trio.current_time() - began == pytest.approx(0)
        assert (await polite.stop()).code == 143, "stop of a stopped one is no error"
        assert guest.calls["remove_container"] == 2


async def test_stop_of_a_paused_one_kills_it_at_once(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        still = await running(box, "still")
        await still.pause()
        assert (await still.stop(grace=5)).code == 137
        assert guest.calls["signal_process"] == 0


async def test_a_deleted_container_is_forgotten_and_its_id_is_free(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        await one.stop()
        await one.delete()
        with pytest.raises(NotFound):
            await one.info()
        assert (await box.info()).children == ()
        await running(box, "one")
        await trio.testing.wait_all_tasks_blocked()
        assert guest.connections == 2


async def test_a_stuck_exec_delays_neither_the_neighbour_nor_a_stop(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={"exec_process stuck": trio.Event()})
    async with a_sandbox(guest) as box:
        stuck, going = await running(box, "stuck"), await running(box, "going")
        ended: list[str] = []

        async def exec_forever() -> None:
            try:
                await stuck.exec("e1", SH)
            except KatrioError as error:
                ended.append(error.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(exec_forever)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            await going.exec("e1", SH)
            assert (await stuck.stop()).code == 143
            assert trio.current_time() - began < 1.5
        assert ended == ["unknown"]


async def test_every_waiter_gets_the_same_code_late_ones_and_after_cancelled_ones_too(
    autojump_clock: MockClock,
) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        codes: list[int] = []

        async def wait() -> None:
            codes.append((await one.init.wait()).code)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(wait)
            with trio.move_on_after(1):
                await one.init.wait()
            guest.init("one").exit(7)
        assert codes == [7] * 5
        assert (await one.init.wait()).code == 7
        assert (await one.info()).state == "stopped"


async def test_the_exit_is_told_after_the_output_is_complete(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        process = guest.init("one")
        for _ in range(10):
            process.write(b"x" * 1000)
        process.exit(0)
        assert (await one.init.wait()).code == 0
        completed = await one.init.collect()
        assert completed.stdout == b"x" * 10_000
        assert completed.lost == 0


async def test_a_grandchild_that_holds_the_pipe_delays_the_exit_by_the_grace_alone(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        process = guest.init("one")
        process.write(b"early")
        process.exit(3, holds_output=True)
        began = trio.current_time()
        assert (await one.init.wait()).code == 3
        assert trio.current_time() - began == pytest.approx(LIMITS.drain_grace_seconds)
        assert (await one.init.collect()).stdout == b"early"


async def test_nobody_reads_and_wait_does_not_hang(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        process = guest.init("one")
        for _ in range(40):
            process.write(b"x" * 100_000)
        process.exit(0)
        assert (await one.init.wait()).code == 0
        completed = await one.init.collect()
        assert len(completed.stdout) == LIMITS.unread_output_bytes
        assert completed.lost == 4_000_000 - LIMITS.unread_output_bytes


async def test_a_second_reader_is_told_busy(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        guest.init("one").write(b"hello")
        async with one.init.open_stdout() as parts:
            async for part in parts:
                assert part.data == b"hello"
                break
            with pytest.raises(Busy):
                await one.init.collect()


async def test_a_reader_that_leaves_in_mid_stream_takes_nothing_from_the_next(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        process = guest.init("one")
        whole = bytes(range(250)) * 4000
        for at in range(0, len(whole), 100_000):
            process.write(whole[at : at + 100_000])
        process.exit(0)
        async with one.init.open_stdout():
            # it takes none: the server stands with a part in its hand, and no room for it
            await trio.testing.wait_all_tasks_blocked()
        async with one.init.open_stdout() as parts:
            found = [part async for part in parts]
        assert found[0].offset <= LIMITS.stream_window_bytes
        assert b"".join(part.data for part in found) == whole[found[0].offset :]
        assert not any(part.gap for part in found)


async def test_the_guest_dies_and_everybody_is_told_at_once(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        failures: list[str] = []

        async def wait() -> None:
            try:
                await one.init.wait()
            except GuestDied as error:
                failures.append(error.code)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            guest.die()
        assert failures == ["guest_died"] * 20
        assert trio.current_time() - began < 1
        assert (await one.info()).state == "lost"
        assert (await box.info()).state == "lost"
        for late in (one.stats, one.pause, one.stop, one.list_processes, box.check, box.start):
            with pytest.raises(GuestDied) as caught:
                await late()
            assert caught.value.details["state"] == "lost", late
        with pytest.raises(GuestDied, match="create it again") as caught:
            await box.create_container("two", SPEC)
        assert caught.value.details == {"state": "lost", "verb": "create_container"}
        await one.delete()
        await box.stop()
        await box.delete()


async def test_a_cancelled_system_still_keeps_the_stop_order(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    with trio.CancelScope() as scope:
        async with a_sandbox(guest) as box:
            await running(box, "one")
            guest.log.clear()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert guest.log == ["signal_process one", "remove_container one", "destroy_sandbox", "guest ended"]
    assert guest.connections == 0


async def test_an_error_of_the_body_comes_out_as_itself(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError):
        async with a_sandbox(ScriptedGuest()):
            raise KeyError("mine")


async def test_a_caller_that_gives_up_does_not_stop_what_changes_state(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={"start_container one": trio.Event()})
    async with a_sandbox(guest) as box:
        one = await box.create_container("one", SPEC)
        with pytest.raises(OutcomeUnknown):
            await one.start(timeout=2)
        assert (await one.info()).state == "starting"
        guest.gates["start_container one"].set()
        await trio.testing.wait_all_tasks_blocked()
        assert (await one.info()).state == "running"


async def test_a_verb_that_never_ends_is_bounded_and_its_outcome_unknown(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={"pause_container one": trio.Event()})
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        began = trio.current_time()
        with pytest.raises(OutcomeUnknown):
            await one.pause(timeout=None)
        assert trio.current_time() - began == pytest.approx(LIMITS.mutate_seconds)


async def test_signals_reach_one_process_or_all_of_them(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        await one.exec("e1", SH)
        assert (await one.signal(signal.SIGUSR1)).processes == 1
        assert (await one.signal(signal.SIGUSR2, all_processes=True)).processes == 2
        assert guest.init("one").signals == [signal.SIGUSR1, signal.SIGUSR2]
        assert guest.processes["one", "e1"].signals == [signal.SIGUSR2]
        assert (await one.signal(signal.SIGKILL, all_processes=True)).processes == 2
        assert (await one.init.wait()).code == 137
        assert (await one.signal(signal.SIGTERM)).processes == 0, "asking a dead one to end is no error"
        with pytest.raises(InvalidArgument, match="expected 1 to 64"):
            await one.signal(99)


async def test_winsize_needs_a_terminal_and_a_plausible_size(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        plain = await running(box, "plain")
        with pytest.raises(InvalidTransition, match="no terminal"):
            await plain.init.winsize(24, 80)
        tty = await running(box, "tty", ContainerSpec(process=ProcessSpec(args=("sh",), tty=True)))
        await tty.init.winsize(40, 120)
        size = guest.init("tty").size
        assert size is not None
        assert (size.rows, size.columns) == (40, 120)
        with pytest.raises(InvalidArgument, match="1 to 65535"):
            await tty.init.winsize(0, 80)


async def test_input_is_written_in_order_and_closed_once(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        data = bytes(range(256)) * 1000
        assert await one.init.write(data) == len(data)
        await one.init.close_stdin()
        await one.init.close_stdin()
        assert bytes(guest.init("one").input) == data
        assert guest.init("one").input_closed


async def test_an_unknown_verb_names_the_nearest(autojump_clock: MockClock) -> None:
    async with a_sandbox(ScriptedGuest()) as box:
        with pytest.raises(InvalidArgument, match="did you mean 'start'"):
            await box.client.ask("box", "strat", {}, dict)


async def test_a_guest_that_does_not_come_up_is_one_plain_error_and_leaves_nothing(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"create_sandbox": AgentError("no kernel")})
    async with scripted_system(guest) as system:
        box = await system.create_sandbox("box")
        with pytest.raises(AgentError, match="no kernel"):
            await box.start()
        await trio.testing.wait_all_tasks_blocked()
        assert guest.connections == 0
        assert (await box.info()).state == "stopped"
        await box.delete()
        await system.create_sandbox("box")


async def test_stop_of_the_sandbox_ends_a_create_that_is_under_way(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(gates={"create_container slow": trio.Event()})
    async with a_sandbox(guest) as box:
        codes: list[str] = []

        async def create() -> None:
            try:
                await box.create_container("slow", SPEC)
            except KatrioError as error:
                codes.append(error.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(create)
            await trio.testing.wait_all_tasks_blocked()
            await box.stop()
        assert codes == ["invalid_transition"]


async def test_a_cancelled_wait_frees_its_place(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest()
    async with a_sandbox(guest) as box:
        one = await running(box, "one")
        for _ in range(3):
            with trio.move_on_after(1):
                await one.init.wait()
        with pytest.raises((CallerCancelled, KatrioError)):
            await one.init.wait(timeout=1)


async def test_many_asks_one_after_the_other(autojump_clock: MockClock) -> None:
    async with a_sandbox(ScriptedGuest()) as box:
        for _ in range(3 * WATERMARK_EVERY):
            assert (await box.info()).state == "running"
