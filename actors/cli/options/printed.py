"""Commands that print what katrio knows of itself: `schema`, `verbs`, `version`, `completion`, `help`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import actors
from actors.cli.commands import COMMANDS, CommandLine, work
from actors.cli.exits import Exit
from actors.cli.say import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["COMPLETION", "HELP", "SCHEMA", "SHELLS", "VERBS", "VERSION"]

SHELLS = ("bash", "zsh", "fish")


def _print(text: str) -> int:
    say(*text.splitlines())
    return Exit.HELD


def _schema(_: argparse.Namespace) -> Callable[[], int]:
    from actors.scenario.reading.schema import schema_text

    return lambda: _print(schema_text())


def _add_verbs(verbs: argparse.ArgumentParser) -> None:
    from actors.cli.options.arguments import add_json

    add_json(verbs, "one JSON list")


def _verbs(words: argparse.Namespace) -> Callable[[], int]:
    return partial(work("verbs:verbs"), as_json=words.json)


def _version(_: argparse.Namespace) -> Callable[[], int]:
    return lambda: _print(f"katrio {actors.VERSION}")


def _add_completion(command: argparse.ArgumentParser) -> None:
    command.add_argument("shell", choices=SHELLS)


def _completion(words: argparse.Namespace) -> Callable[[], int]:
    from actors.cli.completion import completion
    from actors.cli.parser import build_parser

    return lambda: _print(completion(build_parser(), words.shell))


def _add_help(command: argparse.ArgumentParser) -> None:
    command.add_argument("about", nargs="?", metavar="COMMAND", choices=sorted(COMMANDS))


def _help(words: argparse.Namespace) -> Callable[[], int]:
    from actors.cli.parser import build_parser

    asked = [words.about] if words.about else []

    def print_help() -> int:
        # as `katrio COMMAND --help` does, which ends by SystemExit
        build_parser(asked).parse_args([*asked, "--help"])
        return Exit.HELD

    return print_help


SCHEMA = CommandLine(_schema)
VERBS = CommandLine(_verbs, _add_verbs)
VERSION = CommandLine(_version)
COMPLETION = CommandLine(_completion, _add_completion)
HELP = CommandLine(_help, _add_help)
