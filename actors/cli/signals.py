"""Being asked to end: SIGTERM and SIGHUP are what ^C is, for every command; the exit code says which it was.

Each is handed to whatever answers SIGINT at that moment (Trio, a receiver of a command, the shell's loop), so that no
command has two ways to end. A second ^C or SIGTERM ends at once, with the exit code that tells: guests notice that by their
lifeline, and the next sweep does the rest. What follows within `_ONCE` seconds is no second time: coreutils' `timeout` signals
its child and then the whole group. A terminal that hangs up, and a service manager that sends SIGTERM and SIGHUP together, asked once.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from actors.cli.exits import Exit
from actors.cli.streams import until_reader_leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    import trio

__all__ = [
    "Held",
    "asked",
    "asked_to_end",
    "end_at_once_from_now_on",
    "end_now",
    "heed_interrupts",
    "hold_signals",
    "ignore_from_now_on",
    "settle",
    "take_signals",
]

_ASKING = (signal.SIGTERM, signal.SIGHUP)
_EXITS = {signal.SIGTERM: Exit.TERMINATED, signal.SIGHUP: Exit.HUNG_UP}
# nobody types ^C twice as fast; a program that signals a process and its group is done by then
_ONCE = 0.2
_came: list[int] = []


class _Asked:
    """What came so far.

    Attributes:
        code: the exit code that tells.
    """

    code = Exit.INTERRUPTED


asked = _Asked()
# an orderly end that no signal asked for
_stopped_unread: list[bool] = []


def take_signals() -> None:
    """Answer them, and undo what whoever started us ignores; once, at the start of the process."""
    # with it ignored nobody learns how a child ended; an ignored ^C is a background job's, and Trio needs its handler
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in _ASKING:
        # nohup has SIGHUP ignored, and means it
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _ask)
    # what can log has imported it by now: it takes time, and some commands need none
    logging = sys.modules.get("logging")
    if logging is not None and logging.lastResort is not None:
        from actors.cli.log_lines import OneLine

        logging.lastResort.setFormatter(OneLine())


def _ask(signum: int, frame: FrameType | None) -> None:
    again = signum in _came and signum != signal.SIGHUP
    first = not _came
    _came.append(signum)
    # of both the one that asks for the end itself, whichever was delivered first
    asked.code = _EXITS[signal.Signals(max(_came))]
    if not (first or again):
        return
    answer = signal.getsignal(signal.SIGINT)
    if not callable(answer):
        raise KeyboardInterrupt
    answer(signal.SIGINT, frame)


def end_at_once_from_now_on() -> None:
    """The work is over, or was given up: no order is left to keep, and an exception would only hide what came of it."""
    signal.signal(signal.SIGINT, lambda _signum, _frame: end_now())


def end_now() -> NoReturn:
    """With the exit code that tells who asked, and what was said."""
    try:
        sys.stdout.flush()
    finally:
        os._exit(settle(Exit.INTERRUPTED))


def ignore_from_now_on() -> None:
    """The exit code stands; the interpreter's own end would make a signal a death by it."""
    for signum in (signal.SIGINT, *_ASKING):
        signal.signal(signum, signal.SIG_IGN)


def asked_to_end() -> bool:
    """Whether it was a signal that means the end of the process, and no ^C, which may mean less."""
    return bool(_came)


def settle(code: int) -> int:
    """The exit code of a command that was interrupted tells by what."""
    if code != Exit.INTERRUPTED:
        return code
    if _came:
        return asked.code
    return Exit.INFRASTRUCTURE if _stopped_unread else code


class Held:
    """What `hold_signals` gives.

    Attributes:
        asked: somebody has asked to end.
    """

    def __init__(self) -> None:
        self.asked = False
        self._stop: Callable[[], None] | None = None

    def stop_by(self, stop: Callable[[], None]) -> None:
        """What ends the work that begins now, in order; called from a signal's handler, or now, when somebody has asked already."""
        self._stop = stop
        if self.asked:
            stop()

    def take(self, _signum: int, _frame: FrameType | None) -> None:
        """The handler."""
        if self.asked:
            end_now()
        self.asked = True
        if self._stop is not None:
            self._stop()


@contextmanager
def hold_signals() -> Generator[Held]:
    """In the block nobody is interrupted: the first signal is told by `Held`, the second ends the process.

    A KeyboardInterrupt may come in a finalizer, which swallows it, or in the middle of what must be put back.
    """
    held = Held()
    before = signal.signal(signal.SIGINT, held.take)
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)


async def heed_interrupts(
    stop: Callable[[], None], at_once: Callable[[], None], *, task_status: trio.TaskStatus[None]
) -> None:
    """Call `stop` when somebody asks to end, or nobody reads our output any more; the second time end the process.

    Args:
        stop: begins an orderly end.
        at_once: the last thing to be done; the process ends after it.
    """
    import trio

    begun = 0.0
    token = trio.lowlevel.current_trio_token()

    def nobody_reads() -> None:
        if not begun:
            _stopped_unread.append(True)
            stop()

    # later, as it is found out in the middle of a write
    with (
        trio.open_signal_receiver(signal.SIGINT) as signals,
        until_reader_leaves(lambda: token.run_sync_soon(nobody_reads)),
    ):
        task_status.started()
        async for _ in signals:
            if begun and trio.current_time() - begun < _ONCE:
                continue
            if begun:
                try:
                    at_once()
                finally:
                    end_now()
            begun = trio.current_time()
            stop()
