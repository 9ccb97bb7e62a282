"""What the process's exit code says; the same for every command."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.scenario.stage.events import Outcome

__all__ = ["EXIT_CODES", "Exit", "exit_code", "unwritten"]

# of the help
EXIT_CODES = """\
exit codes: 0 held, 1 failed, 2 bad file or usage, 3 infrastructure,
            4 everything skipped; 130, 143, 129 asked to end by ^C, SIGTERM, SIGHUP
            (all three stop in order; a second ^C or SIGTERM at once)"""


class Exit(IntEnum):
    HELD = 0
    FAILED = 1
    # a bad file or bad usage
    USAGE = 2
    # the machine, the guest or katrio itself, not what was tried
    INFRASTRUCTURE = 3
    # nothing ran: the world lacks what the scenarios need
    ALL_SKIPPED = 4
    # 128 and the signal that asked for the end, as a shell has it: SIGHUP, SIGINT (^C), SIGTERM
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


def exit_code(outcomes: Sequence[Outcome]) -> Exit:
    """The code for the outcomes of all files that ran: the worst one counts, skipped ones only when all are."""
    from actors.scenario.stage.events import Outcome

    if Outcome.ERROR in outcomes:
        return Exit.INFRASTRUCTURE
    if Outcome.FAILED in outcomes:
        return Exit.FAILED
    if all(outcome is Outcome.SKIPPED for outcome in outcomes):
        return Exit.ALL_SKIPPED
    return Exit.HELD


def unwritten(code: int) -> int:
    """The code of a command whose output or report could not be written: a worse one stays."""
    return Exit.INFRASTRUCTURE if code in (Exit.HELD, Exit.ALL_SKIPPED) else code
