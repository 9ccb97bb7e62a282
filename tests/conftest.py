"""For every test: signals mean what they mean at a terminal, however the tests were started.

A shell that starts a command in the background has it ignore ^C, and nohup the hang-up; children inherit that, and a
test that interrupts one would wait for ever. Not for fixtures: those stand with the tests that use them.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MEANINGS: dict[signal.Signals, Callable[[int, Any], Any] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


def pytest_configure() -> None:
    """Before anything is started."""
    for signum, meaning in _MEANINGS.items():
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, meaning)
