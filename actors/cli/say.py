"""What commands print: whole lines in which nothing can steer the terminal, whatever they quote.

The linter refuses `print` in every other module of the commands. Not for reports, which have doors of their own
(`actors.reporting`), nor for what goes out byte by byte (`katrio call`).
"""

from __future__ import annotations

import errno
import sys

from transports.plain import printable

__all__ = ["complain", "note", "report_error", "report_unwritten", "say"]


def say(*lines: str) -> None:
    """Lines on standard output; each stays one line."""
    for line in lines or ("",):
        print(printable(line), flush=sys.stdout.isatty())


def note(*lines: str) -> None:
    """Lines on the error stream, as they are."""
    for line in lines:
        print(printable(line), file=sys.stderr, flush=True)


def complain(text: str, *, command: str = "katrio") -> None:
    """What went wrong, in one line on the error stream."""
    note(f"{command}: {text}")


def report_error(error: BaseException, *, command: str = "katrio") -> None:
    """An error in one line; what the operating system says without its number."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    complain(text or type(error).__name__, command=command)


def report_unwritten(where: object, error: OSError) -> None:
    """Output, or a report, did not take everything; `exits.unwritten` is the exit code then."""
    why = "it is closed" if error.errno == errno.EBADF else error.strerror
    complain(f"{where}: not all of it could be written: {why}")
