"""Agent links that break at a chosen call: before it reaches the guest, or after the guest has answered it.

For tests of what an actor does when a reply is lost. Everything is real but the stream between the two, which passes
bytes on until a request of the chosen method comes by. Not for frames cut in the middle: the codec's own tests do that.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from actors.agents.base import Channels
from actors.agents.kata.agent import connect_kata
from actors.images.store import ImageStore, default_image_root
from actors.launchers.embedded import EmbeddedImages, open_guests
from actors.launchers.nothing import AnyImage
from actors.limits import DEFAULT_LIMITS
from actors.node.busybox import find_static_busybox
from actors.seams import real_seams
from actors.system.compose import Parts, open_actors
from transports.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from actors.handles import SystemHandle
    from actors.sandbox import Guest
    from transports.base import Dialer

__all__ = ["Cutter", "cutting_system"]


@dataclass
class Cutter:
    """`cut("PauseContainer", after=True)`: the next such request is answered by the guest, and the answer is lost."""

    cuts: int = 0
    _armed: dict[bytes, bool] = field(default_factory=dict[bytes, bool])

    def cut(self, method: str, *, after: bool) -> None:
        self._armed[method.encode()] = after

    def due(self, data: bytes) -> bool | None:
        """Whether the cut comes after the answer; None when nothing in `data` is to be cut."""
        for method in list(self._armed):
            if method in data:
                self.cuts += 1
                return self._armed.pop(method)
        return None

    def wrap(self, dial: Dialer) -> Dialer:
        async def dial_cut() -> trio.abc.Stream:
            return _CutStream(await dial(), self)

        return dial_cut


class _CutStream(trio.abc.Stream):
    def __init__(self, inner: trio.abc.Stream, cutter: Cutter) -> None:
        self._inner = inner
        self._cutter = cutter
        self._swallow = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        after = self._cutter.due(bytes(data))
        if after is False:
            await trio.aclose_forcefully(self._inner)
            raise trio.BrokenResourceError
        self._swallow = self._swallow or after is True
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = await self._inner.receive_some(max_bytes)
        if self._swallow:
            await trio.aclose_forcefully(self._inner)
            raise trio.BrokenResourceError
        return bytes(data)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CutGuest:
    def __init__(self, inner: Guest, cutter: Cutter) -> None:
        self._inner = inner
        self.channels = Channels(cutter.wrap(inner.channels.agent))

    async def wait_gone(self) -> str:
        return await self._inner.wait_gone()

    def kill(self) -> None:
        self._inner.kill()


class _Started:
    def __init__(self, inner: trio.TaskStatus[Guest], cutter: Cutter) -> None:
        self._inner = inner
        self._cutter = cutter

    def started(self, value: Any = None) -> None:
        self._inner.started(_CutGuest(value, self._cutter))


@asynccontextmanager
async def cutting_system(engine: str, run_dir: Path, cutter: Cutter) -> AsyncGenerator[SystemHandle]:
    """A system with real guests below `run_dir`, each of whose links goes through `cutter`."""
    seams = real_seams()
    opening = open_guests(
        run_root=run_dir,
        engine=engine,
        environment={"PATH": os.environ["PATH"]},
        seams=seams,
        limits=DEFAULT_LIMITS,
    )
    store = ImageStore(default_image_root(os.environ, os.geteuid()), find_static_busybox())
    async with opening as guests:

        async def launch(sandbox: str, *, task_status: trio.TaskStatus[Guest]) -> None:
            await guests(sandbox, task_status=_Started(task_status, cutter))

        parts = Parts(
            transport=MemoryTransport(),
            address="memory://cuts",
            launch=launch,
            connect=connect_kata,
            images=AnyImage() if engine == "processes" else EmbeddedImages(store, seams),
            seams=seams,
        )
        async with open_actors(parts) as system:
            yield system
