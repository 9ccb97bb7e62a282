"""Processes in /proc, and the marks that identify ours.

For the plain-process engine, whose containers have no cgroup, and for sweeping or probing them from outside. A mark is
a variable in a process's initial environment: children inherit it; a process without it can only be found by descent,
as long as its guest, or the guest's launcher, lives to adopt it. An OCI runtime's containers are identified by cgroup
membership (`cgroups`).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from actors.node.cgroups import CgroupLayout, FreezerState, container_group, freezer_state
from actors.node.exhaustion import raise_if_exhausted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CONTAINER_VARIABLE",
    "TOKEN_VARIABLE",
    "ProcessFact",
    "container_state",
    "descendants",
    "every_process",
    "kill_descendants",
    "kill_marked",
    "marked",
    "read_process",
    "signal_exactly",
]

# the container's cgroup path, though no such cgroup exists: as unique on this machine as the run directory's name
CONTAINER_VARIABLE = "KATRIO_CONTAINER"
# a random value for each guest
TOKEN_VARIABLE = "KATRIO_GUEST_TOKEN"
_DEAD = "ZX"


class ProcessFact(NamedTuple):
    """One process; `start` in clock ticks since boot, `state` one letter: of its main thread, or, if that has exited before
    the others (it looks like a zombie then, though the process still runs in its cgroup), of one of those."""

    pid: int
    state: str
    parent: int
    session: int
    start: int

    @property
    def alive(self) -> bool:
        return self.state not in _DEAD

    @property
    def stopped(self) -> bool:
        return self.state in "Tt"


def read_process(pid: int) -> ProcessFact | None:
    """One process; None if there is none. Raises: OSError, when no file descriptor is left."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError as error:
        raise_if_exhausted(error)
        return None
    fields = text.rpartition(")")[2].split()
    state = fields[0]
    if state in _DEAD and int(fields[17]) > 1:
        state = _state_of_threads(pid)
    return ProcessFact(pid, state, int(fields[1]), int(fields[3]), int(fields[19]))


def _state_of_threads(pid: int) -> str:
    """The state of a live thread; that of a dead process if there is none."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError as error:
        raise_if_exhausted(error)
        return "X"
    for thread in threads:
        try:
            state = Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError as error:
            raise_if_exhausted(error)
            continue
        if state not in _DEAD:
            return state
    return "Z"


def every_process() -> list[ProcessFact]:
    """Every process in this process's /proc, except itself."""
    own = os.getpid()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [fact for pid in sorted(pids) if pid != own and (fact := read_process(pid)) is not None]


def has_mark(pid: int, variable: str, value: str) -> bool:
    """Whether its initial environment has `variable=value`; False if it can't be read."""
    try:
        return f"{variable}={value}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError as error:
        raise_if_exhausted(error)
        return False


def marked(variable: str, value: str) -> list[ProcessFact]:
    """Live processes with the mark, by pid."""
    return [fact for fact in every_process() if fact.alive and has_mark(fact.pid, variable, value)]


def signal_exactly(fact: ProcessFact, signum: int) -> bool:
    """Signal exactly this process, not a later one with the same pid; False if it is gone."""
    try:
        descriptor = os.pidfd_open(fact.pid)
    except OSError as error:
        raise_if_exhausted(error)
        return False
    try:
        now = read_process(fact.pid)
        if now is None or now.start != fact.start:
            return False
        signal.pidfd_send_signal(descriptor, signum)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(descriptor)
    return True


def kill_marked(token: str, *, rounds: int = 20) -> bool:
    """SIGKILL every process with a guest's token, stopped ones too, until none is left; whether that succeeded."""
    return _kill(lambda: marked(TOKEN_VARIABLE, token), rounds)


def descendants(ancestor: int) -> list[ProcessFact]:
    """Live descendants of `ancestor`. An orphan is the child of its nearest living subreaper."""
    children: dict[int, list[ProcessFact]] = {}
    for fact in every_process():
        children.setdefault(fact.parent, []).append(fact)
    found: list[ProcessFact] = []
    todo = [ancestor]
    while todo:
        mine = children.pop(todo.pop(), [])
        found += [fact for fact in mine if fact.alive]
        todo += [fact.pid for fact in mine]
    return found


def kill_descendants(ancestor: int, *, rounds: int = 20) -> bool:
    """SIGKILL all of them, until none is left; whether that succeeded."""
    return _kill(lambda: descendants(ancestor), rounds)


def _kill(look: Callable[[], list[ProcessFact]], rounds: int) -> bool:
    for _ in range(rounds):
        found = look()
        if not found:
            return True
        for fact in found:
            signal_exactly(fact, signal.SIGKILL)
    return False


def container_state(layout: CgroupLayout, sandbox_directory: str, container: str) -> FreezerState:
    """Whether a container is frozen, from the kernel alone: by its cgroup's freezer, or, without a
    cgroup, whether each of its marked processes is stopped. For any process that sees this machine's /proc."""
    group = container_group(sandbox_directory, container)
    state = freezer_state(layout, group)
    if state is not FreezerState.ABSENT:
        return state
    facts = marked(CONTAINER_VARIABLE, group)
    if not facts:
        return FreezerState.ABSENT
    stopped = sum(fact.stopped for fact in facts)
    if stopped == len(facts):
        return FreezerState.FROZEN
    return FreezerState.FREEZING if stopped else FreezerState.THAWED
