"""A guest that lies, over a real socket: each lie is caught, costs no memory, and harms nobody else."""

from __future__ import annotations

import statistics
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from actors.agents.base import Channels
from actors.agents.kata.agent import KataAgent, connect_kata
from actors.errors import AgentProtocolError, AgentUnreachable, KatrioError
from actors.limits import DEFAULT_LIMITS
from tests.support.hostile_guest import HostileGuest
from tests.support.lies import LIES, Row
from transports.stream import serve_unix, unix_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

# ends a call that a lie keeps from ending
PATIENCE = 0.3


@asynccontextmanager
async def _told(directory: Path, guest: HostileGuest) -> AsyncGenerator[KataAgent]:
    """The host's side of a link to that guest. Hides a nursery."""
    path = str(directory / "g.sock")
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, guest.serve)
        agent = connect_kata(Channels(unix_dialer(path)), DEFAULT_LIMITS)
        await nursery.start(agent.run)
        yield agent
        nursery.cancel_scope.cancel()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_there_are_more_than_thirty_lies_and_each_has_a_name() -> None:
    assert len({row.name for row in LIES}) == len(LIES) >= 30


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in LIES])
async def test_a_lie_is_caught_and_the_link_serves_on(row: Row, tmp_path: Path) -> None:
    guest = HostileGuest()
    async with _told(tmp_path, guest) as agent:
        guest.lies[row.method] = row.does
        await _caught(agent, row)
        # somebody else's call over the same link, while the lie may still go on
        del guest.lies[row.method]
        if row.fails is not trio.TooSlowError:
            with trio.fail_after(10):
                assert await _settled(agent) == 7


async def _caught(agent: KataAgent, row: Row) -> None:
    if row.fails is not None:
        with pytest.raises(row.fails) as caught, trio.fail_after(PATIENCE if row.fails is trio.TooSlowError else 10):
            await row.asks(agent)
        # the very class: an ancestor would do for `raises`
        assert type(caught.value) is row.fails
        if isinstance(caught.value, KatrioError):
            assert row.says in caught.value.message
            assert len(caught.value.message) < 5000
            assert caught.value.message.replace("\n", "").isprintable()
    else:
        with trio.fail_after(10):
            assert await row.asks(agent) == row.answer


async def _settled(agent: KataAgent) -> int:
    while True:
        try:
            return (await agent.wait_process("c1", "p1")).code
        except AgentUnreachable:
            # the lie before closed the link; it is dialled again
            await trio.sleep(0.01)


SIZES = [row for row in LIES if "4 GiB is announced" in row.name or "4 GiB for an id" in row.name]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in SIZES])
async def test_a_frame_of_4_gib_that_is_announced_takes_less_than_1_mib(row: Row, tmp_path: Path) -> None:
    guest = HostileGuest()
    async with _told(tmp_path, guest) as agent:
        assert await agent.read_stdout("c1", "p1", 16) == b"out"
        guest.lies[row.method] = row.does
        before = _resident()
        await _caught(agent, row)
        assert _resident() - before < 1024 * 1024


async def test_a_guest_that_takes_every_link_and_closes_it_is_dialled_with_pauses(tmp_path: Path) -> None:
    guest = HostileGuest()
    async with _told(tmp_path, guest) as agent:
        guest.greets = lambda stream: stream.aclose()
        guest.lies["WaitProcess"] = lambda asked: asked.stream.aclose()
        with pytest.raises(AgentUnreachable):
            await agent.wait_process("c1", "p1")
        await trio.sleep(1)
        # 0.05 s, 0.1 s, 0.2 s, ... : not the thousands that the kernel would allow
        assert 2 <= guest.connections < 10


async def test_another_guest_is_served_while_one_lies_without_end(tmp_path: Path) -> None:
    (tmp_path / "liar").mkdir(mode=0o700)
    (tmp_path / "honest").mkdir(mode=0o700)
    liar, honest = HostileGuest(), HostileGuest()
    async with _told(tmp_path / "liar", liar) as lied_to, _told(tmp_path / "honest", honest) as agent:
        alone = await _p99(agent)
        row = next(row for row in LIES if row.name == "nothing but answers to nobody")
        liar.lies[row.method] = row.does
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask_on, row, lied_to)
            beside = await _p99(agent)
            nursery.cancel_scope.cancel()
        print(f"p99 of a call to an honest guest: {alone * 1e6:.0f} us alone, {beside * 1e6:.0f} us beside a liar")


async def _ask_on(row: Row, agent: KataAgent) -> None:
    """Each answer ends its link; the next call dials again, into the same lie."""
    while True:
        with pytest.raises(AgentProtocolError):
            await row.asks(agent)


async def _p99(agent: KataAgent) -> float:
    times: list[float] = []
    for _ in range(300):
        began = trio.current_time()
        assert (await agent.wait_process("c1", "p1")).code == 7
        times.append(trio.current_time() - began)
    return statistics.quantiles(times, n=100)[98]
