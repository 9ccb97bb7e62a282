"""What the guest does while calls fail, hang or are cancelled: ids are free again, what was begun is ended. In virtual time."""

from __future__ import annotations

import gc
import random
import signal
import weakref
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.errors import AgentError, AlreadyExists, InvalidTransition, NotFound
from actors.guest.executor import Executor
from actors.guest.model import GuestModel
from actors.lifecycle.container import ContainerState
from actors.limits import DEFAULT_LIMITS
from actors.schemas.oci import LinuxResources, Process, Root, Spec
from actors.simulation.engine import SimulatedEngine
from actors.wire.spec import ExitStatus

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.limits import Limits
    from actors.simulation.engine_process import SimulatedProcess

SECONDS = DEFAULT_LIMITS.mutate_seconds
IDLE = Process(args=("sleep", "1000000"), cwd="/")
SPEC = Spec(version="1.0.2", root=Root(path="/"), process=IDLE)


class Engine(SimulatedEngine):
    """A call waits for its gate when it has one, and then fails when it shall."""

    def __init__(self) -> None:
        super().__init__(random.Random(0))
        self.gates: dict[str, trio.Event] = {}
        self.failures: dict[str, Exception] = {}
        self.done: list[str] = []

    async def _gate(self, call: str) -> None:
        if call in self.gates:
            await self.gates[call].wait()
        if call in self.failures:
            raise self.failures[call]

    async def create(self, container: str, spec: Spec) -> SimulatedProcess:
        await self._gate("create")
        return await super().create(container, spec)

    async def start(self, container: str) -> None:
        await self._gate("start")
        await super().start(container)

    async def exec(self, container: str, process: Process) -> SimulatedProcess:
        await self._gate("exec")
        return await super().exec(container, process)

    async def pause(self, container: str) -> None:
        await self._gate("pause")
        await super().pause(container)

    async def delete(self, container: str) -> None:
        await self._gate("delete")
        await super().delete(container)

    async def kill_all(self, container: str) -> None:
        await self._gate("kill_all")
        await super().kill_all(container)
        self.done.append("kill_all")

    async def update(self, container: str, resources: LinuxResources) -> None:
        await self._gate("update")
        self.done.append("update")


@asynccontextmanager
async def a_guest(limits: Limits = DEFAULT_LIMITS) -> AsyncGenerator[tuple[Engine, Executor]]:
    engine = Engine()
    executor = Executor(engine, GuestModel(limits), limits)
    async with trio.open_nursery() as nursery:
        await nursery.start(executor.run)
        executor.model.create_sandbox("box")
        await executor.create("one", SPEC)
        await executor.start("one")
        yield engine, executor
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("call", ["create", "exec"])
@pytest.mark.parametrize("how", ["it fails", "it takes too long", "its caller gives up, and it fails later"])
async def test_an_id_is_free_again_when_its_making_came_to_nothing(
    call: str, how: str, autojump_clock: MockClock
) -> None:
    async with a_guest() as (engine, executor):

        async def make() -> None:
            if call == "create":
                await executor.create("two", SPEC)
            else:
                await executor.exec("one", "two", IDLE)

        gate = engine.gates[call] = trio.Event()
        if how != "it takes too long":
            engine.failures[call] = AgentError("no memory")
        failures: list[str] = []

        async def fail() -> None:
            try:
                with trio.move_on_after(1 if "caller" in how else SECONDS * 2):
                    await make()
            except AgentError as error:
                failures.append(error.message)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.testing.wait_all_tasks_blocked()
            if call == "create":
                with pytest.raises(AlreadyExists):
                    await make()
            await trio.sleep(5)
            if how != "it takes too long":
                gate.set()
        (failure,) = failures
        assert ("not done within" in failure) is (how == "it takes too long")
        engine.gates.clear()
        engine.failures.clear()
        await make()
        assert executor.process("two" if call == "create" else "one", "two").ended.is_set() is False


async def test_what_changes_a_container_runs_to_its_end_though_its_caller_has_gone(autojump_clock: MockClock) -> None:
    async with a_guest() as (engine, executor):
        gate = engine.gates["update"] = trio.Event()
        async with trio.open_nursery() as nursery:

            async def update() -> None:
                with trio.move_on_after(1):
                    await executor.update("one", LinuxResources())

            nursery.start_soon(update)
            await trio.sleep(5)
            assert engine.done == []
            # who waits for its turn behind it may leave before
            began = trio.current_time()
            with trio.move_on_after(2):
                await executor.pause("one")
            assert trio.current_time() - began == pytest.approx(2)
            gate.set()
        assert engine.done == ["update"]
        assert executor.model.container("one").state is ContainerState.RUNNING


async def test_a_kill_runs_to_its_end_though_its_caller_has_gone(autojump_clock: MockClock) -> None:
    async with a_guest() as (engine, executor):
        gate = engine.gates["kill_all"] = trio.Event()
        async with trio.open_nursery() as nursery:

            async def kill() -> None:
                with trio.move_on_after(1):
                    await executor.kill_all("one")

            nursery.start_soon(kill)
            await trio.sleep(5)
            gate.set()
        assert engine.done == ["kill_all"]
        assert (await executor.wait("one", "")).code == 128 + signal.SIGKILL


