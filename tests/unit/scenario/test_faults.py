"""Every fault of a scenario file: where it is told, in which words; and whether the published schema sees it as well."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import fastjsonschema
import pytest
import yaml

from actors.scenario.reading.load import load_text
from actors.scenario.reading.problems import ScenarioError
from actors.scenario.reading.schema import scenario_schema
from actors.scenario.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = sorted((ROOT / "scenarios").rglob("*.yaml"))

HEAD = """\
name: x
why: y
vars: {known: text}
sandboxes:
  box:
    containers:
      one: {command: [sleep, "9"], labels: {role: worker}}
      two: {command: [sleep, "9"], count: 2}
steps:
"""
EXAMPLE_HEAD = HEAD.removesuffix("steps:\n").replace(", count: 2", "")
# of the first line after HEAD
FIRST = HEAD.count("\n") + 1


@cache
def checker() -> Callable[[object], object]:
    """The published schema's; half a second, which whoever only collects these tests need not spend."""
    return fastjsonschema.compile(json.loads(json.dumps(scenario_schema())))


class Case(NamedTuple):
    """`place` is line:column, the line counted from the first step when `text` begins with a dash."""

    text: str
    place: str
    words: str
    schema: bool = True


# faults of steps: HEAD stands before them
FAULTS = {
    "unknown verb": Case("- paus: one", "1:3", "steps[0]: found 'paus', expected a verb; did you mean pause?"),
    "no verb": Case("- {name: nothing}", "1:3", "found no verb, expected a verb"),
    "a text that became a mapping": Case(
        "- {exec: one, command: [sh, -c, echo a: b]}",
        "1:33",
        "found a mapping (echo a: b), expected text, with quotes around a text that has ': ' in it",
    ),
    "a command that became a mapping": Case(
        "- exec: one\n  command: {echo a: b}", "2:12", "found a mapping (echo a: b), expected a list of words"
    ),
    "two verbs": Case("- {pause: one, resume: one}", "1:3", "found pause and resume, expected one verb in a step"),
    "not a mapping": Case("- pause", "1:3", "found 'pause', expected a step: one verb and what it acts on"),
    "unknown field": Case("- {exec: one, command: ls, cdw: /}", "1:28", "did you mean cwd?"),
    "missing field": Case("- {exec: one}", "1:3", "steps[0].command: found nothing, expected the field 'command'"),
    "a field twice": Case("- {pause: one, pause: one}", "1:16", "'pause' a second time", schema=False),
    "unknown container": Case("- pause: oen", "1:10", "found 'oen', expected a container", schema=False),
    "near container": Case("- pause: onee", "1:10", "did you mean one?", schema=False),
    "counted container": Case("- pause: two", "1:10", "found 'two', expected a container", schema=False),
    "number beyond the count": Case("- pause: two-3", "1:10", "did you mean two-2?", schema=False),
    "a sandbox is no container": Case("- pause: box", "1:10", "found 'box', expected a container", schema=False),
    "unknown process": Case("- wait: nobody", "1:9", "or a process named by an earlier exec", schema=False),
    "process before its exec": Case(
        "- wait: proc\n- {exec: one, command: ls, as: proc}", "1:9", "found 'proc'", schema=False
    ),
    "process twice": Case(
        "- {exec: one, command: ls, as: proc}\n- {exec: one, command: ls, as: proc}",
        "2:32",
        "found the name 'proc' again, expected a name of its own",
        schema=False,
    ),
    "process of another round": Case(
        "- for_each: [a]\n  as: i\n  steps: [{exec: one, command: ls, as: proc}]\n- wait: proc",
        "4:9",
        "'proc'",
        schema=False,
    ),
    "unknown value": Case('- {exec: one, command: "${knwn}"}', "1:24", "did you mean known?", schema=False),
    "value before its save": Case(
        '- {exec: one, command: "${late}"}\n- {state: one, save: late}', "1:24", "found ${late}", schema=False
    ),
    "saved value in a name": Case(
        '- {state: one, save: late}\n- {pause: "${late}"}', "2:11", "known before anything starts", schema=False
    ),
    "for_each name that is not there": Case(
        '- for_each: 1..3\n  as: n\n  steps: [{pause: "two-${n}"}]', "3:19", "found 'two-3'", schema=False
    ),
    "for_each too long": Case(
        "- {for_each: 1..5000, as: n, steps: [{sleep: 1s}]}", "1:14", "at most 1000", schema=False
    ),
    "no rate": Case(
        "- {rate: 0, during: 1s, steps: [{sleep: 1s}]}",
        "1:10",
        "more than 0 and at most 1000 rounds a second",
        schema=False,
    ),
    "too high a rate": Case(
        "- {rate: 1001, during: 1s, steps: [{sleep: 1s}]}", "1:10", "found 1001, expected more than 0", schema=False
    ),
    "for_each backwards": Case("- {for_each: 5..1, as: n, steps: [{sleep: 1s}]}", "1:14", "a range", schema=False),
    "for_each of nothing": Case("- {for_each: [], as: n, steps: [{sleep: 1s}]}", "1:14", "found an empty list"),
    "no such labels": Case(
        "- {for_each: {labels: {role: king}}, as: n, steps: [{sleep: 1s}]}",
        "1:14",
        "no container with role: king",
        schema=False,
    ),
    "bad time": Case("- sleep: soon", "1:10", "found 'soon', expected a time such as 300ms, 5s or 2m"),
    "time without unit": Case("- sleep: 5", "1:10", "found '5', expected a time"),
    "bad signal": Case("- {signal: one, with: TREM}", "1:23", "did you mean TERM?"),
    "signal beyond": Case("- {signal: one, with: 65}", "1:23", "expected a signal's name"),
    "bad flag, YAML 1.1": Case(
        "- {signal: one, with: TERM, all: yes}", "1:34", "found 'yes', expected true or false", schema=False
    ),
    "bad flag": Case("- {signal: one, with: TERM, all: often}", "1:34", "expected true or false"),
    "bad count": Case("- {repeat: 0, steps: [{sleep: 1s}]}", "1:12", "a whole number from 1 to 1000000"),
    "bad rate": Case("- {rate: fast, during: 1s, steps: [{sleep: 1s}]}", "1:10", "found 'fast', expected a number"),
    "bad regex": Case('- {stdout: one, expect: {matches: "("}}', "1:35", "a regular expression", schema=False),
    "bad range": Case("- {lines: one, expect: {range: [1]}}", "1:32", "found 1 of them, expected two numbers"),
    "bad code": Case("- {pause: one, expect: {error: not_fund}}", "1:32", "did you mean not_found?"),
    "bad code in a list": Case("- {pause: one, expect: {error: [none, x]}}", "1:39", "expected an error's code"),
    "nothing expected": Case("- {pause: one, expect: {}}", "1:24", "at least one condition"),
    "expectation of another verb": Case(
        "- {pause: one, expect: {exit: 0}}", "1:3", "found 'exit', expected of pause: "
    ),
    "value of a step without": Case("- {delete: one, expect: 3}", "1:3", "found 'equals', expected of delete: error"),
    "unknown condition": Case("- {state: one, expect: {is: running}}", "1:25", "found the field 'is'"),
    "state that there is not": Case(
        "- {state: one, expect: pausd}", "1:24", "expect: found 'pausd', expected one of", schema=False
    ),
    "state of a look": Case(
        "- eventually: {state: one, expect: {one_of: [paused, runing]}}", "1:36", "did you mean running?", schema=False
    ),
    "state after a verb": Case("- {pause: one, expect: {state: pausd}}", "1:32", "did you mean paused?", schema=False),
    "exit code in words": Case(
        "- {wait: one, expect: {exit: four}}", "1:30", "'four', expected a number", schema=False
    ),
    "count in words": Case(
        "- {race: [{pause: one}], expect: two}", "1:34", "found 'two', expected a number", schema=False
    ),
    "another tool's word": Case("- unpause: one", "1:3", "did you mean resume?"),
    "names that would do": Case("- pause: cc", "1:10", "a container of this file: one, two-1, two-2", schema=False),
    "why it is no regex": Case('- {stdout: one, expect: {matches: "(saw"}}', "1:35", "missing ), unterm", schema=False),
    "bad probe": Case("- probe: {temperature: one}", "1:11", "expected one of freezer, processes"),
    "two probes": Case("- probe: {freezer: one, processes: one}", "1:10", "found 2 things"),
    "bad fault": Case("- fault: {flood: box}", "1:11", "expected one of kill_guest"),
    "inner step that acts": Case("- eventually: {pause: one}", "1:3", "a step that only looks"),
    "nothing to wait for": Case(
        "- eventually: {state: one}", "1:3", "found nothing, expected what to expect of the inner step"
    ),
    "expectation of a standstill": Case(
        "- unchanged: {lines: one, expect: 3}\n  during: 1s", "1:3", "no expectation here"
    ),
    "always for how long": Case("- always: {state: one, expect: running}", "1:3", "found neither"),
    "always twice": Case(
        "- always: {state: one, expect: running}\n  during: 1s\n  while: [{sleep: 1s}]", "1:3", "found both"
    ),
    "bad save": Case("- {state: one, save: {a: 'b..c'}}", "1:26", "a JSON path"),
    "unknown wire verb": Case("- {call: one, verb: puase}", "1:3", "did you mean pause?", schema=False),
    "wrong arguments": Case("- {call: one, verb: signal, args: {signal: TERM}}", "1:3", "steps[0].args", schema=False),
    "include from afar": Case(
        "- include: /etc/passwd", "1:12", "expected a file beside this one, or below", schema=False
    ),
    "name too long": Case(f"- {{exec: one, command: ls, as: {'p' * 41}}}", "1:32", "a new name for the process"),
    "null": Case("- pause: ~", "1:10", "found nothing, expected a container of this file"),
}
# faults of whole files
FILES = {
    "nothing": Case("", "", "found nothing, expected a scenario"),
    "a list": Case("[]", "1:1", "found an empty list, expected a mapping"),
    "no name": Case("why: y\nsteps: []", "1:1", "name: found nothing, expected the field 'name'"),
    "no steps": Case("name: x\nwhy: y", "1:1", "steps: found nothing, expected the field 'steps'"),
    "unknown field": Case("name: x\nwhy: y\nstep: []\nsteps: []", "3:1", "did you mean steps?"),
    "unknown need": Case("name: x\nwhy: y\nneeds: [contaners]\nsteps: []", "3:9", "did you mean containers?"),
    "bad limit": Case("name: x\nwhy: y\nlimits: {total: long}\nsteps: []", "3:17", "limits.total: found 'long'"),
    "bad size": Case("name: x\nwhy: y\ndefaults: {memory: 64MB}\nsteps: []", "3:20", "found '64MB', expected a size"),
    "a size without a unit": Case("name: x\nwhy: y\ndefaults: {memory: 64}\nsteps: []", "3:20", "a size with its unit"),
    "no size": Case(
        "name: x\nwhy: y\ndefaults: {memory: 0MiB}\nsteps: []", "3:20", "a size with its unit", schema=False
    ),
    "a size beyond all numbers": Case(
        "name: x\nwhy: y\ndefaults: {memory: 99999999999GiB}\nsteps: []", "3:20", "found '99999999999GiB'", schema=False
    ),
    "a count of thousands of digits": Case(
        f"name: x\nwhy: y\ndefaults: {{pids: {'0' * 5000}1}}\nsteps: []", "3:18", "a whole number", schema=False
    ),
    "bad name": Case("name: x\nwhy: y\nsandboxes: {'a b': {}}\nsteps: []", "3:13", "found 'a b', expected a name"),
    "short name": Case("name: x\nwhy: y\nsandboxes: {a: {}}\nsteps: []", "3:13", "a name of 2 to 40 letters"),
    "no command": Case(
        "name: x\nwhy: y\nsandboxes: {box: {containers: {one: {}}}}\nsteps: []", "3:32", "no command", schema=False
    ),
    "sandbox and container": Case(
        "name: x\nwhy: y\ndefaults: {command: ls}\nsandboxes: {box: {containers: {box: {}}}}\nsteps: []",
        "4:32",
        "'box', which is a sandbox too",
        schema=False,
    ),
    "ambiguous": Case(
        "name: x\nwhy: y\ndefaults: {command: ls}\nsandboxes: {aa: {containers: {one: {}}}, bb: {containers: {one: {}}}}\n"
        "steps:\n  - pause: one",
        "6:12",
        "several sandboxes have (write sandbox/one)",
        schema=False,
    ),
    "count collides": Case(
        "name: x\nwhy: y\ndefaults: {command: ls}\nsandboxes: {box: {containers: {one-1: {}, one: {count: 2}}}}\nsteps: []",
        "4:43",
        "'one-1' (on line 4 already)",
        schema=False,
    ),
    "too many": Case(
        "name: x\nwhy: y\ndefaults: {command: ls}\nsandboxes: {box: {containers: {one: {count: 9999}}}}\nsteps: []",
        "4:32",
        "a count of 9999, expected at most 512",
        schema=False,
    ),
    "variable without value": Case(
        "name: x\nwhy: y\nvars: {v: {env: SURELY_NOT_SET}}\nsteps: []",
        "3:11",
        "SURELY_NOT_SET set, a 'default'",
        schema=False,
    ),
    "bad threshold": Case(
        "name: x\nwhy: y\nthresholds: [p95 exec]\nsteps: []", "3:14", "a threshold such as p95(exec) < 50ms"
    ),
    "threshold without unit": Case(
        "name: x\nwhy: y\nthresholds: [p95(exec) < 50]\nsteps: []", "3:14", "compared with a time"
    ),
    "count with unit": Case(
        "name: x\nwhy: y\nthresholds: [count(exec) < 5s]\nsteps: []", "3:14", "with a plain number"
    ),
    "broken YAML": Case("name: x\nwhy: [", "3:1", "found broken YAML", schema=False),
    "a tab": Case(
        "name: x\nwhy: y\nsandboxes:\n\tbox: {}\nsteps: []", "4:1", "found a tab, expected spaces", schema=False
    ),
    "a tab in a step": Case(
        "name: x\nwhy: y\nsteps:\n- exec: one\n \tcommand: a", "5:2", "found a tab, expected spaces", schema=False
    ),
    "a second colon": Case(
        "name: x\nwhy: echo a: b\nsteps: []", "2:12", "expected quotes around a text that has ': ' in it", schema=False
    ),
    "a sign of YAML's": Case("name: @x\nwhy: y\nsteps: []", "1:7", "a text that begins with '@'", schema=False),
    "a quote that stays open": Case(
        "name: 'x\nwhy: y\nsteps: []", "3:10", "found a quote that nothing closes", schema=False
    ),
    "a Chaos Toolkit experiment": Case(
        "title: x\ndescription: y\nmethod: []\nrollbacks: []", "", "found a Chaos Toolkit experiment", schema=False
    ),
    "the same as JSON": Case(
        '{"version": "1.0.0", "title": "x", "steady-state-hypothesis": {}, "method": []}',
        "",
        "found a Chaos Toolkit experiment, expected a scenario of katrio's",
        schema=False,
    ),
    "a manifest": Case("apiVersion: v1\nkind: Pod\nmetadata: {}", "", "found a Kubernetes manifest", schema=False),
    "threshold below every time": Case(
        "name: x\nwhy: y\nthresholds: ['p95(exec) < 0ms']\nsteps: []", "3:14", "which nothing can meet", schema=False
    ),
    "threshold below every count": Case(
        "name: x\nwhy: y\nthresholds: [errors(exec) < 0]\nsteps: []", "3:14", "which nothing can meet", schema=False
    ),
    "threshold of a part": Case(
        "name: x\nwhy: y\nthresholds: [count(exec) == 1.5]\nsteps: []", "3:14", "expected a whole number", schema=False
    ),
    "two documents": Case("name: x\n---\nname: y", "2:1", "another document", schema=False),
    "an alias": Case("name: x\nwhy: *a\nsteps: []", "2:6", "found the alias *a, expected no aliases", schema=False),
    "an anchor": Case("name: &a x\nwhy: y\nsteps: []", "1:7", "found the anchor &a, expected no anchors", schema=False),
    "threshold of no ask": Case(
        "name: x\nwhy: y\nthresholds: ['p95(exce) < 50ms']\nsteps: []", "3:14", "did you mean exec?", schema=False
    ),
    "a tag that runs code": Case(
        "name: !!python/object/apply:os.system [ls]\nwhy: y\nsteps: []", "1:7", "expected text", schema=False
    ),
    "a key that is no text": Case("? [a]\n: b\n", "1:3", "expected a name as the key", schema=False),
    "no UTF-8": Case("name: \udcff", "1:1", "found byte 0xff, expected UTF-8", schema=False),
    "deep": Case("name: " + "[" * 30 + "]" * 30, "1:30", "found nesting deeper than 24", schema=False),
    "wide": Case("name: [" + "a," * 20_001 + "]", "1:40002", "found more than 20000 values", schema=False),
    "huge": Case("#" * 300_000, "", "found 262145 bytes", schema=False),
}
ALL = [
    *((f"step: {name}", case, FIRST) for name, case in FAULTS.items()),
    *((f"file: {name}", case, 1) for name, case in FILES.items()),
]
CASES = [pytest.param(case, first, id=name) for name, case, first in ALL]
SHAPES = [pytest.param(case, first, id=name) for name, case, first in ALL if case.schema]


