"""An agent's command that takes its time: what is said of it meanwhile, in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair

from actors.cli.agent_command import Started, open_command
from actors.errors import AgentUnreachable
from transports.address import parse_address

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence

    from trio.testing import MockClock

    from actors.seams import ChildProcess


class Child:
    """Ends after so long, with 7."""

    pid = 2**22 + 1  # more than any process has

    def __init__(self, seconds: float) -> None:
        self._ends = trio.current_time() + seconds

    async def wait(self) -> int:
        await trio.sleep_until(self._ends)
        return 7

    def poll(self) -> int | None:
        return 7 if trio.current_time() >= self._ends else None

    def send_signal(self, signum: signal.Signals) -> None:
        pass

    def close_lifeline(self) -> None:
        self._ends = trio.current_time()


def boot(log: Path) -> None:
    """In no thread, which a clock that jumps does not wait for."""
    log.write_text("booting")


class Spawner:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], log: Path | int, stdin: int | None = None
    ) -> ChildProcess:
        await trio.lowlevel.checkpoint()
        assert isinstance(log, Path)
        boot(log)
        return Child(self._seconds)

    def own_interpreter(self) -> str:
        raise NotImplementedError


async def stream() -> trio.abc.Stream:
    await trio.lowlevel.checkpoint()
    return memory_stream_pair()[0]


@pytest.mark.parametrize(("comes_up", "told"), [(0.5, False), (10.0, True), (None, True)])
async def test_what_takes_long_is_told_with_its_words(
    comes_up: float | None, told: bool, capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
) -> None:
    async def use(started: Started) -> None:
        await trio.sleep(comes_up or 100)
        await started.through(stream)()

    address = parse_address("unix:///no/such/agent.sock")
    opened = open_command(["boot", "it"], [address], Spawner(1000 if comes_up else 20), slow=2.0)
    if comes_up is None:
        with pytest.raises(AgentUnreachable, match="`boot it` ended with 7, and said: booting"):
            async with opened as started:
                await use(started)
    else:
        async with opened as started:
            await use(started)
    said = (
        "katrio: nobody takes a connection at unix:///no/such/agent.sock yet; waiting 60 s at the most, "
        "`boot it` runs, and said: booting\n"
    )
    assert capsys.readouterr().err == (said if told else "")
