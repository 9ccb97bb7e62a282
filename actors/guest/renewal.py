"""Fresh namespaces for a guest's next sandbox: its network, ipc and uts ones, with whatever the last sandbox left in them.

For the embedded platform, when no container is left. New ones instead of a list of what to undo: addresses, routes, neighbours,
packet filter, sysctls, message queues and shared memory all end with theirs. A namespace belongs to a thread, and
programs are started by Trio's worker threads, so those that are there are brought along. Not for mounts: containers have their own.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.errors import AgentError
from actors.guest import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["renew_namespaces"]

_KINDS = ("net", "ipc", "uts")
_FLAGS = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
# a thread that is busy with a look at /proc is free again by then
_SECONDS, _PAUSE_SECONDS = 10.0, 0.01


async def renew_namespaces() -> None:
    """Leave the old ones, with every thread. Idempotent, and needed when it fails.

    Raises:
        AgentError: the kernel refuses, or a thread would not come along.
    """
    try:
        syscalls.unshare(_FLAGS)
        syscalls.loopback_up()
        with trio.fail_after(_SECONDS):
            while behind := _threads_behind():
                await _bring_along(behind)
                await trio.sleep(_PAUSE_SECONDS)
    except OSError as error:
        raise AgentError(f"the sandbox's network can't be left: {error}", status="not cleared") from error
    except trio.TooSlowError:
        raise AgentError("the sandbox's network is still used; destroy it again", status="not cleared") from None


def _threads_behind() -> int:
    """How many threads are not where the first one is."""
    here = os.readlink("/proc/self/ns/net")
    behind = 0
    for thread in os.listdir("/proc/self/task"):
        try:
            behind += os.readlink(f"/proc/self/task/{thread}/ns/net") != here
        except FileNotFoundError:
            continue  # it has ended
    return behind


async def _bring_along(count: int) -> None:
    """So many workers at once, none of which ends before the last has begun: whoever is idle is among them."""
    arrived, tell = os.pipe2(os.O_CLOEXEC)
    wait, release = os.pipe2(os.O_CLOEXEC)
    limiter = trio.CapacityLimiter(count)
    try:
        async with trio.open_nursery() as nursery:
            try:
                for _ in range(count):
                    nursery.start_soon(_in_a_worker, partial(_join, tell, wait), limiter)
                come = 0
                while come < count:
                    await trio.lowlevel.wait_readable(arrived)
                    come += len(os.read(arrived, count))
            finally:
                os.close(release)
    finally:
        for descriptor in (arrived, tell, wait):
            os.close(descriptor)


async def _in_a_worker(job: Callable[[], None], limiter: trio.CapacityLimiter) -> None:
    await trio.to_thread.run_sync(job, limiter=limiter)


def _join(tell: int, wait: int) -> None:
    """In a worker: where the first thread is."""
    for kind in _KINDS:
        namespace = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(namespace)
        finally:
            os.close(namespace)
    os.write(tell, b".")
    os.read(wait, 1)
