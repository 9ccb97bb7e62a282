"""Every command says how it is used, in both ways of asking."""

from __future__ import annotations

import argparse

import pytest

from actors.cli.main import build_parser

PARSER = build_parser()
COMMANDS = next(one.choices for one in PARSER._actions if one.nargs == argparse.PARSER) or ()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert PARSER.parse_args(["help", command]).about == command
    with pytest.raises(SystemExit, match="0"):
        PARSER.parse_args([command, "--help"])
    assert f"usage: katrio {command}" in capsys.readouterr().out
