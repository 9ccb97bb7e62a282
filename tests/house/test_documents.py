"""What is written about the repository is true of it: commands exist, links lead somewhere, modules say what they are."""

from __future__ import annotations

import ast
import os
import re
import shlex
from pathlib import Path

import pytest

import katrio

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = [
    path
    for folder in ("actors", "katrio", "transports", "tests", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
MAX_DOCSTRING_LINES = 12
# of a hard module, which explains itself before its code
MAX_THEORY_LINES = 20


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(document: Path) -> list[str]:
    """The programs of this repository that a document's shell blocks call."""
    blocks = re.findall(
        r"^```(?:sh|bash|console|shell)?\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("scripts/")]
    return [first for first, *_ in words]


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_the_commands_it_shows_can_be_run(document: Path) -> None:
    for command in commands(document):
        assert os.access(ROOT / command, os.X_OK), f"{relative(document)} shows {command}"


def test_the_readme_shows_the_two_commands_of_a_newcomer() -> None:
    assert {"scripts/demo", "scripts/test"} <= set(commands(ROOT / "README.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_its_links_into_the_repository_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text("utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{relative(document)} links to {target}"


def test_the_site_has_each_page_and_each_name_that_a_program_imports() -> None:
    """`scripts/docs` builds it; a page that is in no list it would refuse by itself."""
    named = re.findall(r"^\.\. auto\w+:: katrio\.(\w+)$", (ROOT / "docs/api.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(katrio.__all__)


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_a_module_says_what_it_is_for_in_a_dozen_lines(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text("utf-8")))
    assert docstring, f"{relative(module)} has no docstring"
    most = MAX_THEORY_LINES if "\nTheory of operation. " in docstring else MAX_DOCSTRING_LINES
    assert len(docstring.splitlines()) <= most
