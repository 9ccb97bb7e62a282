"""Facts about a container from the kernel, without asking its guest.

For scenarios and tests, which need more proof than an actor's own answer. For any process that sees this machine's
/proc and cgroups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import NotFound
from actors.node.cgroups import FreezerState, container_group, group_exists, members, read_layout
from actors.node.marks import CONTAINER_VARIABLE, container_state, marked

if TYPE_CHECKING:
    from actors.node.rundir import RunDirectory

__all__ = ["count_processes", "freezer_state"]


def freezer_state(directory: RunDirectory, container: str) -> str:
    """`frozen`, `freezing` or `thawed`. Raises: NotFound: the kernel knows no processes of it."""
    state = container_state(read_layout(), directory.path.name, container)
    if state is FreezerState.ABSENT:
        raise NotFound(f"probe freezer of container {container!r}: the kernel has no processes of it")
    return str(state)


def count_processes(directory: RunDirectory, container: str) -> int:
    """The number of its processes, descendants included; also 0 if the kernel knows no such container."""
    layout, group = read_layout(), container_group(directory.path.name, container)
    return len(members(layout, group) if group_exists(layout, group) else marked(CONTAINER_VARIABLE, group))
