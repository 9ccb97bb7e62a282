"""Agents that hang, die, answer nonsense or flood, from a given moment on, and agents that lie: what a suite has to survive.

Each is our own guest until its moment, which is a number of requests over all links. Not for agents with a defect, which
answer everything in order (`table`).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from actors.conformance.hyperstart import HyperstartTarget
from actors.conformance.kata import KataTarget
from actors.node.protocols import GuestProtocol
from actors.schemas import agent as api
from actors.schemas.rpcs import RPCS, encode_response
from tests.support.planted.defect import Kit
from tests.support.planted.guest import open_hyperstart, open_kata
from tests.support.planted.wire import Meddler
from transports.errors import Unreachable
from transports.ttrpc.codec import RESPONSE, encode_frame
from transports.ttrpc.codec import encode_response as encode_reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from tests.support.planted.defect import Around
    from transports.base import Dialer
    from transports.calls.server import CallContext, Handler

__all__ = ["BEHAVIOURS", "LIES", "Babbles", "Dies", "Floods", "Hangs", "Unruly", "open_unruly"]

# one burst of a flood, and how long until the next: 5 MB in each second
BURST_BYTES, BURST_SECONDS = 256 * 1024, 0.05
TO_NOBODY = 2**31 - 1
LIE_SECONDS = 0.02


class Moment:
    """Counts what comes from hosts, over all links."""

    def __init__(self, requests: int) -> None:
        self._left = requests
        self.links: list[trio.abc.Stream] = []

    @property
    def has_come(self) -> bool:
        return self._left <= 0

    def count(self) -> None:
        self._left -= 1


class Unruly(Meddler):
    """One link: passes everything on until the moment has come."""

    def __init__(self, inner: trio.abc.Stream, moment: Moment) -> None:
        super().__init__(inner)
        self.moment = moment
        moment.links.append(inner)
        self._turn = trio.Lock()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self.moment.has_come:
            await self.misbehave()
        data = bytes(await self.inner.receive_some(max_bytes))
        self.moment.count()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.moment.has_come:
            await self.misbehave()
        await self.say(data)

    async def say(self, data: bytes | bytearray | memoryview) -> None:
        """Whole, whoever else has something to say."""
        async with self._turn:
            await self.inner.send_all(data)

    async def misbehave(self) -> None:
        """Once the moment has come."""


class Hangs(Unruly):
    """Nothing is read or answered any more; links can still be made."""

    async def misbehave(self) -> None:
        await trio.sleep_forever()


class Dies(Unruly):
    """All links end, within a frame if they can, and nobody can be dialled."""

    async def misbehave(self) -> None:
        links, self.moment.links = self.moment.links, []
        for link in links:
            await trio.aclose_forcefully(link)
        raise trio.BrokenResourceError("it died")


class Babbles(Unruly):
    """It says what is no frame of any protocol here, and closes."""

    async def misbehave(self) -> None:
        await self.say(b"\xff" * 4096)
        await trio.aclose_forcefully(self.inner)
        raise trio.BrokenResourceError("it has said enough")


class Floods(Unruly):
    """It sends answers to calls that nobody made, without end."""

    async def misbehave(self) -> None:
        burst = encode_frame(RESPONSE, TO_NOBODY, encode_reply(bytes(BURST_BYTES)))
        while True:
            await self.say(burst)
            await trio.sleep(BURST_SECONDS)


BEHAVIOURS: tuple[type[Unruly], ...] = (Hangs, Dies, Babbles, Floods)


def _dialer(dialer: Dialer, moment: Moment, behaviour: type[Unruly]) -> Dialer:
    async def dial() -> trio.abc.Stream:
        if behaviour is Dies and moment.has_come:
            await trio.lowlevel.checkpoint()
            raise Unreachable("nobody listens there")
        return await dialer()

    return dial


@asynccontextmanager
async def open_unruly(
    protocol: GuestProtocol, behaviour: type[Unruly], requests: int
) -> AsyncGenerator[KataTarget | HyperstartTarget]:
    """An agent that misbehaves after so many requests."""
    moment = Moment(requests)

    def channel(inner: trio.abc.Stream) -> trio.abc.Stream:
        return behaviour(inner, moment)

    kit = Kit(rpc=channel, control=channel, streams=channel)
    if protocol is GuestProtocol.HYPERSTART:
        async with open_hyperstart(kit) as pod:
            control = _dialer(pod.dial_control, moment, behaviour)
            streams = _dialer(pod.dial_streams, moment, behaviour)
            yield HyperstartTarget(control, streams, rootfs=pod.rootfs, share=pod.share, ids=pod.ids)
    else:
        async with open_kata(kit, protocol) as kata:
            dial = _dialer(kata.dialer, moment, behaviour)
            yield KataTarget(dial, rootfs=kata.rootfs, ids=kata.ids, protocol=protocol)


def _instead(payload: bytes) -> Around:
    """Every call is answered with that, but for those without which no suite begins."""

    async def lie(handler: Handler, request: bytes, context: CallContext) -> bytes:
        if context.method in ("Check", "Version", "CreateSandbox"):
            return await handler(request, context)
        # so that time passes for who asks again and again
        await trio.sleep(LIE_SECONDS)
        return payload

    return lie


# what is said, whatever was asked
LIES: Mapping[str, Around] = MappingProxyType(
    {
        "what is no message": _instead(b"\xff" * 64),
        "3 MiB of output": _instead(encode_response(RPCS["ReadStdout"], api.ReadStreamResponse(data=bytes(3 << 20)))),
        "a status of -1": _instead(encode_response(RPCS["WaitProcess"], api.WaitProcessResponse(status=-1))),
    }
)
