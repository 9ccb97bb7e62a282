"""The loop of the shell: things are done one after the other over one opened thing, and ^C cancels what is being done."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.cli.call.loop import Interrupted, PausedLoop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Opened:
    """Something with a background task, as a link has."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.opens = trio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Opened]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            self.log.append("opened")
            try:
                yield self
            finally:
                self.log.append("closed")
            nursery.cancel_scope.cancel()


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_it_is_opened_once_and_closed_at_the_end() -> None:
    opened = Opened()
    loop = PausedLoop(opened.open)

    async def work(held: Opened) -> int:
        await trio.lowlevel.checkpoint()
        held.log.append("worked")
        return len(held.log)

    before = signal.getsignal(signal.SIGINT)
    with loop.running():
        assert [loop.perform(work), loop.perform(work)] == [2, 3]
    assert opened.log == ["opened", "worked", "worked", "closed"]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_cancels_what_is_being_done_alone() -> None:
    opened = Opened()
    loop = PausedLoop(opened.open)

    async def hang(held: Opened) -> None:
        interrupt()
        try:
            await trio.sleep_forever()
        finally:
            held.log.append("cancelled")

    async def work(_: Opened) -> str:
        await trio.lowlevel.checkpoint()
        return "done"

    with loop.running():
        with pytest.raises(Interrupted):
            loop.perform(hang)
        with loop.reading():
            pass
        assert loop.perform(work) == "done"
    assert opened.log == ["opened", "cancelled", "closed"]


def test_an_interrupt_between_reading_and_doing_is_not_lost() -> None:
    loop = PausedLoop(Opened().open)

    async def hang(_: Opened) -> None:
        await trio.sleep_forever()

    with loop.running():
        with pytest.raises(KeyboardInterrupt), loop.reading():
            interrupt()
        with loop.reading():
            pass
        interrupt()
        with pytest.raises(Interrupted):
            loop.perform(hang)


def test_an_error_of_the_work_is_its_own_and_one_of_the_opening_everybodys() -> None:
    loop = PausedLoop(Opened().open)

    async def fail(_: Opened) -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("mine")

    with loop.running():
        for _ in range(2):
            with pytest.raises(ValueError, match="mine"):
                loop.perform(fail)

    @asynccontextmanager
    async def broken() -> AsyncGenerator[None]:
        await trio.lowlevel.checkpoint()
        raise ValueError("it does not open")
        yield

    with pytest.raises(ValueError, match="it does not open"), PausedLoop(broken).running():
        raise AssertionError("it runs")


def test_an_interrupt_while_it_opens_ends_it() -> None:
    @asynccontextmanager
    async def slow() -> AsyncGenerator[None]:
        interrupt()
        await trio.sleep_forever()
        yield

    with pytest.raises(Interrupted), PausedLoop(slow).running():
        raise AssertionError("it runs")
