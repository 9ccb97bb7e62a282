"""The doubles of others' agents do what their tables say, row by row: in virtual time, over the simulated engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.conformance.case import Verdict
from actors.conformance.catalogue import chosen
from actors.conformance.runner import run_cases
from tests.support.doubles.opening import DOUBLES, open_double
from tests.support.doubles.tables import TABLES
from transports.hyperstart.codec import Code, encode_control
from transports.yamux.codec import Flag, GoAway, Kind, encode

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.support.doubles.rows import Row

# virtual; no row waits for longer
ROW_SECONDS = 60
# the families of the cases that end agents, with many that don't
ENDED_BY = ("create.", "start.", "exec.", "stdout.", "hyperstart.")
CASES = [(name, row) for name, table in TABLES.items() for row in table.rows]


@pytest.mark.parametrize(("name", "row"), CASES, ids=[f"{name}: {row.id}" for name, row in CASES])
async def test_the_double_does_it(name: str, row: Row, autojump_clock: MockClock) -> None:
    async with open_double(name, row.options) as running:
        target = running.target()
        async with target.open_target(), target.open_subject(trio.current_time() + ROW_SECONDS) as subject:
            await row.shown(subject)


def test_every_row_stands_once_and_what_is_not_shown_has_its_reason() -> None:
    for table in TABLES.values():
        ids = [row.id for row in table.rows]
        assert len(ids) == len(set(ids))
        assert not {*ids} & {*table.not_shown}
        assert all(row.does for row in table.rows)
        assert all(table.not_shown.values())


async def test_foreign_bytes_in_the_port_of_1_x_end_its_session(autojump_clock: MockClock) -> None:
    async with open_double("kata1x") as running:
        assert running.dial_port is not None
        port = await running.dial_port()
        # what a probe for another protocol would have sent
        await port.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        came = b""
        while data := await port.receive_some():
            came += data
        assert came == encode(Kind.GO_AWAY, 0, 0, GoAway.PROTOCOL)


async def test_the_next_peer_of_the_port_waits_and_its_bytes_are_taken_then(autojump_clock: MockClock) -> None:
    async with open_double("kata1x") as running:
        assert running.dial_port is not None
        first, second = await running.dial_port(), await running.dial_port()
        ping = encode(Kind.PING, Flag.SYN, 0, 7)
        await second.send_all(ping)
        with trio.move_on_after(5) as bound:
            await second.receive_some()
        assert bound.cancelled_caught
        await first.aclose()
        assert bytes(await second.receive_some()) == encode(Kind.PING, Flag.ACK, 0, 7)
        await second.aclose()


async def test_hyperstart_says_ready_to_its_first_host_alone(autojump_clock: MockClock) -> None:
    async with open_double("hyperstart") as running:
        ready = encode_control(Code.READY)
        async with await running.channels.agent() as first:
            assert await first.receive_some() == ready
            await first.send_all(encode_control(Code.PING))
            await first.receive_some()
        async with await running.channels.agent() as second:
            await second.send_all(encode_control(Code.PING))
            await trio.sleep(1)
            assert not bytes(await second.receive_some()).startswith(ready)


@pytest.mark.parametrize(
    ("name", "culprit"),
    [("today", "start.twice-refused"), ("kata1x", "create.without-spec-refused"), ("hyperstart", "")],
)
async def test_the_suite_names_the_case_that_ended_an_agent_and_accuses_no_other(
    name: str, culprit: str, autojump_clock: MockClock
) -> None:
    async with open_double(name) as running:
        results = await run_cases(running.target(), chosen(DOUBLES[name].protocol, words=ENDED_BY))
    lost = [each.case.id for each in results if each.verdict in (Verdict.HUNG, Verdict.AGENT_DIED)]
    left = [each for each in results if each.verdict is Verdict.NOT_ASKED]
    assert lost == [culprit] * bool(culprit)
    assert all(each.case.fatal and culprit in each.seen for each in left), left
    assert bool(left) is bool(culprit)
    assert sum(each.verdict is Verdict.HOLDS for each in results) > len(results) / 2