async def test_a_start_that_failed_may_be_tried_again(autojump_clock: MockClock) -> None:
    async with a_guest() as (engine, executor):
        await executor.create("two", SPEC)
        engine.failures["start"] = AgentError("not now")
        with pytest.raises(AgentError):
            await executor.start("two")
        assert executor.model.container("two").state is ContainerState.READY
        engine.failures.clear()
        await executor.start("two")
        assert executor.model.container("two").state is ContainerState.RUNNING


async def test_an_end_is_told_of_the_process_that_ended_and_not_of_its_successor(autojump_clock: MockClock) -> None:
    limits = replace(DEFAULT_LIMITS, processes=2)
    async with a_guest(limits) as (_, executor):
        await executor.exec("one", "e1", Process(args=("sh", "-c", "exit 3"), cwd="/"))
        assert await executor.wait("one", "e1") == ExitStatus(3)
        # it makes room, and its id is free
        await executor.exec("one", "e2", Process(args=("sh", "-c", "exit 4"), cwd="/"))
        with pytest.raises(NotFound):
            executor.process("one", "e1")
        assert await executor.wait("one", "e2") == ExitStatus(4)
        await executor.exec("one", "e1", IDLE)
        await trio.sleep(10)
        assert not executor.process("one", "e1").ended.is_set()
        # and so with a container that was removed and made again
        await executor.remove("one")
        await executor.create("one", SPEC)
        await trio.sleep(10)
        assert executor.model.container("one").state is ContainerState.READY
        await executor.start("one")
        await executor.exec("one", "e1", IDLE)


async def test_who_waits_for_a_process_that_is_removed_is_answered_and_a_second_remove_finds_nothing(
    autojump_clock: MockClock,
) -> None:
    async with a_guest() as (_, executor):
        await executor.exec("one", "e1", IDLE)
        codes: list[int] = []
        failures: list[type[NotFound]] = []

        async def wait(process: str) -> None:
            codes.append((await executor.wait("one", process)).code)

        async def remove() -> None:
            try:
                await executor.remove("one")
            except NotFound as error:
                failures.append(type(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "")
            nursery.start_soon(wait, "e1")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(remove)
            nursery.start_soon(remove)
        assert codes == [137, 137]
        assert failures == [NotFound]
        with pytest.raises(NotFound):
            await executor.remove("one")


async def test_a_signal_to_one_that_has_ended_is_refused_unless_it_asks_for_the_end(autojump_clock: MockClock) -> None:
    async with a_guest() as (_, executor):
        await executor.exec("one", "e1", Process(args=("true",), cwd="/"))
        await executor.wait("one", "e1")
        for signum in (signal.SIGTERM, signal.SIGKILL):
            await executor.signal("one", "e1", signum)
        with pytest.raises(InvalidTransition, match="it has ended"):
            await executor.signal("one", "e1", signal.SIGUSR1)
        # a frozen init keeps a SIGKILL until it is thawed
        await executor.pause("one")
        await executor.signal("one", "one", signal.SIGKILL)
        assert (await executor.wait("one", "")).code == 137


async def test_the_first_failure_of_a_removal_of_all_is_told_after_all_were_tried(autojump_clock: MockClock) -> None:
    async with a_guest() as (engine, executor):
        await executor.create("two", SPEC)
        cleared: list[str] = []

        async def clear() -> None:
            await trio.lowlevel.checkpoint()
            cleared.append("cleared")

        executor.when_empty(clear)
        engine.failures["kill_all"] = AgentError("no")
        with pytest.raises(AgentError, match="no"):
            await executor.destroy()
        assert (executor.model.sandbox, cleared) == ("box", [])
        engine.failures.clear()
        await executor.destroy()
        await executor.destroy()
        assert executor.model.sandbox is None
        assert executor.model.containers == {}
        assert cleared == ["cleared", "cleared"]
        executor.model.create_sandbox("next")
        await executor.create("one", SPEC)


async def test_nothing_is_kept_of_a_container_that_was_removed(autojump_clock: MockClock) -> None:
    async with a_guest() as (_, executor):
        await executor.exec("one", "e1", IDLE)
        kept = [weakref.ref(executor.process("one", process)) for process in ("", "e1")]
        await executor.remove("one")
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        assert [process() for process in kept] == [None, None], "a guest lives long, and makes many"


async def test_one_that_is_removed_meanwhile_keeps_none_after_it(autojump_clock: MockClock) -> None:
    async with a_guest() as (engine, executor):
        for container in ("two", "three"):
            await executor.create(container, SPEC)
        gate = engine.gates["delete"] = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.remove_all)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(executor.remove, "two")
            await trio.testing.wait_all_tasks_blocked()
            gate.set()
        assert executor.model.containers == {}


async def test_a_remove_that_came_too_late_leaves_the_next_container_of_that_id_alone(
    autojump_clock: MockClock,
) -> None:
    async with a_guest() as (_, executor):

        async def remove_and_make_again() -> None:
            await executor.remove("one")
            await executor.create("one", SPEC)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(remove_and_make_again)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(NotFound, match="removed meanwhile"):
                await executor.remove("one")
        assert executor.model.container("one").state is ContainerState.READY
        assert not executor.process("one", "").ended.is_set()
