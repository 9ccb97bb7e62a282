"""The command line as argparse knows it, made of the table of commands; and how a usage error is printed."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, NoReturn

from actors import VERSION
from actors.cli.commands import COMMANDS
from actors.cli.exits import EXIT_CODES, Exit
from actors.cli.say import note, say

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

__all__ = ["build_parser", "print_usage_error", "suggestion"]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong and what was perhaps meant; the usage of twenty options would hide it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        choice = re.fullmatch(r"argument .*: invalid choice: '(.*)' \(choose from (.*)\)", message)
        like = suggestion(choice[1], [word.strip("' ") for word in choice[2].split(",")]) if choice else ""
        # of a number it says which, as all that is checked later does
        message = re.sub(r"^argument (\S+): (.*: expected )", r"\1 \2", message)
        print_usage_error(self.prog, f"{message}{like}")
        self.exit(Exit.USAGE)


class _Version(argparse.Action):
    """Printed as everything else is."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        say(f"katrio {VERSION}")
        parser.exit(Exit.HELD)


def build_parser(words: Container[str] | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line, or of one with these words: commands that are not among them have no arguments."""
    parser = _Parser(
        prog="katrio",
        description="Sandboxes and containers as Trio actors: run scenario files against them.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        made = subparsers.add_parser(name, help=command.help)
        if words is None or name in words:
            line = command.load()
            made.description, made.epilog = line.description, line.epilog
            if line.add_arguments is not None:
                line.add_arguments(made)
    return parser


def print_usage_error(program: str, message: str) -> None:
    """On the error stream, with the command that prints the help."""
    note(f"{program}: error: {message}", f"what there is: {program} --help")


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that was probably meant, or an empty text."""
    from actors.suggest import did_you_mean

    return did_you_mean(word, known)
