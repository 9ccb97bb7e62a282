"""The page about simulated programs says what the code has: the table of programs, builtins, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

from actors.simulation.box.programs.shell.builtins import BUILTINS, UNSUPPORTED
from actors.simulation.box.programs.table import PROGRAMS

PAGE = (Path(__file__).parents[2] / "docs/simulated-programs.md").read_text("utf-8")


def test_the_table_of_programs_is_the_codes() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, row.summary) for name, row in PROGRAMS.items()]


def test_the_builtins_are_the_codes() -> None:
    listed = re.search(r"- builtins: `([^`]+)`", PAGE)
    assert listed is not None
    assert listed.group(1).split() == sorted(set(BUILTINS) - set(UNSUPPORTED))


def test_what_is_refused_is_named() -> None:
    refused = PAGE[PAGE.index("It refuses") : PAGE.index("## What a program sees")]
    assert set(UNSUPPORTED) <= set(re.findall(r"`([^`]+)`", refused))
