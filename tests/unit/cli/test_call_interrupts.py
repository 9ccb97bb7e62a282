"""^C of the shell: it cancels what is being done alone, over one opened thing."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.cli.call.interrupts import Interrupted, Interrupts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def link(log: list[str]) -> AsyncGenerator[None]:
    """Something with a background task."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        log.append("opened")
        try:
            yield
        finally:
            log.append("closed")
        nursery.cancel_scope.cancel()


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


async def hang(log: list[str]) -> None:
    interrupt()
    try:
        await trio.sleep_forever()
    finally:
        log.append("cancelled")


async def test_an_interrupt_cancels_what_is_being_done_alone() -> None:
    log: list[str] = []
    interrupts = Interrupts()
    before = signal.getsignal(signal.SIGINT)
    async with interrupts.open(link(log)):
        for _ in range(2):
            with pytest.raises(Interrupted), interrupts.cancelling():
                await hang(log)
            with interrupts.reading():
                pass
        with interrupts.cancelling():
            await trio.lowlevel.checkpoint()
            log.append("done")
    assert log == ["opened", "cancelled", "cancelled", "done", "closed"]
    assert signal.getsignal(signal.SIGINT) is before


async def test_an_interrupt_between_reading_and_doing_is_not_lost() -> None:
    interrupts = Interrupts()
    async with interrupts.open(link([])):
        with pytest.raises(KeyboardInterrupt), interrupts.reading():
            interrupt()
        with interrupts.reading():
            pass
        interrupt()
        with pytest.raises(Interrupted), interrupts.cancelling():
            await trio.sleep_forever()


async def test_one_that_comes_as_a_call_ends_does_not_cancel_what_is_asked_for_after_it() -> None:
    interrupts = Interrupts()
    async with interrupts.open(link([])):
        with interrupts.cancelling():
            interrupt()
        with interrupts.reading():
            pass
        with interrupts.cancelling():
            # what the handler left to Trio is done here
            await trio.testing.wait_all_tasks_blocked()


async def test_an_error_of_what_is_done_is_its_own_and_one_of_the_opening_everybodys() -> None:
    interrupts = Interrupts()
    async with interrupts.open(link([])):
        for _ in range(2):
            with pytest.raises(ValueError, match="mine"), interrupts.cancelling():
                raise ValueError("mine")

    @asynccontextmanager
    async def broken() -> AsyncGenerator[None]:
        await trio.lowlevel.checkpoint()
        raise ValueError("it does not open")
        yield

    with pytest.raises(ValueError, match="it does not open"):
        async with interrupts.open(broken()):
            raise AssertionError("it runs")


async def test_an_interrupt_while_it_opens_ends_it_and_one_while_it_closes_does_not() -> None:
    @asynccontextmanager
    async def slow() -> AsyncGenerator[None]:
        await hang([])
        yield

    with pytest.raises(Interrupted):
        async with Interrupts().open(slow()):
            raise AssertionError("it runs")

    @asynccontextmanager
    async def closing() -> AsyncGenerator[None]:
        yield
        interrupt()
        await trio.testing.wait_all_tasks_blocked()
        log.append("closed")

    log: list[str] = []
    async with Interrupts().open(closing()):
        pass
    assert log == ["closed"]
