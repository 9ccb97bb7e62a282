"""Every command says how it is used, in both ways of asking; its options are those of the pages."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from actors.cli.parser import build_parser

DOCS = Path(__file__).resolve().parents[3] / "docs"
# where a command's options are described
PAGES = {"conformance": "conformance.md", "call": "katrio-call.md", "run": "scenarios.md"}
PARSER = build_parser()
COMMANDS: dict[str, argparse.ArgumentParser] = next(
    dict(one.choices or ()) for one in PARSER._actions if one.nargs == argparse.PARSER
)
NUMBERS = [
    (name, action.option_strings[0])
    for name, command in COMMANDS.items()
    for action in command._actions
    if action.metavar == "N"
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert PARSER.parse_args(["help", command]).about == command
    with pytest.raises(SystemExit, match="0"):
        PARSER.parse_args([command, "--help"])
    assert f"usage: katrio {command}" in capsys.readouterr().out


def test_the_readme_has_a_row_for_each_command_and_for_no_other() -> None:
    section = (DOCS.parent / "README.md").read_text("utf-8").partition("## The command")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith(("| `", "| `eval"))]
    assert {name for row in rows for name in re.findall(r"katrio (\w+)", row)} == set(COMMANDS)


@pytest.mark.parametrize("command", PAGES)
def test_a_page_names_each_option_and_no_other(command: str) -> None:
    page = (DOCS / PAGES[command]).read_text("utf-8")
    there = {name for action in COMMANDS[command]._actions for name in action.option_strings if name.startswith("--")}
    rows = " ".join(re.findall(r"^\| (`--.*?) \|", page, re.MULTILINE))
    assert set(re.findall(r"--[a-z-]+", rows)) <= there
    assert there - {"--help"} <= set(re.findall(r"--[a-z-]+", page))


@pytest.mark.parametrize(("command", "option"), NUMBERS)
@pytest.mark.parametrize("text", ["abc", "", "1 2", "nan", "inf", "1e9"])
def test_a_number_that_is_none_is_told_with_what_was_expected(
    command: str, option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        PARSER.parse_args([command, f"{option}={text}"])
    assert f"katrio {command}: error: {option} {text}: expected " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [("--slow", number, "how many times as slow, 1 to 1000") for number in ("0", "0.5", "-1", "1001")]
    + [("--jobs", "0", "1 to 64"), ("--jobs", "65", "1 to 64"), ("--repeat", "0", "1 to 100000")],
)
def test_a_number_out_of_bounds_is_told_with_the_bounds(
    option: str, text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        PARSER.parse_args(["run", f"{option}={text}"])
    assert f"{option} {text}: expected {expected}\n" in capsys.readouterr().err
