"""Cgroups by direct file access: freeze, thaw, kill, count and remove a group in every hierarchy.

For the guest's engines (for their containers' groups), for sweeping dead guests, and for probes
that must ask the kernel instead of the guest. Supports v1, hybrid and v2-only trees. Never touches a
group outside `/katrio`: membership below it is the proof that a process is ours.
"""

from __future__ import annotations

import os
import re
import select
import signal
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from actors.node.exhaustion import raise_if_exhausted
from transports.locks import take_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "PARENT",
    "CgroupKind",
    "CgroupLayout",
    "FreezerState",
    "Hierarchy",
    "container_group",
    "freezer_state",
    "group_exists",
    "group_is_locked",
    "groups",
    "hold_group",
    "kill_members",
    "make_group",
    "members",
    "parse_layout",
    "read_layout",
    "remove_group",
    "sandbox_group",
    "set_frozen",
    "sweep_group",
    "sweep_orphan",
    "thaw_tree",
]

PARENT = "/katrio"
_OCTAL = re.compile(r"\\([0-7]{3})")


class CgroupKind(StrEnum):
    """Which cgroup version this machine mounts; `NONE` where there is none (a minimal chroot)."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"
    NONE = "none"


class FreezerState(StrEnum):
    """The kernel's state of one group; `ABSENT` if it has no such group, or no freezer."""

    FROZEN = "frozen"
    FREEZING = "freezing"
    THAWED = "thawed"
    ABSENT = "absent"


class Hierarchy(NamedTuple):
    """One mounted hierarchy; `controllers` is empty for v2, whose freezer and kill are in its core."""

    mount: Path
    version: Literal[1, 2]
    controllers: frozenset[str] = frozenset()

    def directory(self, group: str) -> Path:
        """The directory of `group` (absolute, as in an OCI `cgroupsPath`) in this hierarchy."""
        return self.mount / group.lstrip("/")


class CgroupLayout(NamedTuple):
    """Every hierarchy of a machine, in mount order."""

    hierarchies: tuple[Hierarchy, ...]

    @property
    def kind(self) -> CgroupKind:
        versions = {hierarchy.version for hierarchy in self.hierarchies}
        if versions == {1, 2}:
            # runtimes would treat a v1 tree without controllers (systemd's own) beside v2 as v2
            return CgroupKind.HYBRID
        return {0: CgroupKind.NONE, 1: CgroupKind.V1, 2: CgroupKind.V2}[max(versions, default=0)]

    @property
    def freezer(self) -> Hierarchy | None:
        """The hierarchy with the freezer used for an OCI runtime's containers; None if there is none."""
        for hierarchy in self.hierarchies:
            if "freezer" in hierarchy.controllers:
                return hierarchy
        return self.hierarchies[0] if self.kind is CgroupKind.V2 else None

    def controller(self, name: str) -> Hierarchy | None:
        """The hierarchy with this controller (`memory`, `cpu`, ...); v2 has all in one. None if there is none."""
        for hierarchy in self.hierarchies:
            if name in hierarchy.controllers:
                return hierarchy
        return self.hierarchies[0] if self.kind is CgroupKind.V2 else None


