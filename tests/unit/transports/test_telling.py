"""Who waits at an address is told so once, and at once where nothing is to be waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from transports.address import Address
from transports.agent_sockets import open_dialer
from transports.errors import NobodyListens, Refused, TransportError, Unreachable, WrongPeer
from transports.recognise import Peer
from transports.stream import dial_with_backoff
from transports.telling import telling_dialer

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from transports.base import Dialer


def dialer_of(*outcomes: TransportError | float | None) -> Dialer:
    """Each dial has the next outcome: an error, seconds until it is done, or at once."""
    todo = list(outcomes)

    async def dial() -> trio.abc.Stream:
        outcome = todo.pop(0)
        await trio.sleep(outcome if isinstance(outcome, float) else 0)
        if isinstance(outcome, TransportError):
            raise outcome
        return trio.testing.memory_stream_pair()[0]

    return dial


REFUSED, YET = Refused("no such file"), Unreachable("not up yet")


@pytest.mark.parametrize(
    ("outcomes", "words", "failure"),
    [
        ((None,), [], None),
        ((0.9,), [], None),
        ((1.5,), ["no answer yet"], None),
        ((YET, YET, None), ["not up yet"], None),
        ((YET, 5.0), ["not up yet"], None),
        ((REFUSED,), [], NobodyListens),
        ((YET, REFUSED), ["not up yet"], NobodyListens),
        ((WrongPeer("an ssh server"),), [], WrongPeer),
    ],
)
async def test_what_a_person_hears(
    outcomes: tuple[TransportError | float | None, ...],
    words: list[str],
    failure: type[TransportError] | None,
    autojump_clock: MockClock,
) -> None:
    told: list[str] = []
    dial = telling_dialer(dialer_of(*outcomes), told.append)
    if failure is None:
        await dial_with_backoff(dial, seconds=30)
    else:
        with pytest.raises(failure, match=str(outcomes[-1])):
            await dial_with_backoff(dial, seconds=30)
        assert trio.current_time() < 1
    assert told == words


async def test_who_gave_a_bound_waits_for_a_path_too(autojump_clock: MockClock) -> None:
    told: list[str] = []
    await dial_with_backoff(telling_dialer(dialer_of(REFUSED, REFUSED, None), told.append, patient=True), seconds=30)
    assert told == ["no such file"]


async def test_a_link_that_broke_is_dialled_again_in_silence(autojump_clock: MockClock) -> None:
    told: list[str] = []
    dial = telling_dialer(dialer_of(None, REFUSED, 7.0), told.append)
    await dial()
    await dial_with_backoff(dial, seconds=30)
    assert told == []


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("unix", Peer.TTRPC),
        ("remote", Peer.GRPC),
        ("unix", Peer.CONTROL),
        ("serial", Peer.CONTROL),
        ("serial", Peer.TTRPC),
    ],
)
async def test_a_path_where_nobody_listens_is_told_at_once(scheme: str, expected: Peer, tmp_path: Path) -> None:
    dead = tmp_path / "dead.sock"
    with trio.socket.socket(trio.socket.AF_UNIX) as listener:
        await listener.bind(str(dead))
    for path in (dead, tmp_path / "nothing"):
        async with open_dialer(Address(scheme, str(path)), expected, told=lambda _: None) as dial:
            with pytest.raises(NobodyListens):
                await dial_with_backoff(dial, seconds=30)
