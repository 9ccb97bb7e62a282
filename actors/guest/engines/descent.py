"""Killing a program of ours with all that descends from it, so that nothing of it goes on after its end was told.

For `runtime`, whose programs fork halves that may live on in a container. By pidfds, and each process is stopped before its
children are looked at, so that none is forked behind the look. Not for what has left the tree by its parent's death: of
a container, its control group has that (`oci`).
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

# a stop takes effect when the process next returns from the kernel; one that can't is killed all the same
_LOOKS, _LOOK_SECONDS = 50, 0.002
# and so does a kill: 1 s
_END_LOOKS = 500


async def kill_tree(root: int) -> None:
    """SIGKILL to the child `root` of ours, which must not have been collected, and to its descendants; bounded, 1.1 s."""
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
    # whoever looks next must not find what is only about to end
    for _ in range(_END_LOOKS):
        if not any(map(_lives, found)):
            return
        await trio.sleep(_LOOK_SECONDS)


def _lives(fact: ProcessFact) -> bool:
    now = read_process(fact.pid)
    return now is not None and now.start == fact.start and now.alive


def _tree(root: int) -> list[ProcessFact]:
    """The process and its descendants now, each after its parent."""
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
