"""Runs the command that this process was started as, from its arguments to its exit code; imports nothing that takes time to start.

For the shell. Not for what commands there are (`commands`), nor for their work, which is imported when it is asked for.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from actors.cli import signals, streams
from actors.cli.commands import COMMANDS, UsageError
from actors.cli.exits import Exit
from actors.cli.parser import build_parser, print_usage_error, suggestion
from actors.cli.say import complain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]


def main() -> int:
    """Run the command that this process was started as; the exit code. No signal that asks for the end counts after it."""
    try:
        code = _interruptible()
        signals.end_at_once_on_signals()
    except KeyboardInterrupt:
        # one more, while the one before was on its way
        try:
            signals.end_now()
        except KeyboardInterrupt:
            # and another: nothing is called here in which a signal could raise
            os._exit(signals.requested.code)
    code = streams.settle(signals.settle(code))
    signals.ignore_signals()
    return code


def _interruptible() -> int:
    try:
        streams.take_streams()
        return _run(sys.argv[1:])
    except KeyboardInterrupt:
        signals.end_at_once_on_signals()
    except BaseExceptionGroup as group:
        signals.end_at_once_on_signals()
        if group.subgroup(KeyboardInterrupt) is None:
            raise
    # before the command itself was there to stop in order, or past it
    complain("interrupted")
    return Exit.INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    try:
        command = _prepared(argv)
        # until now there was nothing that had to be ended in order
        signals.install_handlers()
        return command()
    except SystemExit as end:
        # --help, --version, and words that argparse can't read
        return int(end.code or 0)


def _prepared(argv: Sequence[str]) -> Callable[[], int]:
    """`_command`, without the collector: nearly all that imports make stays, and a tenth of their time was looking for the rest."""
    gc.disable()
    try:
        return _command(argv)
    finally:
        gc.enable()


def _command(argv: Sequence[str]) -> Callable[[], int]:
    """What the words ask for, with all that it needs imported."""
    words, unknown = build_parser(argv).parse_known_args(argv)
    line = COMMANDS[words.command].load()
    try:
        if line.takes_more and all(not word.startswith("-") or word == "-" for word in unknown):
            words.words += unknown
        elif unknown:
            options = [f"--{name.replace('_', '-')}" for name in vars(words)]
            raise UsageError(f"unrecognized: {' '.join(unknown)}{suggestion(unknown[0], options)}")
        return line.prepare(words)
    except UsageError as error:
        print_usage_error(f"katrio {words.command}", str(error))
        return lambda: Exit.USAGE
