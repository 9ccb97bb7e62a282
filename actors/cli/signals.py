"""Being asked to end: SIGTERM and SIGHUP are what ^C is, for every command; the exit code says which it was.

Each is handed to whatever answers SIGINT at that moment (Trio, a receiver of a command, the shell's loop), so that no
command has two ways to end. A second ^C or SIGTERM ends at once, with the exit code that says so: guests notice that by their
lifeline, and the next sweep does the rest. What follows within `_REPEAT_SECONDS` is no second time: coreutils' `timeout` signals its
child and then the whole group. A terminal that hangs up, and a service manager that sends SIGTERM and SIGHUP together, asked once.
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
    "DeferredSignals",
    "defer_signals",
    "end_at_once_on_signals",
    "end_now",
    "handle_interrupts",
    "ignore_signals",
    "install_handlers",
    "requested",
    "settle",
    "was_terminated",
]

_ASKING = (signal.SIGTERM, signal.SIGHUP)
_EXITS = {signal.SIGTERM: Exit.TERMINATED, signal.SIGHUP: Exit.HUNG_UP}
# nobody types ^C twice as fast; a program that signals a process and its group is done by then
_REPEAT_SECONDS = 0.2
_received: list[int] = []


class _Requested:
    """What came so far.

    Attributes:
        code: the exit code that tells.
    """

    code = Exit.INTERRUPTED


requested = _Requested()
# an orderly end that no signal asked for
_stopped_without_reader: list[bool] = []


def install_handlers() -> None:
    """Answer them, and undo what whoever started us ignores; once, at the start of the process."""
    # with it ignored nobody learns how a child ended; an ignored ^C is a background job's, and Trio needs its handler
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in _ASKING:
        # nohup has SIGHUP ignored, and means it
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _on_signal)
    # what can log has imported it by now: it takes time, and some commands need none
    logging = sys.modules.get("logging")
    if logging is not None and logging.lastResort is not None:
        from actors.cli.log_lines import OneLine

        logging.lastResort.setFormatter(OneLine())


def _on_signal(signum: int, frame: FrameType | None) -> None:
    again = signum in _received and signum != signal.SIGHUP
    first = not _received
    _received.append(signum)
    # of both the one that asks for the end itself, whichever was delivered first
    requested.code = _EXITS[signal.Signals(max(_received))]
    if not (first or again):
        return
    answer = signal.getsignal(signal.SIGINT)
    if not callable(answer):
        raise KeyboardInterrupt
    answer(signal.SIGINT, frame)


def end_at_once_on_signals() -> None:
    """The work is over, or was given up: no order is left to keep, and an exception would only hide what came of it."""
    signal.signal(signal.SIGINT, lambda _signum, _frame: end_now())


def end_now() -> NoReturn:
    """With the exit code that tells who asked, and what was said."""
    try:
        sys.stdout.flush()
    finally:
        os._exit(settle(Exit.INTERRUPTED))


def ignore_signals() -> None:
    """The exit code stands; the interpreter's own end would make a signal a death by it."""
    for signum in (signal.SIGINT, *_ASKING):
        signal.signal(signum, signal.SIG_IGN)


def was_terminated() -> bool:
    """Whether it was a signal that means the end of the process, and no ^C, which may mean less."""
    return bool(_received)


def settle(code: int) -> int:
    """The exit code of a command that was interrupted tells by what."""
    if code != Exit.INTERRUPTED:
        return code
    if _received:
        return requested.code
    return Exit.INFRASTRUCTURE if _stopped_without_reader else code


class DeferredSignals:
    """What `defer_signals` gives.

    Attributes:
        requested: somebody has asked to end.
    """

    def __init__(self) -> None:
        self.requested = False
        self._stop: Callable[[], None] | None = None

    def stop_by(self, stop: Callable[[], None]) -> None:
        """What ends the work that begins now, in order; called from a signal's handler, or now, when somebody has asked already."""
        self._stop = stop
        if self.requested:
            stop()

    def handle(self, _signum: int, _frame: FrameType | None) -> None:
        """The handler."""
        if self.requested:
            end_now()
        self.requested = True
        if self._stop is not None:
            self._stop()


@contextmanager
def defer_signals() -> Generator[DeferredSignals]:
    """In the block nobody is interrupted: the first signal sets `requested`, the second ends the process.

    A KeyboardInterrupt may come in a finalizer, which swallows it, or in the middle of what must be put back.
    """
    deferred = DeferredSignals()
    before = signal.signal(signal.SIGINT, deferred.handle)
    try:
        yield deferred
    finally:
        signal.signal(signal.SIGINT, before)


async def handle_interrupts(
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

    def reader_left() -> None:
        if not begun:
            _stopped_without_reader.append(True)
            stop()

    # later, as it is found out in the middle of a write
    with (
        trio.open_signal_receiver(signal.SIGINT) as signals,
        until_reader_leaves(lambda: token.run_sync_soon(reader_left)),
    ):
        task_status.started()
        async for _ in signals:
            if begun and trio.current_time() - begun < _REPEAT_SECONDS:
                continue
            if begun:
                try:
                    at_once()
                finally:
                    end_now()
            begun = trio.current_time()
            stop()
