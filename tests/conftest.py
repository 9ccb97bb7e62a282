"""For every test: a bound on its time, signals as at a terminal, and property tests that do not fail because a machine is busy.

Not for fixtures: those stand with the tests that use them.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

# The slowest test of Trio takes 20 s alone on two cores; eight times that, and pytest-timeout's own bound (pyproject.toml) stands above it.
_SECONDS = int(os.environ.get("KATRIO_TEST_SECONDS", "160"))
# In virtual time a test that waits for nobody jumps to this at once; no test waits for so long. Not more: what looks at its
# peers every few seconds goes on doing so meanwhile, and each look takes real time.
_VIRTUAL_SECONDS = 6 * 3600
_VIRTUAL_CLOCKS = {"autojump_clock", "mock_clock"}

# A deadline for each example judges the machine, not the code.
hypothesis.settings.register_profile("katrio", deadline=None)

_MEANINGS: dict[signal.Signals, Callable[[int, Any], Any] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


def pytest_configure() -> None:
    """Before anything is started.

    A shell that starts a command in the background has it ignore ^C, and nohup the hang-up; children inherit that, and a
    test that interrupts one would wait for ever.
    """
    hypothesis.settings.load_profile("katrio")
    for signum, meaning in _MEANINGS.items():
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, meaning)


def pytest_collection_finish() -> None:
    """All modules and tests stay to the end: a collector that went through them again and again would take a twentieth of the time."""
    gc.collect()
    gc.freeze()


class Hang(Exception):
    """A test reached the bound of its real time."""


class Deadlock(Exception):
    """A test in virtual time waits for what never comes."""


async def _lift_shields() -> None:
    """What is shielded may wait for ever too: long after the bound nothing is worth its shield."""
    await trio.sleep(2 * _VIRTUAL_SECONDS)
    for scope in gc.get_objects():
        if isinstance(scope, trio.CancelScope):
            scope.shield = False


def _limited(
    test: Callable[..., Awaitable[None]], seconds: float, over: type[Exception]
) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def limited(*args: Any, **kwargs: Any) -> None:
        where: BaseException | None = None
        if over is Deadlock:
            trio.lowlevel.spawn_system_task(_lift_shields)
        with trio.move_on_after(seconds) as scope:
            try:
                await test(*args, **kwargs)
            except BaseException as error:
                where = error
                raise
        if scope.cancelled_caught:
            raise over(f"not ended after {seconds} s; where it stood is above") from where

    return limited


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """A Trio test that hangs is cancelled, so that its fixtures clean up and its traceback says where it stood."""
    if item.get_closest_marker("trio") is not None and isinstance(item, pytest.Function):
        virtual = _VIRTUAL_CLOCKS.intersection(item.fixturenames)
        seconds, over = (_VIRTUAL_SECONDS, Deadlock) if virtual else (_SECONDS, Hang)
        if (handle := getattr(item.obj, "hypothesis", None)) is not None:
            handle.inner_test = _limited(handle.inner_test, seconds, over)
        else:
            item.obj = _limited(item.obj, seconds, over)
    return (yield)
