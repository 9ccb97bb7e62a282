"""The simulated world from Python: guests that boot, die, are gone; images; probes; names; what a deadlock says."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import open_world
from actors.errors import (
    AgentUnreachable,
    GuestDied,
    InvalidArgument,
    KatrioError,
    NotFound,
    OutcomeUnknown,
    ResourceExhausted,
    Unsupported,
)
from actors.limits import DEFAULT_LIMITS, SIMULATED_LIMITS
from actors.scenario.language.needs import Fault, Probe
from actors.scenario.reading.load import load_text
from actors.simulation.run import simulate
from actors.wire.spec import ContainerSpec, ProcessSpec, ResourceSpec, SandboxSpec
from actors.worlds.simulated import open_simulated
from actors.worlds.simulated_runs import play
from tests.support.boxes import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.handles import ContainerHandle, SandboxHandle
    from actors.simulation.run import Simulation
    from actors.worlds.simulated import SimulatedWorld

SEEDS = range(5)


def shell(script: str, image: str = "busybox") -> ContainerSpec:
    return ContainerSpec(image=image, process=ProcessSpec(args=("sh", "-c", script)))


def in_world(body: Callable[[SimulatedWorld, SandboxHandle], Awaitable[None]], seed: int) -> float:
    async def main(simulation: Simulation) -> None:
        async with open_simulated(simulation) as world:
            box = await world.system.create_sandbox("box", SandboxSpec(hostname="tower"))
            await box.start()
            await body(world, box)

    return simulate(main, seed).seconds


async def running(box: SandboxHandle, name: str, script: str) -> ContainerHandle:
    container = await box.create_container(name, shell(script))
    await container.start()
    return container


@pytest.mark.parametrize("seed", SEEDS)
def test_an_hour_passes_and_the_exit_code_is_told(seed: int) -> None:
    async def body(_: SimulatedWorld, box: SandboxHandle) -> None:
        one = await running(box, "one", "sleep 3600; exit 7")
        assert (await one.init.wait()).code == 7

    assert in_world(body, seed) > 3600


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_guest_is_told_to_all_and_its_neighbour_lives(seed: int) -> None:
    async def body(world: SimulatedWorld, box: SandboxHandle) -> None:
        other = await world.system.create_sandbox("other")
        await other.start()
        doomed = await running(box, "doomed", "sleep 100")
        living = await running(other, "living", "sleep 5; exit 4")
        async with trio.open_nursery() as nursery:

            async def wait_for_the_doomed() -> None:
                with pytest.raises(GuestDied):
                    await doomed.init.wait()

            nursery.start_soon(wait_for_the_doomed)
            await trio.sleep(1)
            await world.fault(Fault.KILL_GUEST, "box")
        assert (await box.info()).state == "lost"
        assert (await living.init.wait()).code == 4
        with pytest.raises(NotFound, match="no guest runs"):
            await world.fault(Fault.KILL_GUEST, "box")

    in_world(body, seed)


AMID: dict[str, Callable[[SandboxHandle, ContainerHandle], Awaitable[object]]] = {
    "create": lambda box, _: box.create_container("two", shell("sleep 100")),
    "exec": lambda _, one: one.exec("more", ProcessSpec(args=("sleep", "100"))),
    "pause": lambda _, one: one.pause(),
    "stop": lambda _, one: one.stop(),
}


@pytest.mark.parametrize("agent", ["kata", "hyperstart"])
@pytest.mark.parametrize("verb", AMID)
@pytest.mark.parametrize("milliseconds", [6, 30])
def test_a_guest_killed_amid_a_change_complains_of_nothing(milliseconds: int, verb: str, agent: str) -> None:
    async def main(simulation: Simulation) -> None:
        async with open_simulated(simulation, agent=agent) as world:
            box = await world.system.create_sandbox("box")
            await box.start()
            one = await running(box, "one", "sleep 100")
            async with trio.open_nursery() as nursery:

                async def change() -> None:
                    with suppress(AgentUnreachable, GuestDied, OutcomeUnknown, Unsupported):
                        await AMID[verb](box, one)

                nursery.start_soon(change)
                await trio.sleep(milliseconds / 1000)
                await world.fault(Fault.KILL_GUEST, "box")
            await trio.sleep(1)
            assert (await box.info()).state == "lost"
        assert world.guests.bugs == []

    simulate(main, 1)


def test_probes_answer_past_the_guest() -> None:
    async def body(world: SimulatedWorld, box: SandboxHandle) -> None:
        one = await running(box, "one", "sleep 100 & sleep 100 & wait")
        await trio.sleep(1)
        assert await world.probe(Probe.PROCESSES, "box", "one") == "3"
        assert await world.probe(Probe.FREEZER, "box", "one") == "thawed"
        await one.pause()
        assert await world.probe(Probe.FREEZER, "box", "one") == "frozen"
        with pytest.raises(NotFound):
            await world.probe(Probe.FREEZER, "box", "nobody")
        assert await world.probe(Probe.PROCESSES, "box", "nobody") == "0"

    in_world(body, 1)


def test_programs_see_the_sandbox_name() -> None:
    async def body(_: SimulatedWorld, box: SandboxHandle) -> None:
        one = await running(box, "one", "sleep 100")
        told = await one.exec("name", ProcessSpec(args=("hostname",)))
        assert (await told.collect()).stdout == b"tower\n"

    in_world(body, 1)


@pytest.mark.parametrize(("image", "error"), [("/nowhere", NotFound), ("alpine", InvalidArgument)])
def test_an_image_that_is_not_there_is_told(image: str, error: type[KatrioError]) -> None:
    async def body(_: SimulatedWorld, box: SandboxHandle) -> None:
        with pytest.raises(error) as raised:
            await box.create_container("one", shell("true", image))
        assert raised.value.details["field"] == "image"

    in_world(body, 1)


def test_it_opens_by_its_name_inside_a_simulation_alone() -> None:
    async def main(_: Simulation) -> str:
        async with open_world("simulated") as world:
            return world.name

    async def outside() -> None:
        async with open_world("simulated"):
            pass

    assert simulate(main, 1).value == "simulated"
    with pytest.raises(InvalidArgument, match="a clock of its own"):
        trio.run(outside)


def test_a_scenario_that_is_stuck_is_an_error_that_says_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck(*_: object, **__: object) -> None:
        await trio.sleep_forever()

    # a product that waits for ever, without a timer
    monkeypatch.setattr("actors.worlds.simulated_runs.run_scenario", stuck)
    played = play(load_text(b"name: stuck\nwhy: to be told\nsteps:\n  - {sleep: 1s}\n", "stuck.yaml"), 5)
    assert played.result.outcome == "error"
    assert "everything waits, and no timer runs" in played.result.reason
    assert "test_simulated.py" in played.result.reason
    assert played.result.trace_digest
    assert played.result.seed == 5


def test_a_real_call_in_the_product_is_an_error_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async def escapes(*_: object, **__: object) -> None:
        await trio.to_thread.run_sync(print)

    monkeypatch.setattr("actors.worlds.simulated_runs.run_scenario", escapes)
    played = play(load_text(b"name: escapes\nwhy: to be told\nsteps:\n  - {sleep: 1s}\n", "escapes.yaml"), 5)
    assert played.result.outcome == "error"
    assert "trio.to_thread.run_sync was called by" in played.result.reason
    assert "test_simulated.py" in played.result.reason


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sandbox_that_asks_after_its_guest_is_the_same_in_every_run(seed: int) -> None:
    async def main(simulation: Simulation) -> str:
        async with open_simulated(simulation, limits=DEFAULT_LIMITS) as world:
            box = await world.system.create_sandbox("box")
            await box.start()
            one = await running(box, "one", "sleep 1000; exit 7")
            await one.pause()
            await trio.sleep(500)
            await one.resume()
            assert (await one.init.wait()).code == 7
            return (await box.info()).state

    first, second = simulate(main, seed), simulate(main, seed)
    assert (first.value, first.digest) == ("running", second.digest)
    # three calls a round, and a hundred rounds or more
    assert first.steps > 1000


@pytest.mark.parametrize("seed", SEEDS)
def test_ended_execs_make_room_and_host_and_guest_forget_the_same_one(seed: int) -> None:
    async def main(simulation: Simulation) -> None:
        async with open_simulated(simulation, limits=replace(SIMULATED_LIMITS, processes=4)) as world:
            box = await world.system.create_sandbox("box")
            await box.start()
            one = await running(box, "one", "sleep 1000")
            slow = await one.exec("slow", ProcessSpec(args=("sh", "-c", "sleep 100; exit 7")))
            for number in range(12):
                # an id that was forgotten on one side alone could not be used again
                job = await one.exec(
                    f"job-{number % 3}", ProcessSpec(args=("sh", "-c", f"echo {number}; exit {number}"))
                )
                done = await job.collect()
                assert (done.code, done.stdout) == (number, b"%d\n" % number)
            assert (await one.info()).children == ("slow",)
            with pytest.raises(NotFound, match="job-1, job-2, slow"):
                await one.process("job-0").wait()
            more = [await one.exec(f"more-{number}", ProcessSpec(args=("sleep", "500"))) for number in range(2)]
            with pytest.raises(ResourceExhausted) as caught:
                await one.exec("over", ProcessSpec(args=("true",)))
            assert caught.value.details == {"limit": 4}
            assert (await slow.wait()).code == 7
            assert (await (await one.exec("over", ProcessSpec(args=("true",)))).collect()).code == 0
            assert (await one.info()).children == ("more-0", "more-1")
            await more[0].signal(9)

    simulate(main, seed)


def test_an_exec_into_a_full_container_names_the_limit() -> None:
    async def main(simulation: Simulation) -> None:
        async with open_simulated(simulation) as world:
            box = await world.system.create_sandbox("box")
            await box.start()
            limits = ResourceSpec(pids=2)
            spec = ContainerSpec(process=ProcessSpec(args=("sh", "-c", "sleep 100 & echo up; wait")), resources=limits)
            one = await box.create_container("one", spec)
            await one.start()
            await until(one.init, b"up")
            with pytest.raises(ResourceExhausted) as caught:
                await one.exec("job", ProcessSpec(args=("true",)))
            assert caught.value.details == {"field": "resources.pids", "limit": 2}
            await one.update(ResourceSpec(pids=3))
            assert (await (await one.exec("job", ProcessSpec(args=("true",)))).collect()).code == 0

    simulate(main, 1)
