"""A workaround for crun: cgroups of one version only.

It refuses to run where v2 is mounted beside v1, even if v2 has no controllers. For a guest, and for the trial of it; without Trio.
"""

from __future__ import annotations

from actors.errors import Unsupported
from actors.guest.syscalls import MNT_DETACH, umount
from actors.node.cgroups import CgroupKind, read_layout

__all__ = ["hide_unified"]

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