def whole(case: Case, first: int) -> str:
    """The file: steps get their head."""
    return HEAD + case.text + "\n" if first > 1 else case.text


@pytest.mark.parametrize(("case", "first"), CASES)
def test_a_fault_is_told_with_its_place_and_what_to_do(case: Case, first: int) -> None:
    data = whole(case, first).encode(errors="surrogateescape")[: 256 * 1024 + 1]
    with pytest.raises(ScenarioError) as caught:
        load_text(data, "file.yaml")
    problem = caught.value.problems[0]
    line, _, column = case.place.partition(":")
    place = f"file.yaml:{int(line) + first - 1}:{column}: " if case.place else "file.yaml: "
    said = str(problem)
    assert said.startswith(place), said
    assert case.words in said


@pytest.mark.parametrize(("case", "first"), SHAPES)
def test_the_schema_refuses_what_the_loader_refuses_for_its_shape(case: Case, first: int) -> None:
    tree: Any = yaml.safe_load(whole(case, first))
    with pytest.raises(fastjsonschema.JsonSchemaException):
        checker()(tree)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_schema_accepts_every_scenario(path: Path) -> None:
    checker()(yaml.safe_load(path.read_text()))


def test_the_head_of_the_cases_is_right_by_itself() -> None:
    text = HEAD + "  - sleep: 1s\n"
    assert load_text(text.encode(), "file.yaml").scenario.name == "x"
    checker()(yaml.safe_load(text))


