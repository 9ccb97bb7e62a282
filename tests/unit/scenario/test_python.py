"""Scenarios as Python functions, the file that is recorded from one, and how modules are loaded."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import pytest
import trio
import yaml

from actors.cli.programs import describe_program, load_program
from actors.errors import Unsupported
from actors.scenario.reading.load import load_text
from actors.scenario.reading.problems import ScenarioError
from actors.scenario.run.transcript import transcript
from actors.scenario.stage.events import Outcome
from actors.scenario.stage.recording import Asked, RecordedOutputs, recorded
from actors.wire.spec import ProcessSpec
from actors.wire.verbs import Exec, Nothing
from tests.support.agents import ScriptedGuest
from tests.support.scenarios import Ran, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from trio.testing import MockClock

    from actors.scenario.stage.python import PythonWorld


async def played(function: Callable[[PythonWorld], Awaitable[None]], **words: Any) -> Ran:
    """Run a function as a scenario."""
    return await run(describe_program(function, "file.py", "because", {"name": "it", **words}))


async def test_steps_expectations_and_the_taking_down(autojump_clock: MockClock) -> None:
    async def scenario(world: PythonWorld) -> None:
        box = await world.sandbox("box")
        async with world.step("begin"):
            one = await world.container(box, "one", "print x")
            async with world.step("an inner one"):
                world.expect((await one.info()).state, "running")
        async with world.step("it refuses"):
            await one.pause()
            with world.expect_error("invalid_transition"):
                await one.exec("late", ProcessSpec(args=("true",)))
            world.expect(await world.probe("freezer", one), contains="box/one")

    ran = await played(scenario)
    assert ran.result.outcome is Outcome.HELD, ran.result.reason
    assert [(step.path, step.title) for step in ran.result.steps] == [
        ("steps[0].steps[0]", "an inner one"),
        ("steps[0]", "begin"),
        ("steps[1]", "it refuses"),
    ]
    assert [(ask.verb, ask.expected) for ask in ran.result.steps[2].asks] == [("pause", False), ("exec", True)]
    assert ran.guest.log[-1] == "guest ended"


async def test_an_expectation_that_does_not_hold_ends_it(autojump_clock: MockClock) -> None:
    async def scenario(world: PythonWorld) -> None:
        async with world.step("wrong"):
            world.expect(3, at_least=4)
        raise AssertionError("it went on")

    result = (await played(scenario)).result
    assert result.outcome is Outcome.FAILED
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+: steps\[0\]: expected at least 4, saw 3", result.reason)


async def test_eventually_waits_and_says_what_it_saw_last(autojump_clock: MockClock) -> None:
    async def scenario(world: PythonWorld) -> None:
        async def seconds() -> float:
            return trio.current_time()

        start = trio.current_time()
        async with world.step("in time"):
            await world.eventually(seconds, at_least=start + 1, within=2)
        async with world.step("never"):
            await world.eventually(seconds, at_least=start + 100, within=2)

    result = (await played(scenario)).result
    assert [step.outcome for step in result.steps] == [Outcome.HELD, Outcome.FAILED]
    assert "within 2 s, saw" in result.reason


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (AssertionError("by hand"), Outcome.FAILED, "expected an assertion to hold, saw by hand"),
        (ZeroDivisionError("oops"), Outcome.FAILED, "saw ZeroDivisionError: oops"),
    ],
)
async def test_what_a_function_raises_outside_of_steps(
    error: Exception, outcome: Outcome, words: str, autojump_clock: MockClock
) -> None:
    async def scenario(world: PythonWorld) -> None:
        raise error

    result = (await played(scenario)).result
    assert result.outcome is outcome
    assert words in result.reason


async def test_a_failure_says_where_in_the_function_and_how_it_came_there(autojump_clock: MockClock) -> None:
    def check(world: PythonWorld) -> None:
        world.expect(1, 2)

    async def scenario(world: PythonWorld) -> None:
        check(world)

    first = check.__code__.co_firstlineno
    result = (await played(scenario)).result
    assert result.reason.startswith(f"{__file__}:{first + 1} (from line {first + 4}): ")


async def test_a_step_and_the_whole_have_limits(autojump_clock: MockClock) -> None:
    async def slow(world: PythonWorld) -> None:
        async with world.step("slow", within=2):
            await trio.sleep(60)

    assert "to be done within 2 s" in (await played(slow)).result.reason

    async def endless(world: PythonWorld) -> None:
        await trio.sleep_forever()

    assert "total of 5 s" in (await played(endless, limits={"total": 5.0})).result.reason


async def test_what_was_asked_becomes_a_file_that_holds(autojump_clock: MockClock) -> None:
    asks: list[Asked] = []

    async def scenario(world: PythonWorld) -> None:
        world.system = recorded(world.system, trio.current_time, asks.append)
        box = await world.sandbox("box")
        one = await world.container(box, "one", ["wait"])
        process = await one.exec("code", ProcessSpec(args=("exit", "7"), env={"A": "${B}"}))
        await process.wait()
        await one.pause()
        with world.expect_error("invalid_transition"):
            await one.pause()
        await one.info()
        await one.signal(9, all_processes=True)

    ran = await played(scenario)
    assert ran.result.outcome is Outcome.HELD, ran.result.reason
    text = transcript(asks, name="recorded", why="to see")
    again = (await run(load_text(text.encode(), "recorded.yaml"))).result
    assert again.outcome is Outcome.HELD, f"{again.reason}\n{text}"
    assert "exit: 7" in text
    assert "$${B}" in text
    assert "error: invalid_transition" in text
    assert "state: one, expect: paused" in text


async def test_what_was_read_of_outputs_is_expected(autojump_clock: MockClock) -> None:
    asks: list[Asked] = []
    outputs = RecordedOutputs()

    async def scenario(world: PythonWorld) -> None:
        world.system = recorded(world.system, trio.current_time, asks.append, outputs)
        box = await world.sandbox("box")
        one = await world.container(box, "one", ["wait"])
        for name, words in (
            ("short", "a: ${b}\r\n  # no"),
            ("long", "x" * 5000),
            ("strange", "\x1b[1m"),
            ("empty", ""),
        ):
            process = await one.exec(name, ProcessSpec(args=("print", words)))
            await process.collect()
        # its output was not read to its end
        process = await one.exec("left", ProcessSpec(args=("print", "unread")))
        async with process.open_stdout() as parts:
            await anext(parts)
        await process.wait()
        # and this one's name was used before
        for number in (1, 2):
            process = await one.exec("again", ProcessSpec(args=("print", str(number))))
            await process.collect()
            await one.stop()
            await one.delete()
            one = await world.container(box, "one", ["wait"])

    ran = await played(scenario)
    assert ran.result.outcome is Outcome.HELD, ran.result.reason
    text = transcript(asks, name="recorded", why="to see", outputs=outputs)
    steps: list[dict[str, Any]] = yaml.safe_load(text)["steps"]
    waits = {step["wait"]: step["expect"] for step in steps if "wait" in step}
    assert waits["short"] == {"exit": 0, "stdout": "a: $${b}\n  # no", "stderr": ""}
    assert waits["empty"] == {"exit": 0, "stdout": "", "stderr": ""}
    assert waits["long"] == waits["strange"] == {"exit": 0, "stderr": ""}
    assert {step["bytes"]: step["expect"] for step in steps if "bytes" in step} == {"long": 5001, "strange": 5}
    assert [step["sha256"] for step in steps if "sha256" in step] == ["long", "strange"]
    assert waits["left"] == waits["again"] == {"exit": 0}
    again = (await run(load_text(text.encode(), "recorded.yaml"))).result
    assert again.outcome is Outcome.HELD, f"{again.reason}\n{text}"


def test_what_a_step_can_not_be_about_is_a_call() -> None:
    asks = [Asked(to, "disconnect", Nothing(), 0.0, 1.0) for to in ("box", "box/one")]
    steps = yaml.safe_load(transcript(asks, name="it", why="to see"))["steps"]
    assert steps == [{"disconnect": "box"}, {"call": "one", "verb": "disconnect"}]


def test_of_two_execs_with_one_id_the_refused_one_has_no_name() -> None:
    asked = Exec("twice", ProcessSpec(args=("true",)))
    asks = [Asked("box/one", "exec", asked, 0.0, 1.0), Asked("box/one", "exec", asked, 1.0, 2.0, code="already_exists")]
    first, second = yaml.safe_load(transcript(asks, name="it", why="to see"))["steps"]
    assert first == {"exec": "one", "command": ["true"], "as": "twice"}
    assert second == {"exec": "one", "command": ["true"], "expect": {"error": "already_exists"}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", "expected async def scenario(world)"),
        ("def scenario(world): pass\n", "expected async def scenario(world)"),
        ("x = \n", "SyntaxError"),
        ("raise ValueError('no')\n", "file.py:1:1: found ValueError: no"),
        ("needs = ['pauses']\nasync def scenario(world): pass\n", "did you mean pause?"),
        ("limits = {'total': 'long'}\nasync def scenario(world): pass\n", "limits"),
    ],
)
def test_a_module_that_is_no_scenario_is_told(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load_program(tmp_path / "file.py")
    assert words in str(caught.value)


def test_a_file_of_another_kind_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text("name: it")
    with pytest.raises(ScenarioError, match="expected a Python file"):
        load_program(tmp_path / "file.yaml")


def test_a_module_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "two_of_them.py").write_text('needs = ["pause"]\nasync def scenario(world):\n    """Why."""\n')
    loaded = load_program(tmp_path / "two_of_them.py")
    assert (loaded.scenario.name, loaded.scenario.why, loaded.needs) == ("two of them", "Why.", ("pause",))


async def test_a_step_that_probes_in_vain_is_skipped_alone(autojump_clock: MockClock) -> None:
    async def scenario(world: PythonWorld) -> None:
        box = await world.sandbox("box")
        one = await world.container(box, "one", "print x")
        async with world.step("past the guest"):
            await world.probe("freezer", one)
        async with world.step("by hand"):
            with contextlib.suppress(Unsupported):
                await world.probe("freezer", one)
        async with world.step("what the guest says"):
            world.expect((await one.info()).state, "running")

    guest = ScriptedGuest(failures={"probe": Unsupported("no freezer")})
    result = (await run(describe_program(scenario, "file.py", "because", {"name": "it"}), guest=guest)).result
    assert [step.outcome for step in result.steps] == [Outcome.SKIPPED, Outcome.HELD, Outcome.HELD]
    assert result.outcome is Outcome.HELD
    assert [step.skipped for step in result.steps] == ["no freezer", "", ""]


async def test_a_program_of_which_nothing_can_be_told_is_skipped(autojump_clock: MockClock) -> None:
    async def scenario(world: PythonWorld) -> None:
        box = await world.sandbox("box")
        one = await world.container(box, "one", "print x")
        async with world.step("past the guest"):
            await world.probe("freezer", one)

    guest = ScriptedGuest(failures={"probe": Unsupported("no freezer")})
    result = (await run(describe_program(scenario, "file.py", "because", {"name": "it"}), guest=guest)).result
    assert (result.outcome, result.reason) == (Outcome.SKIPPED, "nothing of it can be told here: no freezer")
