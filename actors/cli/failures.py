"""An error that ends a command: one line on the error stream, and the exit code that says whose fault it is.

For commands. Not for what a scenario, a case or a call came to, which is a result.
"""

from __future__ import annotations

from actors.cli.exits import Exit
from actors.cli.say import report_error
from actors.errors import InvalidArgument, KatrioError, NotFound
from transports.errors import AddressError, TransportError

__all__ = ["COMMAND_ERRORS", "fail"]

# what may end a command; anything else is a defect of katrio, and shows its traceback
COMMAND_ERRORS = (KatrioError, TransportError, OSError)
# what the person asked for can't be meant, or is not there
_USAGE = (InvalidArgument, NotFound, AddressError)


def fail(error: Exception, *, command: str = "katrio") -> Exit:
    """Print it; the exit code."""
    report_error(error, command=command)
    return Exit.USAGE if isinstance(error, _USAGE) else Exit.INFRASTRUCTURE
