"""Workarounds for crun: cgroups of one version only, and a race over an exec terminal's size.

crun refuses to run where v2 is mounted beside v1, even if v2 has no controllers; otherwise it is 1.5 to 3 times faster
than runc. Running it is in `oci`, as for every runtime.

In an exec, two crun processes race: one makes the terminal and executes the program, the other sets the terminal's size
and sends the master on. The first should wait, but reads the write end of its pipe, gets EBADF and continues (1.8.1,
`exec_process_entrypoint`), so that programs often start with a terminal of 0 by 0. So the kernel blocks the program's
execve(2) until crun has exited, which is after it has set the size. A create has no such race.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import trio

from actors.errors import Unsupported
from actors.guest.syscalls import MNT_DETACH, hold_executions, umount
from actors.node.cgroups import CgroupKind, read_layout
from actors.node.exhaustion import raise_if_exhausted
from actors.nurseries import open_collapsing_nursery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.guest.engines.rootfs import Root

__all__ = ["hide_unified", "open_hold"]

# other executions of the same file in the container are blocked too: limits the harm of a crun that hangs
_HOLD_SECONDS = 5.0

_NEEDED = ("freezer", "memory", "cpu", "pids", "devices")


def hide_unified() -> None:
    """Unmount cgroup v2 from this process's own mount namespace, where v1 has the required controllers.

    Raises:
        Unsupported: v1 lacks a required controller, or v2 can't be unmounted.
    """
    layout = read_layout()
    if layout.kind is not CgroupKind.HYBRID:
        return
    missing = [name for name in _NEEDED if (found := layout.controller(name)) is None or found.version == 2]
    if missing:
        raise Unsupported(f"engine 'crun': control groups are mixed here, and v1 lacks {', '.join(missing)}; use runc")
    for hierarchy in layout.hierarchies:
        if hierarchy.version == 2:
            try:
                umount(str(hierarchy.mount), MNT_DETACH)
            except OSError as error:
                raise Unsupported(f"engine 'crun': {hierarchy.mount} can't be hidden ({error}); use runc") from error


@asynccontextmanager
async def open_hold(root: Root, program: str) -> AsyncGenerator[None]:
    """Block execve of the file `program` in `root` during the block; for 5 s at most.

    A no-op where the kernel can't (before 5.0, or in a container without CAP_SYS_ADMIN).

    Raises: OSError: no descriptor is left.
    """
    with ExitStack() as held:
        try:
            with root.opened(program, os.O_RDONLY | os.O_NONBLOCK) as file:
                held.callback(os.close, hold_executions(file))
        except OSError as error:
            raise_if_exhausted(error)
        async with open_collapsing_nursery() as nursery:
            nursery.start_soon(_let_go, held)
            yield
            nursery.cancel_scope.cancel()


async def _let_go(held: ExitStack) -> None:
    await trio.sleep(_HOLD_SECONDS)
    held.close()
