"""A VM's port as a VMM keeps it: one connection at a time, the next one waits, and the guest gets all bytes as one stream.

Like QEMU's chardev in front of a virtio-serial port. What is said on a connection that waits is kept, and given to the guest
once the first has closed. The guest behind it may be slow: each of its answers takes `delay` seconds more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio
import trio.testing

Serve = Callable[[trio.abc.Stream], Awaitable[object]]


@dataclass
class Port:
    """`serve` is the guest; `said` are the bytes of each connection that reached it, in order."""

    nursery: trio.Nursery
    serve: Serve
    delay: float = 0.0
    said: list[bytearray] = field(default_factory=list[bytearray])
    _turn: trio.Lock = field(default_factory=trio.Lock)

    async def dial(self) -> trio.abc.Stream:
        """See `transports.base.Dialer`: it always works, whether or not somebody has the port."""
        await trio.lowlevel.checkpoint()
        near, far = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.take, far)
        return near

    async def take(self, vmm: trio.abc.Stream) -> None:
        """One connection, once it is its turn."""
        async with self._turn:
            port, guest = trio.testing.memory_stream_pair()
            said = bytearray()
            self.said.append(said)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve, guest)
                nursery.start_soon(self._answer, port, vmm)
                try:
                    while data := await vmm.receive_some(4096):
                        said += data
                        await port.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
                nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(vmm)

    async def _serve(self, guest: trio.abc.Stream) -> None:
        try:
            await self.serve(guest)
        except trio.BrokenResourceError:
            return

    async def _answer(self, port: trio.abc.Stream, vmm: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            late, ready = trio.open_memory_channel[tuple[float, bytes]](1000)
            nursery.start_soon(self._hand_on, ready, vmm)
            while data := await port.receive_some(4096):
                late.send_nowait((trio.current_time() + self.delay, bytes(data)))

    async def _hand_on(self, ready: trio.MemoryReceiveChannel[tuple[float, bytes]], vmm: trio.abc.Stream) -> None:
        async for when, data in ready:
            await trio.sleep_until(when)
            try:
                await vmm.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
