"""A step, and a kind of fault, are added in as few places as CONTRIBUTING.md says: done on a copy of the tree, and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from actors.scenario.language.needs import Fault, Probe
from actors.scenario.steps import STEPS
from actors.scenario.steps.base import Step
from actors.worlds import embedded, simulated

ROOT = Path(__file__).resolve().parents[2]

ADDED = '''
class Children(Look, frozen=True, kw_only=True, omit_defaults=True):
    """How many children its actor has."""

    word = "children"
    elsewhere = frozenset({"offspring"})
    example = "{children: box, expect: 1}"
    values = COUNT
    children: Annotated[Target, "Whose children are counted."]

    async def perform(self, attempt: Attempt) -> Observed:
        """See `Single.perform`."""
        info = await attempt.ask("info", self.children, attempt.sandbox(self.children).info(timeout=attempt.budget))
        return Observed(len(info.children))


STEPS = (Children, '''
SCENARIO = """\
name: a new word
why: it is known everywhere
sandboxes:
  box:
    containers:
      one: {command: [sleep, "9"]}
steps:
  - {children: box, expect: 1, save: number}
  - eventually: {children: box, expect: "${number}"}
  - {fault: {lose_guest: box}}
  - eventually: {state: one, expect: lost}
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with one step more, in one file, and one kind of fault more, in two."""
    tree = tmp_path_factory.mktemp("tree")
    for part in ("actors", "transports", "scripts"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "docs").mkdir()
    for path, old, new in (
        ("actors/scenario/steps/looks.py", "\nSTEPS = (", ADDED),
        (
            "actors/scenario/language/needs.py",
            '    KILL_GUEST = "',
            '    LOSE_GUEST = "lose_guest", "the guest is lost"\n    KILL_GUEST = "',
        ),
        (
            "actors/worlds/simulated.py",
            "{Fault.KILL_GUEST: ",
            "{Fault.LOSE_GUEST: SimulatedGuests.kill, Fault.KILL_GUEST: ",
        ),
    ):
        text = (tree / path).read_text("utf-8")
        assert text.count(old) == 1
        (tree / path).write_text(text.replace(old, new), "utf-8")
    (tree / "file.yaml").write_text(SCENARIO, "utf-8")
    return tree


def said(tree: Path, *words: str, code: int = 0) -> str:
    """What Python says in the copy."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_scenario_runs_with_it(tree: Path) -> None:
    ran = said(tree, "-m", "actors.cli.start", "run", "--world", "simulated", "--json", "file.yaml")
    result = json.loads(ran.splitlines()[0])
    assert [(step["title"], step["outcome"]) for step in result["steps"]] == [
        ("children box", "held"),
        ("eventually children box", "held"),
        ("fault lose_guest box", "held"),
        ("eventually state one", "held"),
    ]


def test_every_step_is_listed() -> None:
    below = list(Step.__subclasses__())
    for one in below:
        below += one.__subclasses__()
    assert {one for one in below if "word" in vars(one)} == set(STEPS.values())


def test_what_the_worlds_know_is_what_the_language_has() -> None:
    assert {*embedded.FAULTS, *simulated.FAULTS} == set(Fault)
    assert {*embedded.PROBES, *simulated.PROBES} == set(Probe)


def test_a_file_is_checked_by_it(tree: Path) -> None:
    wrong = "  - {children: box, expect: many}\n  - {offspring: box}\n  - {unchanged: {children: bx}, during: 1s}\n"
    (tree / "wrong.yaml").write_text(SCENARIO + wrong, "utf-8")
    told = said(tree, "-m", "actors.cli.start", "validate", "wrong.yaml", code=2)
    assert "found 'many', expected a number" in told
    assert "did you mean children?" in told


def test_the_reference_has_it(tree: Path) -> None:
    said(tree, "scripts/scenario-reference")
    reference = (tree / "docs" / "scenario-reference.md").read_text("utf-8")
    assert "### children\n\nHow many children its actor has." in reference
    assert "| `children` | Whose children are counted. Required. |" in reference
    assert "```yaml\n- {children: box, expect: 1}\n```" in reference
    assert "| `lose_guest` | the guest is lost |" in reference
    schema = json.loads((tree / "docs" / "scenario.schema.json").read_text("utf-8"))
    assert "step-children" in schema["definitions"]
