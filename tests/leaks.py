"""The leak check: what a test left on this machine beside what was there before.

For every integration test (an autouse fixture there). Looks at processes, mounts, control groups, run directories,
temporary files and half unpacked images; only at what is katrio's, so that a busy machine does not fail a test. Not for memory.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from actors.images.store import default_image_root
from actors.node.cgroups import PARENT, read_layout
from actors.node.marks import CONTAINER_VARIABLE, TOKEN_VARIABLE, every_process
from actors.node.rundir import default_run_root

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Snapshot", "assert_clean", "snapshot"]

# a signalled process needs a moment to be gone, and its parent to have collected it
_SETTLE_SECONDS = 5.0
_OUR_PROGRAM = b"actors.guest.template"
_OUR_MARKS = tuple(f"{name}=".encode() for name in (CONTAINER_VARIABLE, TOKEN_VARIABLE))


@dataclass(frozen=True)
class Snapshot:
    """What is there: each entry says enough to find the thing by hand."""

    processes: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    run_directories: frozenset[str]
    temporary_files: frozenset[str]
    half_images: frozenset[str]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _processes() -> frozenset[str]:
    """Descendants of this process, and whatever carries our mark, sits in our groups or is a template, a launcher or a guest of ours."""
    facts = {fact.pid: fact for fact in every_process()}
    found: set[str] = set()
    for fact in facts.values():
        ancestor = fact.parent
        while ancestor in facts and ancestor != os.getpid():
            ancestor = facts[ancestor].parent
        ours = (
            ancestor == os.getpid()
            or _OUR_PROGRAM in _read(f"/proc/{fact.pid}/cmdline").split(b"\0")
            or any(mark in _read(f"/proc/{fact.pid}/environ") for mark in _OUR_MARKS)
            or f":{PARENT}/".encode() in _read(f"/proc/{fact.pid}/cgroup")
        )
        if ours:
            found.add(f"{fact.pid}@{fact.start}")
    return frozenset(found)


def _described(entry: str) -> str:
    pid = entry.partition("@")[0]
    return f"{entry} {_read(f'/proc/{pid}/cmdline').replace(bytes(1), b' ').decode(errors='replace')}"


def _cgroups() -> frozenset[str]:
    found: set[str] = set()
    for hierarchy in read_layout().hierarchies:
        for path, _, _ in os.walk(hierarchy.directory(PARENT)):
            found.add(path)
    return frozenset(found)


def _listing(directory: Path, *, prefixes: tuple[str, ...] = ("",)) -> frozenset[str]:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return frozenset()
    # the lock of a run root is made once and kept
    return frozenset(str(directory / name) for name in names if name.startswith(prefixes) and name != ".lock")


def snapshot() -> Snapshot:
    """What is there now."""
    temporary = Path(tempfile.gettempdir())
    return Snapshot(
        processes=_processes(),
        mounts=frozenset(Path("/proc/self/mountinfo").read_text().splitlines()),
        cgroups=_cgroups(),
        run_directories=_listing(default_run_root(os.environ, os.geteuid())),
        temporary_files=_listing(temporary, prefixes=("katrio", "kt-", "runc")),
        half_images=_listing(default_image_root(os.environ, os.geteuid()), prefixes=(".building-", ".removing-")),
    )


def _new(before: Snapshot, but: Collection[int]) -> list[str]:
    after = snapshot()
    return [
        f"{field.name}: {_described(entry) if field.name == 'processes' else entry}"
        for field in fields(Snapshot)
        for entry in sorted(getattr(after, field.name) - getattr(before, field.name))
        if field.name != "processes" or int(entry.partition("@")[0]) not in but
    ]


def assert_clean(before: Snapshot, *, but: Collection[int] = ()) -> None:
    """Fail, naming each thing, when anything is left that was not there `before`; waits up to 5 s for the last to go.

    `but`: the pids of processes that may stay.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (left := _new(before, but)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, "left behind:\n" + "\n".join(left)
