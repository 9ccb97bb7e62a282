"""Steps about what was never started, because its start was refused as a step expected: skipped, and the run goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from actors.errors import AgentError
from actors.scenario.language.kinds import Kind, hints_of, unwrap
from actors.scenario.reading.load import load_text
from actors.scenario.reading.problems import ScenarioError
from actors.scenario.report.base import last_line, reasons
from actors.scenario.stage.events import Outcome
from actors.scenario.stage.refusals import Refusal, Refusals
from actors.scenario.steps import STEPS
from tests.support.agents import ScriptedGuest
from tests.support.scenarios import HEAD, Ran, run, scenario

if TYPE_CHECKING:
    from trio.testing import MockClock

MAYBE = "expect: {error: [none, agent_error]}"


def more_of(word: str) -> str:
    """What the example of a step has beside its verb, and beside what it expects and saves."""
    tree = yaml.safe_load(STEPS[word].example)
    return ", ".join(
        f"{key}: {json.dumps(value)}" for key, value in tree.items() if key not in (word, "expect", "save")
    )


def about(*kinds: Kind) -> dict[str, str]:
    """Every step about such a thing, with what else it must have."""
    own = {word: hints_of(step)[word] for word, step in STEPS.items()}
    return {word: more_of(word) for word, hint in own.items() if unwrap(hint)[1] in kinds}


OF_A_PROCESS = about(Kind.PROCESS)
# all but the one that makes it
OF_A_CONTAINER = about(Kind.PROCESS, Kind.CONTAINER, Kind.TARGET, Kind.PROBE)
del OF_A_CONTAINER["create"]


def written(verb: str, more: str, name: str) -> str:
    """A step of this verb about that name."""
    target = f"{{freezer: {name}}}" if verb == "probe" else name
    return f"{{{verb}: {target}{', ' + more if more else ''}}}"


async def refusing(method: str, steps: str, *, more: str = "") -> Ran:
    """Run steps at a guest that refuses this call."""
    return await run(scenario(steps, more=more), guest=ScriptedGuest(failures={method: AgentError("no")}))


def outcomes(ran: Ran) -> list[str]:
    """Of the steps of the file's own list."""
    return [step.outcome.value for step in ran.result.steps if "." not in step.path]


@pytest.mark.parametrize(("verb", "more"), OF_A_PROCESS.items())
async def test_a_process_whose_exec_was_refused(verb: str, more: str, autojump_clock: MockClock) -> None:
    ran = await refusing(
        "exec_process",
        f"- {{exec: one, command: [wait], as: gone, {MAYBE}}}\n- {written(verb, more, 'gone')}\n- {{state: one}}",
        more=f"finally:\n- {written(verb, more, 'gone')}",
    )
    assert outcomes(ran) == ["held", "skipped", "held", "skipped"]
    assert ran.result.outcome is Outcome.HELD, ran.result.reason
    line = ran.result.steps[0].line
    why = f"gone was never started: its exec on line {line} was refused, as that step expected (agent_error)"
    assert list(reasons(ran.result.steps[1])) == [why]
    assert last_line(ran.result).startswith("held: 2 steps, 2 skipped, in ")


@pytest.mark.parametrize(("verb", "more"), OF_A_CONTAINER.items())
async def test_a_container_whose_create_was_refused(verb: str, more: str, autojump_clock: MockClock) -> None:
    ran = await refusing(
        "create_container", f"- {{create: one, {MAYBE}}}\n- create: two\n  {MAYBE}\n- {written(verb, more, 'one')}"
    )
    assert outcomes(ran) == ["held", "held", "skipped"]
    assert "box/one was never created: its create on line " in ran.result.steps[-1].skipped


