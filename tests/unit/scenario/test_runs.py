"""What steps do, in virtual time over a scripted guest: blocks, values, expectations, limits, ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.errors import AgentError, AgentUnreachable, AlreadyExists, GuestDied, KatrioError, Unsupported
from actors.scenario.reading.load import load_text
from actors.scenario.report.base import last_line
from actors.scenario.stage.events import Outcome, StateObserved, StepEnded
from tests.support.agents import ScriptedGuest
from tests.support.scenarios import HEAD, run, scenario

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.scenario.stage.results import Result


def reason(result: Result) -> str:
    """Why, and that it was not held."""
    assert result.outcome is not Outcome.HELD
    return result.reason


async def held(steps: str, more: str = "") -> Result:
    """Run these steps; they hold."""
    result = (await run(scenario(steps, more=more))).result
    assert result.outcome is Outcome.HELD, result.reason
    return result


async def failed(steps: str, more: str = "") -> str:
    """Run these steps; why they did not hold."""
    return reason((await run(scenario(steps, more=more))).result)


async def test_everything_is_brought_up_and_taken_down(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- state: one\n  expect: running"))
    assert ran.result.outcome is Outcome.HELD
    assert ran.guest.calls["create_container"] == ran.guest.calls["remove_container"] == 2
    assert ran.guest.log[-1] == "guest ended"


async def test_what_a_step_creates_is_not_created_before_a_templated_name_counts_for_all(
    autojump_clock: MockClock,
) -> None:
    ran = await run(
        scenario("- for_each: [one, two]\n  as: c\n  steps:\n    - create: ${c}\n      expect: {state: ready}")
    )
    assert ran.result.outcome is Outcome.HELD, ran.result.reason


async def test_a_value_is_saved_and_used(autojump_clock: MockClock) -> None:
    await held(
        """
        - {exec: one, command: [print, "${greeting} there"], as: said}
        - {wait: said}
        - {stdout: said, save: words}
        - {exec: two, command: [print, "${words}!"], as: again}
        - {wait: again, expect: {stdout: hello there!}}
        """,
        more="vars: {greeting: hello}",
    )


async def test_a_value_is_saved_by_its_path(autojump_clock: MockClock) -> None:
    await held(
        """
        - {info: box, save: {first: 'children[0]'}, expect: {json: {state: running, 'children[1]': two}}}
        - {exec: one, command: [print, "${first}"], as: said}
        - {wait: said, expect: {stdout: one}}
        """
    )
    assert "nothing to save" in await failed("- {info: box, save: {x: nowhere}}")


@pytest.mark.parametrize(
    ("expect", "holds"),
    [
        ("{exit: 7}", True),
        ("{exit: 8}", False),
        ("{exit: {range: [1, 9]}}", True),
        ("{exit: {range: [8, 9]}}", False),
        ("{exit: {one_of: [6, 7]}}", True),
        ("{exit: {at_most: 6}}", False),
        ("{state: running}", True),
        ("{state: {matches: '^r.n'}}", True),
        ("{took: {at_least: 2, at_most: 3}}", True),
        ("{took: {at_most: 1}}", False),
        ("{error: not_found}", False),
        ("{error: [none, not_found]}", True),
    ],
)
async def test_expectations(expect: str, holds: bool, autojump_clock: MockClock) -> None:
    result = (
        await run(
            scenario(f"- {{exec: one, command: [exit, '7', after, '2'], as: proc}}\n- {{wait: proc, expect: {expect}}}")
        )
    ).result
    assert (result.outcome is Outcome.HELD) is holds, result.reason


async def test_an_error_is_expected_by_its_code_and_its_message(autojump_clock: MockClock) -> None:
    await held(
        "- {pause: one}\n- {pause: one, expect: {error: invalid_transition, message: {contains: paused already}}}"
    )
    assert "expected the error not_found, saw invalid_transition" in await failed(
        "- {pause: one}\n- {pause: one, expect: {error: not_found}}"
    )
    assert "expected message a text with 'x'" in await failed(
        "- {pause: one}\n- {pause: one, expect: {error: invalid_transition, message: {contains: x}}}"
    )


async def test_a_race_lets_all_run_to_their_end_and_counts_those_without_an_error(autojump_clock: MockClock) -> None:
    starts = """
        - create: one
        - race:
          - {start: one, expect: {error: [none, invalid_transition]}}
          - {start: one, expect: {error: [none, invalid_transition]}}
          - {start: one, expect: {error: [none, invalid_transition]}}
          expect: %d
        """
    await held(starts % 1)
    assert "expected 3, saw 1" in await failed(starts % 3)


async def test_of_a_parallel_the_first_failure_stops_the_others(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- parallel:\n  - {sleep: 1h}\n  - - {sleep: 1s}\n    - {state: one, expect: paused}"))
    assert "expected 'paused', saw 'running'" in reason(ran.result)
    assert ran.result.duration_s < 10
    outcomes = {step.title: step.outcome for step in ran.result.steps}
    assert outcomes["sleep 3600 s"] is Outcome.CANCELLED


async def test_rounds_have_values_and_processes_of_their_own_even_together(autojump_clock: MockClock) -> None:
    result = await held(
        """
        - for_each: 1..20
          as: n
          together: true
          steps:
            - {exec: one, command: [exit, "${n}", after, "1"], as: mine}
            - {wait: mine, expect: {exit: "${n}"}}
        """
    )
    assert 1 <= result.duration_s < 2, "all at the same time"


async def test_for_each_goes_through_containers_by_their_labels(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- for_each: {labels: {role: worker}}\n  as: c\n  steps: [{pause: '${c}'}]"))
    assert ran.result.outcome is Outcome.HELD, ran.result.reason
    assert ran.guest.calls["pause_container"] == 2


async def test_a_rate_is_kept_whether_or_not_rounds_have_ended(autojump_clock: MockClock) -> None:
    result = await held(
        """
        - rate: 10
          during: 2s
          steps:
            - {exec: one, command: [exit, "0", after, "5"], as: slow}
            - {wait: slow, expect: {exit: 0}}
          expect: 20
        """
    )
    begun = [step.at - step.seconds for step in result.steps if step.title.startswith("exec")]
    gaps = [after - before for before, after in zip(sorted(begun), sorted(begun)[1:], strict=False)]
    assert all(gap == pytest.approx(0.1, abs=0.02) for gap in gaps)


async def test_eventually_says_what_it_saw_last(autojump_clock: MockClock) -> None:
    said = await failed("- {eventually: {state: one, expect: paused}, within: 2s}")
    assert "expected 'paused' within 2 s, saw 'running' at last" in said


@pytest.mark.parametrize(
    "block",
    [
        "parallel: [{sleep: 2s}, {sleep: 1s}]",
        "race: [{sleep: 2s}, {sleep: 1s}]",
        "repeat: 2\n  steps: [{sleep: 1s}]",
        "for_each: [a, b]\n  as: item\n  steps: [{sleep: 1s}]",
        "always: {state: one, expect: running}\n  during: 2s",
        "unchanged: {state: one}\n  while: [{sleep: 2s}]",
    ],
)
async def test_a_step_that_holds_others_may_be_expected_to_take_so_long(block: str, autojump_clock: MockClock) -> None:
    await held(f"- {block}\n  expect: {{took: {{range: [1.9, 2.5]}}}}")
    assert "expected seconds at most 1, saw seconds 2" in await failed(f"- {block}\n  expect: {{took: {{at_most: 1}}}}")


@pytest.mark.parametrize(
    ("step", "about"),
    [
        ("fault: {kill_guest: box}\n  within: 1ms\n  expect: {error: not_found}", "box"),
        ("eventually: {probe: {freezer: one}, expect: nothing}\n  within: 1s", "box/one"),
        ("rate: 1\n  during: 1s\n  steps: [{sleep: 1ms}]\n  expect: 2", ""),
    ],
)
async def test_a_failure_is_about_what_its_step_was_about(step: str, about: str, autojump_clock: MockClock) -> None:
    result = (await run(scenario(f"- {step}"))).result
    assert [ended.failure.about for ended in result.steps if ended.failure is not None] == [about]


async def test_always_notices_a_moment(autojump_clock: MockClock) -> None:
    said = await failed(
        "- always: {state: one, expect: running}\n  while: [{sleep: 1s}, {pause: one}, {sleep: 1s}, {resume: one}]"
    )
    assert "expected 'running', saw 'paused'" in said


@pytest.mark.parametrize(
    ("threshold", "holds"),
    [
        ("count(exec) == 2", True),
        ("count(exec) > 2", False),
        ("p95(wait) <= 2.5s", True),
        ("max(wait) < 1s", False),
        ("errors(exec) == 0", True),
        # of a step that expects it to be refused; the other is of the taking down
        ("errors(delete) == 0", True),
        ("count(delete) == 2", True),
        ("mean(stats) < 1s", False),
    ],
)
async def test_thresholds_are_judged_at_the_end(threshold: str, holds: bool, autojump_clock: MockClock) -> None:
    steps = "- {exec: one, command: [exit, '0', after, '2'], as: aa}\n- {wait: aa}\n- {exec: one, command: [exit, '0']}"
    steps += "\n- {delete: one, expect: {error: invalid_transition}}"
    result = (await run(scenario(steps, more=f'thresholds: ["{threshold}"]'))).result
    assert (result.outcome is Outcome.HELD) is holds, result.reason
    assert [one.held for one in result.thresholds] == [holds]
    assert holds or threshold in result.reason


async def test_the_first_failure_stops_the_rest_unless_told_to_go_on(autojump_clock: MockClock) -> None:
    loaded = scenario("- {state: one, expect: paused}\n- {pause: one}\n- {state: two, expect: paused}\n- {state: one}")
    stopped = await run(loaded)
    assert [step.outcome for step in stopped.result.steps] == [Outcome.FAILED]
    gone_on = await run(loaded, keep_going=True)
    assert [step.outcome.value for step in gone_on.result.steps] == ["failed", "held", "failed", "held"]
    assert gone_on.result.outcome is Outcome.FAILED
    assert "steps[0]" in gone_on.result.reason


async def test_finally_runs_after_a_failure_and_each_of_its_steps(autojump_clock: MockClock) -> None:
    loaded = scenario(
        "- {state: one, expect: paused}",
        more="finally:\n- {state: one, expect: ready}\n- {state: two, expect: running}",
    )
    result = (await run(loaded)).result
    assert [(step.path, step.outcome.value) for step in result.steps] == [
        ("steps[0]", "failed"),
        ("finally[0]", "failed"),
        ("finally[1]", "held"),
    ]
    assert "steps[0]" in result.reason


async def test_finally_runs_on_a_cancel(autojump_clock: MockClock) -> None:
    loaded = scenario("- {sleep: 1h}", more="finally:\n- {pause: one}\n- {state: one, expect: paused}")
    ran = await run(loaded, cancelled_after=5)
    assert ran.told is None
    ended = [(event.path, event.outcome.value) for event in ran.events if isinstance(event, StepEnded)]
    assert ended == [("steps[0]", "cancelled"), ("finally[0]", "held"), ("finally[1]", "held")]
    assert ran.guest.log[-1] == "guest ended"


async def test_finally_runs_when_the_guest_is_lost_and_the_failure_is_infrastructure(autojump_clock: MockClock) -> None:
    loaded = scenario(
        "- {exec: one, command: [wait], as: proc}\n- parallel:\n  - {wait: proc}\n  - {fault: {kill_guest: box}}",
        more="finally:\n- {state: one, expect: lost}",
    )
    result = (await run(loaded)).result
    assert result.outcome is Outcome.ERROR
    assert GuestDied.code in result.reason
    assert result.steps[-1].path == "finally[0]"
    assert result.steps[-1].outcome is Outcome.HELD


async def test_the_total_limit_ends_a_run(autojump_clock: MockClock) -> None:
    result = (await run(scenario("- {sleep: 1h}", more="limits: {total: 5s}"))).result
    assert "longer than its total of 5 s" in reason(result)
    assert result.duration_s < 10


async def test_a_step_has_its_own_limit(autojump_clock: MockClock) -> None:
    said = await failed("- {exec: one, command: [wait], as: proc}\n- {wait: proc, within: 3s}")
    assert "expected to be done within 3 s, saw it was still going on" in said


async def test_a_failure_tells_output_and_what_last_happened(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- {exec: one, command: [print, a clue], as: pp}\n- {wait: pp, expect: {exit: 3}}"))
    failure = ran.result.steps[-1].failure
    assert failure is not None
    assert [(tail.process, tail.text) for tail in failure.tails] == [("pp", "a clue")]
    assert any("exec: ok" in event.what for event in failure.events)
    assert any("exit of pp: code 0" in event.what for event in failure.events)


async def test_states_are_told_by_the_actors_themselves(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- {pause: one}\n- {resume: one}\n- {stop: one}\n- {delete: one}"))
    states = [event.state for event in ran.events if isinstance(event, StateObserved) and event.name == "box/one"]
    assert states[-6:] == ["running", "paused", "running", "stopping", "stopped", "gone"]


async def test_a_need_that_the_world_lacks_skips_the_file(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- {pause: one}"), lacks="pause")
    assert (ran.result.outcome, ran.result.steps) == (Outcome.SKIPPED, ())
    assert "lacks pause" in ran.result.reason
    assert ran.guest.log == []


async def test_a_call_reaches_any_verb_by_its_name(autojump_clock: MockClock) -> None:
    await held(
        """
        - {call: one, verb: exec, args: {id: "made-${n}", process: {args: [exit, "5"]}}}
        - {call: one, verb: wait, args: {process: made-1}, expect: {json: {code: 5}}}
        - {call: box, verb: wait, expect: {error: invalid_argument}}
        """,
        more="vars: {n: 1}",
    )


async def test_an_included_file_has_values_of_its_own(autojump_clock: MockClock) -> None:
    part = b"vars: {code: 4}\nsteps:\n- {exec: '${c}', command: [exit, '${code}'], as: pp}\n- {wait: pp, expect: {exit: '${code}'}}\n"
    text = HEAD + "steps:\n- {include: part.yaml, with: {c: one}}\n- {include: part.yaml, with: {c: two, code: 9}}\n"
    loaded = load_text(text.encode(), "file.yaml", read=lambda name: part)
    result = (await run(loaded)).result
    assert result.outcome is Outcome.HELD, result.reason
    assert {(step.file, step.line) for step in result.steps if "." in step.path} == {("part.yaml", 3), ("part.yaml", 4)}


async def test_equal_runs_tell_the_same_story(autojump_clock: MockClock) -> None:
    loaded = scenario("- for_each: 1..5\n  as: n\n  together: true\n  steps: [{exec: one, command: [exit, '${n}']}]")

    async def story() -> list[tuple[str, str]]:
        events = (await run(loaded)).events
        return sorted((event.path, event.title) for event in events if isinstance(event, StepEnded))

    assert await story() == await story()


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        ("create_container", AgentUnreachable("gone"), "bringing up box/one: agent_unreachable: gone"),
        ("create_container", AlreadyExists("it is there"), "bringing up box/one: already_exists: it is there"),
        ("create_sandbox", AlreadyExists("end it first", agent="an agent"), "bringing up box: already_exists: end it"),
    ],
)
async def test_a_system_that_can_not_be_brought_up_is_no_failure_of_the_scenario(
    call: str, error: KatrioError, told: str, autojump_clock: MockClock
) -> None:
    result = (await run(scenario("- {state: one}"), guest=ScriptedGuest(failures={call: error}))).result
    assert result.outcome is Outcome.ERROR
    assert told in reason(result)


@pytest.mark.parametrize(
    "step",
    [
        "{wait: gone}",
        "{stdout: gone}",
        "{lines: gone}",
        "{signal: gone, with: TERM}",
        "{winsize: gone, rows: 2, columns: 2}",
        "{stdin: gone, text: x}",
        "{close_stdin: gone}",
        "{eventually: {lines: gone, expect: 1}}",
    ],
)
async def test_a_process_whose_exec_failed_is_told_by_name(step: str, autojump_clock: MockClock) -> None:
    exec_ = "- {exec: one, command: [wait], as: gone}"
    guest = ScriptedGuest(failures={"exec_process": AgentError("no")})
    ran = await run(scenario(f"{exec_}\n- {step}\n- {{state: one}}"), keep_going=True, guest=guest)
    assert [one.outcome for one in ran.result.steps] == [Outcome.FAILED, Outcome.FAILED, Outcome.HELD]
    failure = ran.result.steps[1].failure
    assert failure is not None
    assert (failure.expected, "'gone' did not hold" in failure.seen) == ("a process that was started", True)
    # and at the end of a run that stopped there
    guest = ScriptedGuest(failures={"exec_process": AgentError("no")})
    ran = await run(scenario(exec_, more=f"finally:\n  - {step}\n"), guest=guest)
    assert [one.outcome for one in ran.result.steps] == [Outcome.FAILED, Outcome.FAILED]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_step_that_could_not_be_told_hides_no_failure(
    order: tuple[int, int], autojump_clock: MockClock
) -> None:
    steps = ["- {probe: {freezer: one}, expect: frozen}\n", "- {state: one, expect: paused}\n"]
    guest = ScriptedGuest(failures={"probe": Unsupported("no freezer")})
    ran = await run(scenario("".join(steps[place] for place in order)), keep_going=True, guest=guest)
    assert {one.outcome for one in ran.result.steps} == {Outcome.SKIPPED, Outcome.FAILED}
    assert (ran.result.outcome, "steps" in ran.result.reason) == (Outcome.FAILED, True)


# a step with a probe somewhere in it; what the guest is asked all the same; and how many steps of the file are skipped
UNTOLD: list[tuple[str, list[str], int]] = [
    ("- {probe: {freezer: one}, expect: frozen}", [], 1),
    ("- {eventually: {probe: {freezer: one}, expect: frozen}}", [], 1),
    ("- {grows: {probe: {processes: one}}}", [], 1),
    ("- {always: {probe: {freezer: one}, expect: frozen}, while: [{pause: one}]}", ["pause"], 1),
    ("- {unchanged: {probe: {freezer: one}}, while: [{pause: one}]}", ["pause"], 1),
    ("- {parallel: [{probe: {freezer: one}}, {pause: one}]}", ["pause"], 0),
    ("- {repeat: 2, steps: [{probe: {freezer: one}}, {pause: one}, {resume: one}]}", ["pause", "resume"] * 2, 0),
    ("- {race: [{probe: {freezer: one}}, {pause: one}], expect: 2}", ["pause"], 0),
    (
        "- {probe: {processes: one}, save: many}\n- {exec: one, command: [print, 'x${many}'], as: mine}\n- {pause: one}",
        ["pause"],
        2,
    ),
]


@pytest.mark.parametrize(("steps", "asked", "skipped"), UNTOLD, ids=[row[0] for row in UNTOLD])
async def test_a_step_that_can_not_be_told_is_skipped_alone(
    steps: str, asked: list[str], skipped: int, autojump_clock: MockClock
) -> None:
    ran = await run(scenario(f"{steps}\n- {{state: one}}"), lacks="probes")
    assert (ran.result.outcome, ran.result.reason) == (Outcome.HELD, "")
    tops = [step.outcome for step in ran.result.steps if "." not in step.path]
    assert (tops.count(Outcome.SKIPPED), tops[-1]) == (skipped, Outcome.HELD)
    assert any(step.outcome is Outcome.SKIPPED for step in ran.result.steps)
    called = [line.split()[0] for line in ran.guest.log]
    assert [verb for verb in called if verb in ("pause_container", "resume_container", "exec_process")] == [
        f"{verb}_container" for verb in asked
    ]
    assert (f", {skipped} skipped," in last_line(ran.result)) is bool(skipped)


async def test_so_is_one_whose_answer_says_so(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"probe": Unsupported("no freezer")})
    ran = await run(scenario("- {eventually: {probe: {freezer: one}, expect: frozen}}\n- {pause: one}"), guest=guest)
    assert ran.result.outcome is Outcome.HELD
    assert [step.outcome for step in ran.result.steps] == [Outcome.SKIPPED, Outcome.HELD]


async def test_a_file_of_which_nothing_can_be_told_is_skipped(autojump_clock: MockClock) -> None:
    ran = await run(scenario("- {probe: {freezer: one}, expect: frozen}"), lacks="probes")
    assert (ran.result.outcome, "nothing of it can be told" in ran.result.reason) == (Outcome.SKIPPED, True)
    # and one that says that it is about them, before anything starts
    ran = await run(scenario("- {state: one}", more="needs: [probes]"), lacks="probes")
    assert (ran.result.outcome, ran.result.steps, ran.guest.log) == (Outcome.SKIPPED, (), [])


async def test_a_world_of_which_nobody_can_tell_who_serves_it_is_an_error(autojump_clock: MockClock) -> None:
    guest = ScriptedGuest(failures={"identify": AgentUnreachable("nobody")})
    ran = await run(scenario("- {pause: one}"), lacks="pause", guest=guest)
    assert (ran.result.outcome, ran.result.steps, ran.guest.log) == (Outcome.ERROR, (), [])
    assert "agent_unreachable: nobody" in ran.result.reason
