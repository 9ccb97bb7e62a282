"""What an object starts while it runs: ended with its run, and refused before it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from actors.nurseries import Background


async def test_its_tasks_end_with_it(autojump_clock: trio.testing.MockClock) -> None:
    background, ended = Background(), list[str]()

    async def work(name: str, seconds: float) -> None:
        try:
            await trio.sleep(seconds)
        finally:
            ended.append(name)

    async with background.open() as nursery:
        background.start_soon(work, "short", 1)
        background.start_soon(work, "long", 100)
        await trio.sleep(2)
        assert ended == ["short"]
        nursery.cancel_scope.cancel()
    assert ended == ["short", "long"]


async def test_nothing_starts_before_it_runs() -> None:
    with pytest.raises(AssertionError):
        Background().start_soon(trio.sleep, 0)
