"""What each task waits for, once a simulation is deadlocked.

For `run`, which ends such a simulation and reports this. Inspects tasks from outside. The clock and
the scheduler detect the deadlock.
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
# implementations of waiting; their caller is of interest
_LIBRARY_MODULES = ("trio.", "trio_util.", "outcome", "contextlib")


class Deadlock(Exception):
    """A simulation could not continue.

    Attributes:
        reason: in one line.
        waiting: one line per task: its name, where it waits, on which primitive.
        digest, seconds: the trace's digest, and virtual time, so far.
    """

    def __init__(self, reason: str, waiting: tuple[str, ...], *, digest: str = "", seconds: float = 0.0) -> None:
        super().__init__(f"{reason}:\n" + "\n".join(f"  {line}" for line in waiting))
        self.reason = reason
        self.waiting = waiting
        self.digest = digest
        self.seconds = seconds


def blocked_tasks() -> tuple[str, ...]:
    """The tasks of the current Trio run, oldest first, without Trio's own; at most 200."""
    tasks = sorted(_tasks(), key=lambda task: task._counter)
    lines = [f"{task.name}: {_where(task)}" for task in tasks[:_SHOWN_TASKS]]
    return (*lines, f"and {len(tasks) - _SHOWN_TASKS} more") if len(tasks) > _SHOWN_TASKS else tuple(lines)


def open_shields() -> None:
    """Unshield all cancel scopes: shielded cleanup has had enough time."""
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
    """The innermost line of our own code, and the primitive it waits in."""
    place, primitive = "", ""
    for frame, line in task.iter_await_frames():
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_LIBRARY_MODULES):
            primitive = primitive or _name(frame)
        else:
            place, primitive = f"{_relative(frame)}:{line} in {_name(frame)}", ""
    return f"waits at {place}" + (f" ({primitive})" if primitive else "") if place else f"waits in {primitive or '?'}"


def _name(frame: FrameType) -> str:
    return frame.f_code.co_qualname


def _relative(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name
