"""What crun needs that runc does not: a machine whose control groups are of one version.

crun refuses a tree where v2 is mounted beside v1, even when nothing is driven through v2; it is 1.5 to 3 times faster than
runc otherwise. Not for running it: that is `oci`, for every runtime.
"""

from __future__ import annotations

from actors.errors import Unsupported
from actors.guest.syscalls import MNT_DETACH, umount
from actors.host.cgroups import CgroupKind, read_layout

__all__ = ["hide_unified"]

_NEEDED = ("freezer", "memory", "cpu", "pids", "devices")


def hide_unified() -> None:
    """Unmount v2 from this process's mount namespace, which must be its own, where v1 has the controllers that matter.

    Raises:
        Unsupported: v1 lacks one of those, or it can't be unmounted.
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
