"""Who waits for what, when nothing can happen any more.

For `run`, which ends a simulation that is stuck and hands this out. Looks at tasks from outside any task. Not for
deciding that something is stuck: the clock and the scheduler notice.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Deadlock", "blocked_tasks", "open_shields"]

_SHOWN_TASKS = 200
_ROOT = Path(__file__).resolve().parents[2]
# where a wait is implemented; who called it is of interest
_PLUMBING = ("trio.", "trio_util.", "outcome", "contextlib")


class Deadlock(Exception):
    """A simulation could not go on.

    Attributes:
        reason: in one line.
        waiting: one line for each task: its name, where it waits, on which primitive.
        digest, seconds: of the trace, and of virtual time, up to then.
    """

    def __init__(self, reason: str, waiting: tuple[str, ...], *, digest: str = "", seconds: float = 0.0) -> None:
        super().__init__(f"{reason}:\n" + "\n".join(f"  {line}" for line in waiting))
        self.reason = reason
        self.waiting = waiting
        self.digest = digest
        self.seconds = seconds


def blocked_tasks() -> tuple[str, ...]:
    """The tasks of the present Trio run, oldest first, Trio's own left out; at most 200."""
    tasks = sorted(_tasks(), key=lambda task: task._counter)
    lines = [f"{task.name}: {_where(task)}" for task in tasks[:_SHOWN_TASKS]]
    return (*lines, f"and {len(tasks) - _SHOWN_TASKS} more") if len(tasks) > _SHOWN_TASKS else tuple(lines)


def open_shields() -> None:
    """Let a cancel reach what is shielded from it: it has been waited for long enough."""
    for task in _tasks():
        status: Any = task._cancel_status
        while status is not None:
            status._scope.shield = False
            status = status._parent


def _tasks() -> list[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    tasks = () if root is None else _below(root)
    return [task for task in tasks if not task.name.startswith(("<", "trio."))]


def _below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _below(child)


def _where(task: trio.lowlevel.Task) -> str:
    """The innermost line of ours, and what it called to wait."""
    place, primitive = "", ""
    for frame, line in task.iter_await_frames():
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_PLUMBING):
            primitive = primitive or _name(frame)
        else:
            place, primitive = f"{_relative(frame)}:{line} in {_name(frame)}", ""
    return f"waits at {place}" + (f" ({primitive})" if primitive else "") if place else f"waits in {primitive or '?'}"


def _name(frame: FrameType) -> str:
    return frame.f_code.co_qualname


def _relative(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name
