"""Facts about a container that the kernel tells, without asking its guest.

For scenarios and tests: what an actor says of itself is no proof. Works for any process that sees this machine's
/proc and control groups. Not for the guest's own use, nor for statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import NotFound, Unsupported
from actors.host.cgroups import FreezerState, container_group, group_exists, members, read_layout
from actors.host.marks import CONTAINER_VARIABLE, container_state, marked

if TYPE_CHECKING:
    from actors.host.rundir import RunDirectory

__all__ = ["PROBES", "probe"]

PROBES = ("freezer", "processes")


def probe(kind: str, directory: RunDirectory, container: str) -> str:
    """`freezer`: `frozen`, `freezing` or `thawed`. `processes`: how many the container has, in decimal.

    Raises:
        NotFound: the kernel knows no such container.
        Unsupported: no such probe.
    """
    layout = read_layout()
    if kind == "freezer":
        state = container_state(layout, directory.path.name, container)
        if state is FreezerState.ABSENT:
            raise NotFound(f"probe freezer of container {container!r}: the kernel has no processes of it")
        return str(state)
    if kind == "processes":
        group = container_group(directory.path.name, container)
        if group_exists(layout, group):
            return str(len(members(layout, group)))
        return str(len(marked(CONTAINER_VARIABLE, group)))
    raise Unsupported(f"probe {kind!r}: this machine answers {', '.join(PROBES)}")
