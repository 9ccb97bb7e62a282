"""Being asked to end: SIGTERM and SIGHUP are what ^C is, for every command; the exit code says which it was.

Each is handed to whatever answers SIGINT at that moment (Trio, a receiver of a command, the shell's loop), so that no
command has two ways to end. A second ^C or SIGTERM ends at once: guests notice that by their lifeline, and the next sweep
does the rest. A terminal that hangs up, and a service manager that sends SIGTERM and SIGHUP together, asked once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from actors.cli.exits import Exit
from actors.cli.say import OneLine
from actors.cli.streams import until_reader_leaves

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    import trio

__all__ = ["asked_to_end", "heed_interrupts", "settle", "take_signals"]

_ASKING = (signal.SIGTERM, signal.SIGHUP)
_EXITS = {signal.SIGTERM: Exit.TERMINATED, signal.SIGHUP: Exit.HUNG_UP}
_came: list[int] = []
# an orderly end that no signal asked for
_stopped_unread: list[bool] = []


def take_signals() -> None:
    """Answer them, and undo what whoever started us ignores; once, at the start of the process."""
    # with it ignored nobody learns how a child ended; an ignored ^C is a background job's, and Trio needs its handler
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in _ASKING:
        # nohup has SIGHUP ignored, and means it
        if signal.getsignal(signum) is signal.SIG_DFL:
            signal.signal(signum, _ask)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(OneLine())


def _ask(signum: int, frame: FrameType | None) -> None:
    again = signum in _came and signum != signal.SIGHUP
    first = not _came
    _came.append(signum)
    if not (first or again):
        return
    answer = signal.getsignal(signal.SIGINT)
    if not callable(answer):
        raise KeyboardInterrupt
    answer(signal.SIGINT, frame)


def asked_to_end() -> bool:
    """Whether it was a signal that means the end of the process, and no ^C, which may mean less."""
    return bool(_came)


def settle(code: int) -> int:
    """The exit code of a command that was interrupted tells by what."""
    if code != Exit.INTERRUPTED:
        return code
    if _came:
        # of both the one that asks for the end itself, whichever was delivered first
        return _EXITS[signal.Signals(max(_came))]
    return Exit.INFRASTRUCTURE if _stopped_unread else code


async def heed_interrupts(
    stop: Callable[[], None], at_once: Callable[[], None], *, task_status: trio.TaskStatus[None]
) -> None:
    """Call `stop` when somebody asks to end, or nobody reads our output any more; the second time end the process.

    Args:
        stop: begins an orderly end.
        at_once: the last thing to be done; the process ends after it.
    """
    import trio

    asked = False
    token = trio.lowlevel.current_trio_token()

    def nobody_reads() -> None:
        if not asked:
            _stopped_unread.append(True)
            stop()

    # later, as it is found out in the middle of a write
    with (
        trio.open_signal_receiver(signal.SIGINT) as signals,
        until_reader_leaves(lambda: token.run_sync_soon(nobody_reads)),
    ):
        task_status.started()
        async for _ in signals:
            if asked:
                at_once()
                sys.stdout.flush()
                os._exit(settle(Exit.INTERRUPTED))
            asked = True
            stop()
