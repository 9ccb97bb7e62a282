"""Counts what passes between a host and a hyperstart guest: for cases on events that our own link ignores.

`hyperstart` inserts a tap into each channel. It keeps counts and no bytes, and changes nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import trio

from transports.errors import RemoteProtocolError
from transports.hyperstart.codec import (
    STREAM_TO_HOST_BYTES,
    Code,
    ControlDecoder,
    StreamDecoder,
)
from transports.hyperstart.messages import decode_finished

if TYPE_CHECKING:
    from transports.base import Dialer

# more than the processes of all cases: a guest that invents names must not fill our memory
COUNTED = 4096

__all__ = ["ControlTap", "StreamTap", "tapped"]


class _Tap(trio.abc.Stream):
    """A stream that counts its traffic."""

    def __init__(self) -> None:
        self._inner: trio.abc.Stream | None = None

    def put_on(self, inner: trio.abc.Stream) -> trio.abc.Stream:
        """Tap `inner`; a dialer returns the tap instead."""
        self._inner = inner
        return self

    @property
    def inner(self) -> trio.abc.Stream:
        assert self._inner is not None, "the channel was dialled"
        return self._inner

    def sent(self, data: bytes) -> None:
        """To the guest."""

    def received(self, data: bytes) -> None:
        """From the guest."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sent(bytes(data))
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self.inner.receive_some(max_bytes))
        self.received(data)
        return data

    async def aclose(self) -> None:
        await self.inner.aclose()


class ControlTap(_Tap):
    """The control channel.

    Attributes:
        sent_bytes, confirmed_bytes: bytes sent, and bytes that the guest has confirmed reading (NEXT).
        ends: how often a process's end was reported, by container and process.
    """

    def __init__(self) -> None:
        super().__init__()
        self._decoder = ControlDecoder()
        self.sent_bytes = 0
        self.confirmed_bytes = 0
        self.ends: Counter[tuple[str, str]] = Counter()

    def sent(self, data: bytes) -> None:
        self.sent_bytes += len(data)

    def received(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            if frame.code == Code.NEXT:
                self.confirmed_bytes += int.from_bytes(frame.payload)
            elif frame.code == Code.PROCESSASYNCEVENT:
                self._count(frame.payload)

    def _count(self, payload: bytes) -> None:
        try:
            finished = decode_finished(payload)
        except RemoteProtocolError:
            # the link will end because of it
            return
        if len(self.ends) < COUNTED:
            self.ends[finished.container, finished.process] += 1


class StreamTap(_Tap):
    """The stream channel. `ends`: number of empty frames on each sequence; `frames`: of frames with data."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = StreamDecoder(STREAM_TO_HOST_BYTES)
        self.ends: Counter[int] = Counter()
        self.frames: Counter[int] = Counter()

    def received(self, data: bytes) -> None:
        for sequence, payload in self._decoder.feed(data):
            counter = self.frames if payload else self.ends
            if sequence in counter or len(counter) < COUNTED:
                counter[sequence] += 1


def tapped(dialer: Dialer, tap: _Tap) -> Dialer:
    """A dialer whose stream passes through the tap."""

    async def dial() -> trio.abc.Stream:
        return tap.put_on(await dialer())

    return dial
