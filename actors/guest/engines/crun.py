"""A workaround for crun: a race over an exec terminal's size. It is 1.5 to 3 times faster than runc; running it is in `oci`.

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

from actors.guest.syscalls import hold_executions
from actors.node.exhaustion import raise_if_exhausted
from actors.nurseries import open_collapsing_nursery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.guest.engines.rootfs import Root

__all__ = ["open_hold"]

# other executions of the same file in the container are blocked too: limits the harm of a crun that hangs
_HOLD_SECONDS = 5.0


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
