"""hyperstart's guest against hosts that are not ours: numbers that no signal has, and bugs of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as some

from actors.guest.services.hyperstart import HyperstartService
from tests.support.hyperstart_guest import open_guest
from transports.hyperstart.codec import Code, ControlDecoder, encode_control

if TYPE_CHECKING:
    from transports.hyperstart.codec import ControlFrame

KILLS = (Code.KILLCONTAINER, Code.SIGNALPROCESS)
PROCESS = {"id": "init", "args": ["sleep", "1000"], "terminal": False, "stdio": 10, "stderr": 11}
CONTAINER = {"id": "one", "rootfs": "rootfs", "image": "image", "process": PROCESS}


class Host:
    """Raw frames, one command at a time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._decoder = ControlDecoder()
        self._frames: list[ControlFrame] = []
        # ends of processes, as (process, status)
        self.ended: list[tuple[str, int]] = []

    async def ask(self, code: int, body: object = None) -> ControlFrame:
        """The answer to one command."""
        payload = b"" if body is None else json.dumps(body).encode()
        await self._stream.send_all(encode_control(code, payload))
        while not (found := [frame for frame in self._frames if frame.code in (Code.ACK, Code.ERROR)]):
            self._frames += self._decoder.feed(bytes(await self._stream.receive_some()))
        events = [json.loads(frame.payload) for frame in self._frames if frame.code == Code.PROCESSASYNCEVENT]
        self.ended += [(event["process"], event["status"]) for event in events]
        self._frames.clear()
        return found[0]

    async def begin(self) -> None:
        """A pod with a container that sleeps."""
        assert (await self.ask(Code.STARTPOD, {"hostname": "pod"})).code == Code.ACK
        assert (await self.ask(Code.NEWCONTAINER, CONTAINER)).code == Code.ACK

    async def kill(self, code: int, signal: int) -> ControlFrame:
        """One of the two commands with a signal."""
        process = {} if code == Code.KILLCONTAINER else {"process": "init"}
        return await self.ask(code, {"container": "one", **process, "signal": signal})


@given(some.lists(some.tuples(some.sampled_from(KILLS), some.integers() | some.integers(-1, 65)), max_size=10))
def test_no_number_for_a_signal_ends_anything_but_its_command(asked: list[tuple[Code, int]]) -> None:
    async def main() -> None:
        async with open_guest() as guest:
            host = Host(await guest.dial_control())
            await host.begin()
            # an init in PID 1's place has no handler: what is a signal may end it
            for code, signal in asked:
                if not 0 < signal < 65:
                    answer = await host.kill(code, signal)
                    assert answer.code == (Code.ERROR if signal else Code.ACK)
            assert (await host.ask(Code.GETVERSION)).code == Code.ACK
            assert (await host.kill(Code.KILLCONTAINER, 9)).code == Code.ACK

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class Faulty(HyperstartService):
    """With a bug in a command, in the destroy, and in what carries a process."""

    async def _version(self, _: bytes) -> bytes:
        return int("x").to_bytes(4)

    async def _end_pod(self) -> None:
        raise RuntimeError("destroy")

    async def _write_out(self, sequence: int, data: bytes) -> None:
        raise ZeroDivisionError(sequence, data)


async def test_a_bug_ends_its_own_command_alone(autojump_clock: trio.testing.MockClock) -> None:
    bugs: list[tuple[str, Exception]] = []
    async with open_guest(kind=Faulty, bugs=bugs) as guest:
        host = Host(await guest.dial_control())
        await host.begin()
        assert (await host.ask(Code.GETVERSION)).code == Code.ERROR
        assert [(name, type(error)) for name, error in bugs] == [("GETVERSION", ValueError)]
        assert (await host.ask(Code.DESTROYPOD)).code == Code.ERROR
        assert [(name, type(error)) for name, error in bugs[1:]] == [("DESTROYPOD", RuntimeError)]
        talker = {**PROCESS, "id": "two", "args": ["echo", "hello"], "stdio": 20, "stderr": 21}
        assert (await host.ask(Code.EXECCMD, {"container": "one", "process": talker})).code == Code.ACK
        await trio.sleep(1)
        assert [name for name, _ in bugs[2:]] == ["process"]
        # its sequences are free again, and the rest goes on
        after = {**talker, "id": "three", "args": ["true"]}
        assert (await host.ask(Code.EXECCMD, {"container": "one", "process": after})).code == Code.ACK
        assert (await host.ask(Code.PING)).code == Code.ACK
        assert host.ended[0] == ("two", 128 + 9), "what could not be carried was killed"


@pytest.mark.parametrize(
    "wrong",
    [{"args": []}, {"stdio": 0}, {"id": "two;"}, {"id": ""}],
    ids=["no arguments", "no sequence", "id", "no id"],
)
async def test_a_process_that_would_harm_a_real_guest_is_refused_and_takes_no_id(
    wrong: dict[str, object], autojump_clock: trio.testing.MockClock
) -> None:
    async with open_guest() as guest:
        host = Host(await guest.dial_control())
        await host.begin()
        right = {**PROCESS, "id": "two", "stdio": 20, "stderr": 21}
        asked = {"container": "one", "process": {**right, **wrong}}
        assert (await host.ask(Code.EXECCMD, asked)).code == Code.ERROR
        assert (await host.ask(Code.EXECCMD, {"container": "one", "process": right})).code == Code.ACK


@pytest.mark.parametrize("signal", [65, 2**31, 2**63, -1])
async def test_a_number_that_is_no_signal_has_its_own_words(
    signal: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_guest() as guest:
        host = Host(await guest.dial_control())
        await host.begin()
        assert (await host.kill(Code.KILLCONTAINER, signal)).payload == b"invalid signal\0"