def parse_layout(mountinfo: str) -> CgroupLayout:
    """The layout in a `/proc/PID/mountinfo`; a hierarchy mounted twice counts once."""
    found: dict[tuple[int, frozenset[str]], Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if not separator or len(fields) < 5 or len(tail) < 3 or tail[0] not in ("cgroup", "cgroup2"):
            continue
        mount = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        if tail[0] == "cgroup2":
            hierarchy = Hierarchy(mount, 2)
        else:
            hierarchy = Hierarchy(mount, 1, frozenset(tail[2].split(",")) - {"rw", "ro"})
        found.setdefault((hierarchy.version, hierarchy.controllers), hierarchy)
    return CgroupLayout(tuple(found.values()))


def read_layout() -> CgroupLayout:
    """The layout that this process sees."""
    return parse_layout(Path("/proc/self/mountinfo").read_text())


def sandbox_group(sandbox_directory: str) -> str:
    """The parent group of all containers of one sandbox; named after its run directory, which is unique."""
    return f"{PARENT}/{sandbox_directory}"


def container_group(sandbox_directory: str, container: str) -> str:
    """The group of one container, passed to the runtime as `cgroupsPath`."""
    return f"{PARENT}/{sandbox_directory}/{container}"


def freezer_state(layout: CgroupLayout, group: str) -> FreezerState:
    """The kernel's current state; only reads files, so any process that can see them may call it."""
    freezer = layout.freezer
    if freezer is None:
        return FreezerState.ABSENT
    directory = freezer.directory(group)
    try:
        if freezer.version == 1:
            return FreezerState((directory / "freezer.state").read_text().strip().lower())
        events = dict(line.split() for line in (directory / "cgroup.events").read_text().splitlines())
        asked = (directory / "cgroup.freeze").read_text().strip()
    except OSError as error:
        raise_if_exhausted(error)
        return FreezerState.ABSENT
    if events.get("frozen") == "1":
        return FreezerState.FROZEN
    return FreezerState.FREEZING if asked == "1" else FreezerState.THAWED


def set_frozen(layout: CgroupLayout, group: str, frozen: bool) -> None:
    """Request a freeze or a thaw; a freeze is complete once `freezer_state` says so.

    Raises:
        FileNotFoundError: no such group, or no freezer on this machine.
        OSError: the kernel refused.
    """
    freezer = layout.freezer
    if freezer is None:
        raise FileNotFoundError("this machine has no freezer")
    directory = freezer.directory(group)
    if freezer.version == 1:
        (directory / "freezer.state").write_text("FROZEN" if frozen else "THAWED")
    else:
        (directory / "cgroup.freeze").write_text("1" if frozen else "0")


def group_exists(layout: CgroupLayout, group: str) -> bool:
    """Whether any hierarchy has the group."""
    return any(hierarchy.directory(group).is_dir() for hierarchy in layout.hierarchies)


def make_group(layout: CgroupLayout, group: str) -> None:
    """Make the group in every hierarchy, and keep it although others may be removing its parent.

    Raises:
        OSError: not permitted.
    """
    for hierarchy in layout.hierarchies:
        for _ in range(100):
            try:
                hierarchy.directory(group).mkdir(parents=True, exist_ok=True)
                break
            except FileNotFoundError:
                continue  # the parent was removed in between


def hold_group(layout: CgroupLayout, group: str) -> int | None:
    """Make the group, and hold it until the returned descriptor (shared with forks) is closed everywhere; None without cgroups.

    Raises:
        OSError: not permitted.
    """
    for _ in range(100):
        make_group(layout, group)
        try:
            descriptor = _open_group(layout, group)
            if descriptor is not None:
                take_lock(descriptor, shared=True, wait=True)
        except FileNotFoundError:
            continue  # a sweep removed it as abandoned, before it was held
        if descriptor is None or group_exists(layout, group):
            return descriptor
        os.close(descriptor)
    raise FileNotFoundError(f"control group {group}: somebody removes it")


def group_is_locked(layout: CgroupLayout, group: str) -> bool:
    """Whether its launcher lives, or the group is another user's."""
    try:
        descriptor = _open_group(layout, group)
    except FileNotFoundError:
        return False  # partly removed
    except OSError:
        return True
    if descriptor is None:
        return True
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return True
        return not take_lock(descriptor)
    finally:
        os.close(descriptor)


def _open_group(layout: CgroupLayout, group: str) -> int | None:
    """Its directory, in the same hierarchy for every caller. Raises: OSError."""
    tree = layout.freezer or next(iter(layout.hierarchies), None)
    return None if tree is None else os.open(tree.directory(group), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def groups(layout: CgroupLayout) -> list[str]:
    """Every sandbox's group in any hierarchy, sorted."""
    found: set[str] = set()
    for hierarchy in layout.hierarchies:
        with suppress(OSError):
            found.update(entry.name for entry in os.scandir(hierarchy.directory(PARENT)) if entry.is_dir())
    return [f"{PARENT}/{name}" for name in sorted(found)]


def sweep_orphan(layout: CgroupLayout, group: str, *, rounds: int = 100) -> bool:
    """Thaw and remove a group, without killing; whether nothing is left after `rounds` of 5 ms."""
    thaw_tree(layout, group)
    for _ in range(rounds):
        if remove_group(layout, group):
            _tidy_parent(layout)
            return True
        select.select((), (), (), 0.005)
    return False


def _bottom_up(directory: Path) -> Iterator[Path]:
    try:
        # no subdirectory: skips listing all of its files, on v1 a dozen times per container
        leaf = directory.stat().st_nlink == 2
    except OSError:
        return
    if leaf:
        yield directory
        return
    for path, _, _ in os.walk(directory, topdown=False, onerror=raise_if_exhausted):
        yield Path(path)


def members(layout: CgroupLayout, group: str) -> list[int]:
    """Pids below `group` in any hierarchy, sorted and unique; processes outside this pid namespace are omitted.

    Raises:
        OSError: no file descriptor is left.
    """
    found: dict[int, None] = {}
    for hierarchy in layout.hierarchies:
        for directory in _bottom_up(hierarchy.directory(group)):
            try:
                text = (directory / "cgroup.procs").read_text()
            except OSError as error:
                raise_if_exhausted(error)
                continue
            for pid in text.split():
                # the kernel shows a process outside this pid namespace as 0, and kill(0) would hit our own process group
                if pid != "0":
                    found[int(pid)] = None
    return sorted(found)


def kill_members(layout: CgroupLayout, group: str) -> int:
    """SIGKILL each current member; returns how many there were. Safe against pid reuse only while frozen."""
    own = os.getpid()
    pids = [pid for pid in members(layout, group) if pid != own]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(pids)


def thaw_tree(layout: CgroupLayout, group: str) -> None:
    """Thaw `group` and every group below it; missing ones are no errors."""
    freezer = layout.freezer
    if freezer is None:
        return
    for directory in _bottom_up(freezer.directory(group)):
        try:
            set_frozen(layout, "/" + str(directory.relative_to(freezer.mount)), frozen=False)
        except OSError:
            continue


def remove_group(layout: CgroupLayout, group: str) -> bool:
    """Remove the group and those below it in every hierarchy; whether nothing is left (a dying member prevents it)."""
    clean = True
    for hierarchy in layout.hierarchies:
        for directory in _bottom_up(hierarchy.directory(group)):
            try:
                directory.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                clean = False
    return clean


def _tidy_parent(layout: CgroupLayout) -> None:
    """Remove the common parent of all sandboxes if it is empty."""
    for hierarchy in layout.hierarchies:
        try:
            hierarchy.directory(PARENT).rmdir()
        except OSError:
            continue


def sweep_group(layout: CgroupLayout, group: str, *, rounds: int = 400) -> bool:
    """Kill everything below `group` and remove it; whether nothing is left after `rounds` of 5 ms.

    Frozen first, so that no fork escapes and no pid is reused between reading and killing; thawed after,
    since on v1 a frozen process does not die of SIGKILL.
    """
    for _ in range(rounds):
        if not group_exists(layout, group):
            return True
        # an exhausted resource may be available again in the next round
        with suppress(OSError):
            if members(layout, group):
                # without a freezer, kill repeatedly until none is left
                with suppress(OSError):
                    set_frozen(layout, group, frozen=True)
                kill_members(layout, group)
                thaw_tree(layout, group)
            if remove_group(layout, group):
                _tidy_parent(layout)
                return True
        select.select((), (), (), 0.005)
    return False
