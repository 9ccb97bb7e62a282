"""The rootfs of a simulated container: the directories and files of the built-in busybox image.

Every simulated program is in /bin; nothing else of a real image exists.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from actors.simulation.box.kernel.tree import Tree
from actors.simulation.box.programs.table import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["busybox_tree"]

_DIRECTORIES = (
    "/", "/bin", "/dev", "/dev/pts", "/dev/shm", "/etc", "/home", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr",
    "/usr/bin", "/usr/sbin", "/var",
)  # fmt: skip
_FILES: Mapping[str, bytes] = MappingProxyType(
    {
        "/etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "/etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    }
)
_PROGRAMS = MappingProxyType({f"/bin/{name}": row.run for name, row in PROGRAMS.items()})
# separate mounts in every container, writable even if the root is read-only
_MEMORY = ("/dev", "/dev/shm")


def busybox_tree(*, readonly: bool) -> Tree:
    """A fresh one."""
    tree = Tree(directories=_DIRECTORIES, image=_FILES, programs=_PROGRAMS, readonly=readonly)
    for path in _MEMORY:
        tree.mount_memory(path)
    return tree
