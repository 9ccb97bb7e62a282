"""A plain verb (one call of the agent, no state of its own) is added to a copy of the tree, and is there for everybody.

What is written by hand is at most six files, those that CONTRIBUTING.md lists; the pages are made by their scripts. Then the
verb is served over a simulated guest, by a scenario too, is refused where the support table says so, and is on every page.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "actors",
    "katrio",
    "transports",
    "tests",
    "docs",
    "scenarios",
    "scripts",
    "CONTRIBUTING.md",
    "pyproject.toml",
)
GENERATED = {"docs/verbs.md", "docs/agents.md", "docs/scenario-reference.md", "docs/scenario.schema.json"}
MOST = 6
AGENTS, NAMES = "tests/conformance/test_agents.py", ("noop", "hyperstart", "kata-ttrpc")
# file -> what stands before what is added, and what is
ADDED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "actors/wire/sandbox_verbs.py": (
        (
            "class SandboxVerbs:",
            '''class Metrics(msgspec.Struct, frozen=True):
    """What the agent counts, as Prometheus has it."""

    text: str


''',
        ),
        (
            "    create_container =",
            """    get_metrics = reading(
        Nothing,
        Metrics,
        _UP,
        plain=True,
        support=KATA,
        step=StepWords("What the agent counts, as Prometheus has it.", "{get_metrics: box}"),
    )
""",
        ),
    ),
    "actors/handles/sandbox.py": (
        (
            "    async def create_container(",
            '''    async def get_metrics(self, *, timeout: Timeout = UNSET) -> str:
        """What its agent counts, as Prometheus has it. Raises: Unsupported."""
        return (await self._ask(SandboxVerbs.get_metrics, Nothing(), timeout)).text

''',
        ),
    ),
    "actors/agents/base.py": (
        ("if TYPE_CHECKING:", "from actors.wire.sandbox_verbs import Metrics\n\n"),
        (
            "\n\nclass SandboxAgent(",
            '''
    async def get_metrics(self) -> Metrics:
        """What it counts, as Prometheus has it."""
        return await self._without("get_metrics", Metrics(""))
''',
        ),
    ),
    "actors/agents/kata/agent.py": (
        ("if TYPE_CHECKING:", "from actors.wire.sandbox_verbs import Metrics\n\n"),
        (
            "\n\ndef _within(",
            """
    async def get_metrics(self) -> Metrics:
        return Metrics((await self._client.call(api.GetMetricsRequest())).metrics)
""",
        ),
    ),
    "tests/support/agent_body.py": (
        (
            "async def sandbox_reseed(",
            """async def sandbox_metrics(stage: Stage) -> None:
    assert ("katrio_containers" in await stage.box.get_metrics()) is stage.real


""",
        ),
        (
            '    ("sandbox", "set_guest_time")',
            '    ("sandbox", "get_metrics"): sandbox_metrics,\n',
        ),
    ),
}
SCENARIO = """\
name: counted
why: The step of a new verb is there.
sandboxes: {box: {}}
steps:
  - create: box
  - start: box
  - get_metrics: box
    expect: {contains: katrio_containers}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The copy, with the verb in it."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    for name, places in ADDED.items():
        text = (tmp_path / name).read_text("utf-8")
        for before, added in places:
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, added + before)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def run(tree: Path, *words: str) -> str:
    """A program over the copy, which must end well."""
    # several of them run, and the first compiles for all
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": ""}
    ran = subprocess.run(
        [sys.executable, *words], cwd=tree, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.returncode == 0, f"{words}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def changed(tree: Path) -> set[str]:
    """What differs from the tree that was copied."""
    files = (
        path.relative_to(tree)
        for name in COPIED
        for path in ([tree / name], (tree / name).rglob("*"))[(tree / name).is_dir()]
    )
    return {
        str(path)
        for path in files
        if (tree / path).is_file()
        and path.suffix != ".pyc"
        and (tree / path).read_bytes() != (ROOT / path).read_bytes()
    }


def test_a_plain_verb_is_at_most_six_files(tree: Path, tmp_path: Path) -> None:
    for script in ("tests.support.verbs_page", "tests.house.test_agents_page"):
        run(tree, "-m", script)
    run(tree, "scripts/scenario-reference")
    (tree / "counted.yaml").write_text(SCENARIO, "utf-8")
    # before the tests leave anything
    by_hand = changed(tree) - GENERATED
    assert by_hand == set(ADDED)
    assert len(by_hand) <= MOST

    assert "get_metrics" in run(tree, "-m", "actors.cli.start", "verbs")
    run(tree, "-m", "actors.cli.start", "run", "--world", "simulated", "counted.yaml")
    run(
        tree,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider"),
        # of Kata 1.x's dialect there is no such call
        *(f"{AGENTS}::test_what_each_verb_does_in_a_simulation_is_what_the_table_says[0-{name}]" for name in NAMES),
        f"{AGENTS}::test_the_table_has_every_verb_of_every_actor_and_an_exercise_for_each",
        "tests/unit/actors/test_guest_verbs.py",
        "tests/unit/wire/test_protocol_document.py",
        "tests/house/test_agents_page.py",
    )
    for page in GENERATED:
        assert "get_metrics" in (tree / page).read_text("utf-8"), page


def test_the_page_for_contributors_lists_those_files() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("**A verb.**")[2].partition("\n**")[0]
    for name in ADDED:
        assert name in section, name
    assert "actors/guest/services" in section, "where the guest does not answer the call yet"