async def test_what_a_container_can_do_whose_start_was_refused_it_is_asked(autojump_clock: MockClock) -> None:
    ran = await refusing(
        "start_container",
        f"""
        - {{start: one, {MAYBE}}}
        - {{start: two, {MAYBE}}}
        - {{wait: one}}
        - eventually: {{stdout: one, expect: {{contains: ready}}}}
        - {{pause: one}}
        - {{state: one, expect: ready}}
        - {{stop: one}}
        - {{delete: one}}
        - {{state: one, expect: {{error: not_found}}}}
        """,
    )
    assert outcomes(ran) == ["held", "held", "skipped", "skipped", "skipped", "held", "held", "held", "held"]
    assert ran.result.outcome is Outcome.HELD, ran.result.reason


async def test_one_more_start_of_what_runs_says_nothing_about_it(autojump_clock: MockClock) -> None:
    ran = await run(
        scenario(
            """
            - create: one
            - start: one
            - {create: one, expect: {error: [none, already_exists]}}
            - {start: one, expect: {error: [none, invalid_transition]}}
            - {exec: one, command: [exit, "3"], as: pp}
            - {wait: pp, expect: {exit: 3}}
            - {stop: one}
            """
        )
    )
    assert outcomes(ran) == ["held"] * 7


def test_a_second_try_that_goes_well_counts_and_a_delete_forgets() -> None:
    absent = Refusals()
    absent.refused("create", "box/one", "no room")
    assert absent.find("box/one") == Refusal("no room")
    absent.done("create", "box/one")
    assert absent.find("box/one") is None
    absent.refused("create", "box/one", "once more")
    assert absent.find("box/one") is None
    absent.done("delete", "box")
    absent.refused("create", "box/one", "again")
    absent.refused("start", "box", "no guest")
    assert absent.find("box/one") == Refusal("again")
    # a container of a sandbox that runs nothing has nothing either
    assert absent.find("box/two") == Refusal("no guest")
    assert absent.find("box") == Refusal("no guest", created=True)


async def test_what_a_skipped_step_was_to_save_or_start_skips_its_users(autojump_clock: MockClock) -> None:
    ran = await refusing(
        "exec_process",
        f"""
        - {{exec: one, command: [wait], as: gone, {MAYBE}}}
        - {{wait: gone, save: code}}
        - {{exec: one, command: [exit, "${{code}}"], as: next}}
        - {{wait: next}}
        - for_each: [one, two]
          as: c
          steps: [{{exec: "${{c}}", command: [print, "${{code}}"]}}]
        """,
    )
    assert outcomes(ran) == ["held", "skipped", "skipped", "skipped", "held"]
    line = ran.result.steps[1].line
    assert ran.result.steps[2].skipped == f"it needs 'code', and the step on line {line} was skipped"


async def test_an_error_that_a_step_expects_is_asked_for_and_a_race_counts_no_skipped_branch(
    autojump_clock: MockClock,
) -> None:
    ran = await refusing(
        "exec_process",
        f"""
        - {{exec: one, command: [wait], as: gone, {MAYBE}}}
        - {{wait: gone, expect: {{error: not_found}}}}
        - {{signal: gone, with: TERM, expect: {{error: [none, not_found]}}}}
        - race: [{{wait: gone}}, {{state: one}}]
          expect: 1
        """,
    )
    assert outcomes(ran) == ["held"] * 4
    assert ran.result.outcome is Outcome.HELD, ran.result.reason


def test_a_use_of_what_can_not_be_there_is_a_fault_of_the_file() -> None:
    head = f"{HEAD}steps:\n- {{exec: one, command: [wait], as: gone, expect: {{error: not_found}}}}\n"
    for step in ("{wait: gone}", "{eventually: {stdout: gone, expect: x}}", "{parallel: [{signal: gone, with: 9}]}"):
        with pytest.raises(ScenarioError, match=r"'gone', whose exec on line 9 must be refused"):
            load_text(f"{head}- {step}\n".encode(), "f")
    load_text(f"{head}- {{wait: gone, expect: {{error: not_found}}}}\n".encode(), "f")
    load_text(f"{head.replace('not_found', '[none, not_found]')}- {{wait: gone}}\n".encode(), "f")