def test_all_faults_of_a_file_are_told_at_once() -> None:
    text = HEAD + "- paus: one\n- sleep: soon\n- {exec: one}\n"
    with pytest.raises(ScenarioError) as caught:
        load_text(text.encode(), "file.yaml")
    assert [problem.line for problem in caught.value.problems] == [FIRST, FIRST + 1, FIRST + 2]


@pytest.mark.parametrize("verb", STEPS)
def test_the_reference_has_an_example_of_every_verb_that_loads(verb: str) -> None:
    text = f"{EXAMPLE_HEAD}steps:\n  - {STEPS[verb].example}\n"
    part = b"vars: {which: two}\nsteps: [{sleep: 1s}]"
    (step,) = load_text(text.encode(), "file.yaml", read=lambda name: part).scenario.steps
    assert step.word == verb
    if verb != "include":
        checker()(yaml.safe_load(text))


def test_the_published_schema_and_the_reference_are_those_of_the_language() -> None:
    script = ROOT / "scripts" / "scenario-reference"
    said = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(
    ("words", "needs"),
    [
        ("sandboxes: {box: {containers: {one: {command: x, memory: 64MiB}}}}\nsteps: []", {"limits"}),
        (
            "sandboxes: {box: {defaults: {pids: 9}, containers: {one: {command: x}}}}\nsteps: []",
            {"limits", "pids_limit"},
        ),
        (
            "sandboxes: {box: {containers: {one: {command: x}}}}\nsteps: [{repeat: 2, steps: [{update: one, pids: 9}]}]",
            {"limits", "pids_limit"},
        ),
        ("sandboxes: {box: {containers: {one: {command: x, readonly: true}}}}\nsteps: []", {"images"}),
        ("sandboxes: {box: {containers: {one: {command: x, readonly: false}}}}\nsteps: []", set[str]()),
        ("defaults: {cpus: 0.5}\nsandboxes: {box: {containers: {one: {command: x}}}}\nsteps: []", {"limits"}),
        (
            "sandboxes: {box: {containers: {one: {command: x}}}}\n"
            "steps: [{info: one, expect: {json: {oom_kills: 0}}}, {info: one, save: {kills: oom_kills}}]",
            {"oom", "oom_told"},
        ),
        ("sandboxes: {box: {containers: {one: {command: x}}}}\nsteps: []", set[str]()),
    ],
)
def test_what_is_limited_or_looked_for_is_needed(words: str, needs: set[str]) -> None:
    assert set(load_text(f"name: x\nwhy: y\n{words}".encode(), "f").needs) == needs
