"""Kills a child process with all its descendants, so that none of them runs on after its end is reported.

For `runtime`, whose programs fork processes that may live on in a container. Uses pidfds, and stops each process before
listing its children, so that none is forked unseen. Processes reparented before that are not found: in
a container, its cgroup has them (`oci`).
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import trio

from actors.node.marks import every_process, read_process, signal_exactly

if TYPE_CHECKING:
    from actors.node.marks import ProcessFact

__all__ = ["kill_tree"]

# SIGSTOP takes effect on the next return from the kernel; a process that can't stop is killed all the same
_LOOKS, _LOOK_SECONDS = 50, 0.002
# the same holds for SIGKILL: 1 s
_END_LOOKS = 500


async def kill_tree(root: int) -> None:
    """SIGKILL our child `root`, which must not have been reaped, and its descendants; bounded, 1.1 s."""
    found: list[ProcessFact] = []
    for _ in range(_LOOKS):
        found = _tree(root)
        moving = [fact for fact in found if fact.alive and not fact.stopped]
        if not moving:
            break
        for fact in moving:
            signal_exactly(fact, signal.SIGSTOP)
        await trio.sleep(_LOOK_SECONDS)
    for fact in found:
        signal_exactly(fact, signal.SIGKILL)
    # wait until they are gone, so that the caller does not find dying processes
    for _ in range(_END_LOOKS):
        if not any(map(_lives, found)):
            return
        await trio.sleep(_LOOK_SECONDS)


def _lives(fact: ProcessFact) -> bool:
    now = read_process(fact.pid)
    return now is not None and now.start == fact.start and now.alive


def _tree(root: int) -> list[ProcessFact]:
    """The process and its current descendants, each after its parent."""
    first = read_process(root)
    if first is None or first.parent != os.getpid():
        return []
    children: dict[int, list[ProcessFact]] = {}
    for fact in every_process():
        children.setdefault(fact.parent, []).append(fact)
    found = [first]
    for fact in found:
        found.extend(children.get(fact.pid, ()))
    return found
