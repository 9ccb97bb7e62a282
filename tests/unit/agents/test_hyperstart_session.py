"""Our guest's service against the bytes of a real host, our host's link against those of a real guest, over Trio streams.

The session is a captured one with hyperstart 1.1.0. What our guest can't do, files and block devices, it refuses: these
answers alone are left out of the comparison, by their numbers.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair

from actors.agents.hyperstart.link import HyperstartLink
from actors.errors import GuestDied
from actors.limits import DEFAULT_LIMITS
from actors.wire.spec import ExitStatus
from tests.support.hyperstart_guest import open_guest
from tests.support.hyperstart_session import COMMANDS, SESSION, stream
from transports.hyperstart.codec import (
    STREAM_TO_HOST_BYTES,
    Code,
    ControlDecoder,
    ControlFrame,
    StreamDecoder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transports.hyperstart.control import Answered

CHUNKS = (1, 3, 8, 64, 100_000)
# answers, counted from 0, that our guest gives otherwise: WRITEFILE, READFILE, and a container on a block device
REFUSED_BY_OURS = {11, 12, 20}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Heard:
    """What came on one channel, and a wait for more."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.changed = trio.Event()
        self.ended = False

    async def read(self, stream: trio.abc.Stream) -> None:
        while data := await stream.receive_some():
            self.data += data
            self._tell()
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def control(self) -> list[ControlFrame]:
        return [frame for frame in ControlDecoder().feed(bytes(self.data)) if frame.code != Code.NEXT]

    def texts(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for sequence, payload in StreamDecoder(STREAM_TO_HOST_BYTES).feed(bytes(self.data)):
            found[sequence] = found.get(sequence, b"") + payload
        return found


def answers(frames: list[ControlFrame]) -> list[ControlFrame]:
    return [frame for frame in frames if frame.code in (Code.ACK, Code.ERROR)]


def events(frames: list[ControlFrame]) -> list[bytes]:
    return [frame.payload for frame in frames if frame.code == Code.PROCESSASYNCEVENT]


@pytest.mark.parametrize("size", CHUNKS)
async def test_our_guest_does_what_a_real_host_says(size: int, autojump_clock: trio.testing.MockClock) -> None:
    ctl, tty = Heard(), Heard()
    async with open_guest() as guest, trio.open_nursery() as nursery:
        control, streams = await guest.dial_control(), await guest.dial_streams()
        nursery.start_soon(ctl.read, control)
        nursery.start_soon(tty.read, streams)
        for step in SESSION:
            if not step.from_host:
                continue
            for piece in pieces(step.data, size):
                await (control if step.channel == "ctl" else streams).send_all(piece)
            # the host of the session waited for what it saw before it went on
            await trio.sleep(1)
        while not (ctl.ended and tty.ended):
            await (tty if ctl.ended else ctl).changed.wait()
    real, ours = (
        [frame for frame in ControlDecoder().feed(data) if frame.code != Code.NEXT]
        for data in (stream("ctl", "guest-to-host"), bytes(ctl.data))
    )
    assert ours[0] == ControlFrame(Code.READY, b"")
    expected, given = answers(real), answers(ours)
    assert len(given) == len(expected) == len(COMMANDS)
    for number, (mine, theirs) in enumerate(zip(given, expected, strict=True)):
        assert mine == theirs or (number in REFUSED_BY_OURS and mine.code == Code.ERROR), number
    assert events(ours) == [event for event in events(real) if b'"c2"' not in event]
    taken = sum(
        int.from_bytes(payload) for code, payload in ControlDecoder().feed(bytes(ctl.data)) if code == Code.NEXT
    )
    assert taken == len(stream("ctl", "host-to-guest"))
    texts = tty.texts()
    assert texts[1] == b"out-line\ntyped on stdin\nafter-cat\ngot-usr1\n"
    assert (texts[3], texts[4], texts[77]) == (b"exec-out bar peerpod\n", b"exec-err\n", b"")
    assert b"40 132" in texts[5]


@pytest.mark.parametrize("size", CHUNKS)
async def test_our_link_understands_a_real_guest(size: int, autojump_clock: trio.testing.MockClock) -> None:
    ours, control = memory_stream_pair()
    our_streams, streams = memory_stream_pair()
    steps = deque(step for step in SESSION if step.channel == "ctl")

    async def dial_control() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return ours

    async def dial_streams() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return our_streams

    async def play() -> None:
        """The real guest's part: what the host sends must be the captured bytes."""
        while steps:
            step = steps.popleft()
            if step.from_host:
                seen = b""
                while len(seen) < len(step.data):
                    seen += await control.receive_some(len(step.data) - len(seen))
                assert seen == step.data
            else:
                for piece in pieces(step.data, size):
                    await control.send_all(piece)
        await control.aclose()

    link = HyperstartLink(dial_control, dial_streams, DEFAULT_LIMITS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play)
        await nursery.start(link.run)
        assert link.version == 4244
        names = (("c1", "", False), ("c1", "a", False), ("c1", "b", True), ("c1", "c", False), ("c2", "", False))
        processes = [link.open_process(container, name, terminal=terminal) for container, name, terminal in names]
        for piece in pieces(stream("tty", "guest-to-host"), size):
            await streams.send_all(piece)
        got: list[Answered] = [await link.command(code, payload) for code, payload in COMMANDS[1:]]
        assert [number for number, answer in enumerate(got, 1) if not answer.accepted] == [13, 14, 15, 16, 17, 19]
        assert got[11].payload == b"file body\x00\xff"
        assert [await process.wait() for process in processes] == [ExitStatus(code) for code in (0, 3, 7, 0, 0)]
        assert await processes[1].read(processes[1].stdio, 100) == b"exec-out bar peerpod\n"
        assert await processes[1].read(processes[1].stderr, 100) == b"exec-err\n"
        with pytest.raises(GuestDied):
            await link.command(Code.PING)
        nursery.cancel_scope.cancel()
