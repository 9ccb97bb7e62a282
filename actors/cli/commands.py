"""The table of commands: the one list that the parser, its help, completion and the dispatch are made of.

A row is a name, one line of help, and where the command itself is declared (`module:NAME`, as an entry point is written). That
module is imported when the command is asked for, so that a start imports what one command needs. To add a command: a `CommandLine`
in a module of `actors.cli.options`, and its row here. Not for the work, which `prepare` of the declaration imports.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

__all__ = ["COMMANDS", "Command", "CommandLine", "UsageError", "prepared", "work"]


class UsageError(Exception):
    """The words are right each by itself and make no sense together; the message says what to write."""


class CommandLine(NamedTuple):
    """What a command takes, and what it does.

    Attributes:
        prepare: imports what the work needs, validates the arguments, and returns the work, which returns the exit code.
            Raises: UsageError.
        add_arguments: declares the arguments.
        description, epilog: of its help, beside the line in the table; laid out as they are written.
        takes_more: positional words may go on after an option; they are appended to the argument `words`. (argparse takes one
            run of them.)
    """

    prepare: Callable[[argparse.Namespace], Callable[[], int]]
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None
    description: str | None = None
    epilog: str | None = None
    takes_more: bool = False


def work(entry_point: str) -> Callable[..., int]:
    """Import what a command does, by an entry point relative to `actors.cli`: the declaration of its arguments does not know it."""
    found: Callable[..., int] = _imported(entry_point)
    return found


def prepared(
    parse: Callable[[argparse.Namespace], object], entry_point: str
) -> Callable[[argparse.Namespace], Callable[[], int]]:
    """The `prepare` of a command whose work takes what `parse` makes of its arguments."""

    def prepare(words: argparse.Namespace) -> Callable[[], int]:
        options = parse(words)
        return partial(work(entry_point), options)

    return prepare


def _imported(entry_point: str) -> Any:
    module, _, name = entry_point.partition(":")
    return getattr(import_module(f"actors.cli.{module}"), name)


class Command(NamedTuple):
    """A row: the help is one line; the entry point is relative to `actors.cli`."""

    help: str
    entry_point: str

    def load(self) -> CommandLine:
        """Import its declaration."""
        line: CommandLine = _imported(self.entry_point)
        return line


# in the order of `katrio --help`
COMMANDS: Mapping[str, Command] = {
    "run": Command("run scenario files", "options.run:RUN"),
    "validate": Command("check scenario files, run nothing", "options.files:VALIDATE"),
    "list": Command("list scenario files, and what each is for", "options.files:LIST"),
    "record": Command("run a Python scenario, and write what it asked as a file", "options.record:RECORD"),
    "conformance": Command("test an agent's behaviour, case by case", "options.conformance:CONFORMANCE"),
    "guest": Command("serve the embedded guest on an address, for clients of any kind", "options.guest:GUEST"),
    "schema": Command("print the JSON Schema of scenario files", "options.printed:SCHEMA"),
    "sweep": Command("remove what processes that were killed left behind", "options.machine:SWEEP"),
    "doctor": Command("report what works on this machine, and what to install", "options.machine:DOCTOR"),
    "verbs": Command("print which verbs each agent supports", "options.printed:VERBS"),
    "call": Command("make one call of the Kata agent API, or open a shell for many", "call.options:CALL"),
    "version": Command("print the version", "options.printed:VERSION"),
    "completion": Command("print a shell's completion script", "options.printed:COMPLETION"),
    "help": Command("show how a command is used", "options.printed:HELP"),
}
