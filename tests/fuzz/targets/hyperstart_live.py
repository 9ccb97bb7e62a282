"""hyperstart as it runs: a host's link and agent to a guest that spoils what it says, and a guest's service to such a host.

Over the simulated engine, in virtual time; one channel is spoiled and the other is as it should be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from actors.agents.hyperstart.link import HyperstartLink
from actors.errors import KatrioError
from actors.limits import DEFAULT_LIMITS
from tests.fuzz.target import Target, expect, in_virtual_time
from tests.fuzz.targets.calls_live import talk
from tests.fuzz.targets.hyperstart import CONTROL, STREAMS, answers, commands, inputs, outputs
from tests.support.hyperstart_guest import Guest, open_guest
from transports.hyperstart.codec import Code, ControlDecoder, encode_control
from transports.hyperstart.messages import Container, Pod, Process, encode_json

if TYPE_CHECKING:
    from actors.agents.hyperstart.process import RunningProcess
    from tests.fuzz.layout import Frames
    from transports.hyperstart.codec import ControlFrame

__all__ = ["TARGETS"]

READY, ACK, PING = encode_control(Code.READY), encode_control(Code.ACK), encode_control(Code.PING)
VERSION = encode_control(Code.ACK, (4244).to_bytes(4))


async def _check_link_control(pieces: Frames) -> None:
    await _check_link(pieces, ())


async def _check_link_streams(pieces: Frames) -> None:
    await _check_link((READY + VERSION, ACK), pieces)


async def _check_link(control: Frames, streams: Frames) -> None:
    """Whatever the guest says, those who wait are told; only errors of ours are raised."""
    near_control, far_control = trio.testing.memory_stream_pair()
    near_streams, far_streams = trio.testing.memory_stream_pair()

    async def dial_control() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return near_control

    async def dial_streams() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return near_streams

    link = HyperstartLink(dial_control, dial_streams, DEFAULT_LIMITS)

    async def hold() -> None:
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(link.run)
                process = link.open_process("c1", "", terminal=False)
                for sequence in (process.stdio, process.stderr):
                    nursery.start_soon(_read, process, sequence)
                await link.command(Code.PING)
                await process.wait()
                nursery.cancel_scope.cancel()
        except* KatrioError:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(_say, far_streams, streams)
        await _say(far_control, control)


async def _read(process: RunningProcess, sequence: int) -> None:
    while await process.read(sequence, 4096):
        pass


async def _say(stream: trio.abc.Stream, pieces: Frames) -> None:
    await talk(stream, pieces)


async def _check_service_control(pieces: Frames) -> None:
    """A hostile host is answered in frames; the host after it finds a guest that does as it is told."""
    async with open_guest() as guest:
        _check_frames(await talk(await guest.dial_control(), pieces))
        await _served_as_before(guest)


async def _check_service_streams(pieces: Frames) -> None:
    """The same of the stream channel, with a process that reads it."""
    async with open_guest() as guest:
        process = Process(id="init", terminal=False, stdio=1, stderr=2, args=("cat",))
        begin = (
            encode_control(Code.STARTPOD, encode_json(Pod(hostname="pod"))),
            encode_control(Code.NEWCONTAINER, encode_json(Container(id="c1", rootfs="/", image="c1", process=process))),
        )
        await talk(await guest.dial_control(), begin)
        await talk(await guest.dial_streams(), pieces)
        await _served_as_before(guest)


async def _served_as_before(guest: Guest) -> None:
    """The next host is greeted, at the latest when the last command of the one before has ended, and obeyed."""
    # a guest does one command after the other, and turns a second host away
    await trio.sleep(DEFAULT_LIMITS.mutate_seconds)
    frames = await _polite(guest)
    expect(frames, "the next host is turned away")
    told = [payload for code, payload in frames if code == Code.ACK]
    expect(frames[0].code == Code.READY, f"the next host is greeted with {frames[0]}")
    expect(told == [b"", (4244).to_bytes(4)], f"the next host is answered {told}")


async def _polite(guest: Guest) -> list[ControlFrame]:
    """What a host hears that asks two things and waits for the answers; nothing when it is turned away."""
    frames: list[ControlFrame] = []
    decoder = ControlDecoder()
    async with await guest.dial_control() as stream:
        try:
            await stream.send_all(PING + encode_control(Code.GETVERSION))
            while sum(code == Code.ACK for code, _ in frames) < 2 and (data := await stream.receive_some()):
                frames += decoder.feed(bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return []
    return frames


def _check_frames(heard: bytes) -> None:
    decoder = ControlDecoder()
    decoder.feed(heard)
    expect(decoder.failure is None and not decoder.in_frame, "it says what is no frame")


TARGETS = (
    Target(
        "hyperstart-link-control",
        "a host's link, by its control channel",
        CONTROL,
        answers,
        in_virtual_time(_check_link_control),
        share=1,
        calls=(60_000, 400),
    ),
    Target(
        "hyperstart-link-streams",
        "a host's link, by its stream channel",
        STREAMS,
        outputs,
        in_virtual_time(_check_link_streams),
        share=1,
        calls=(60_000, 400),
    ),
    Target(
        "hyperstart-service-control",
        "a guest's service, by its control channel",
        CONTROL,
        commands,
        in_virtual_time(_check_service_control),
        share=1,
        calls=(400_000, 2000),
    ),
    Target(
        "hyperstart-service-streams",
        "a guest's service, by its stream channel",
        STREAMS,
        inputs,
        in_virtual_time(_check_service_streams),
        share=1,
        calls=(400_000, 2000),
    ),
)
