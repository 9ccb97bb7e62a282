"""A place where one engine can work inside the test's own process: mounts and a working directory of its own.

For the tests of the engine port. A thread that has left the mount namespace and the file system context of the others
runs the whole Trio program, so that nothing of it is seen outside. Not for guests: those are processes (`launch`).
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from actors.guest import syscalls
from actors.guest.serve import make_engine
from actors.host.cgroups import read_layout, sandbox_group, sweep_group
from actors.host.images import ImageStore, find_static_busybox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.guest.engines.base import Engine

__all__ = ["in_a_room"]

_SECONDS = 60.0


def in_a_room(name: str, body: Callable[[Engine, str], Awaitable[None]]) -> None:
    """Run `body(engine, image root)` with a fresh engine, in a thread of its own; raises what it raises."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="kt-room-", ignore_cleanup_errors=True) as place:
                if name != "processes":
                    syscalls.unshare(syscalls.CLONE_NEWNS)
                    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
                    syscalls.mount("tmpfs", place, "tmpfs", data="mode=0700")
                    os.chdir(place)
                sandbox = Path(place).name
                engine = make_engine(name, sandbox, token="room")
                root = str(ImageStore(Path(tempfile.gettempdir()) / "kt-images", find_static_busybox()).resolve("busybox"))
                try:
                    trio.run(_run, engine, root, body)
                finally:
                    sweep_group(read_layout(), sandbox_group(sandbox))
                    if name != "processes":
                        os.chdir("/")
                        syscalls.umount(place, syscalls.MNT_DETACH)
        except BaseException as error:
            failures.append(error)

    syscalls.become_subreaper()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


async def _run(engine: Engine, root: str, body: Callable[[Engine, str], Awaitable[Any]]) -> None:
    with trio.fail_after(_SECONDS):
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            await body(engine, root)
            nursery.cancel_scope.cancel()
