"""Fresh network, IPC and UTS namespaces for a guest's next sandbox, leaving the last sandbox's settings behind.

For the embedded platform, when no container is left. Simpler than undoing: addresses, routes, neighbours,
packet filter, sysctls, message queues and shared memory end with their namespace. A namespace is per thread, and
programs are started by Trio's worker threads, so existing workers must switch too. Mounts are per container.
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
# a thread that is busy reading /proc is free again by then
_SECONDS, _PAUSE_SECONDS = 10.0, 0.01


async def renew_namespaces() -> None:
    """Switch every thread to new namespaces. Idempotent, and to be repeated if it fails.

    Raises:
        AgentError: the kernel refuses, or a thread could not be switched.
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
    """Number of threads that are not in the first thread's namespaces."""
    here = os.readlink("/proc/self/ns/net")
    behind = 0
    for thread in os.listdir("/proc/self/task"):
        try:
            behind += os.readlink(f"/proc/self/task/{thread}/ns/net") != here
        except FileNotFoundError:
            continue  # the thread has ended
    return behind


async def _bring_along(count: int) -> None:
    """Run `count` workers concurrently, none ending before the last has begun: so every idle thread is among them."""
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
    """In a worker thread: join the first thread's namespaces."""
    for kind in _KINDS:
        namespace = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(namespace)
        finally:
            os.close(namespace)
    os.write(tell, b".")
    os.read(wait, 1)
