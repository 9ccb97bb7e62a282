"""Processes of this machine as /proc shows them, and the marks by which ours are told from strangers.

For the plain-process engine, whose containers have no control group, and for those who sweep or probe them from
outside. A mark is a variable in a process's first environment: children inherit it, and what drops it can't be
found by it, but by its descent, as long as its guest, or the guest's launcher, lives to inherit it. Not for containers of a runtime: membership of their group is proof enough (`cgroups`).
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

# the container's group path, though no such group is made: unique on this machine like the run directory's name
CONTAINER_VARIABLE = "KATRIO_CONTAINER"
# a random value for each guest
TOKEN_VARIABLE = "KATRIO_GUEST_TOKEN"
_DEAD = "ZX"


class ProcessFact(NamedTuple):
    """One process; `start` in clock ticks since boot, `state` one letter: of its main thread, or, when that has ended before
    the others (then it looks like a zombie, and what is left of the process runs on in its control group), of one of those."""

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
    """One process; None when there is none. Raises: OSError, when no descriptor is left to look with."""
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
    """Of one that lives; the state of the dead when there is none any more."""
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
    """Every process that this process's /proc shows, but itself."""
    own = os.getpid()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [fact for pid in sorted(pids) if pid != own and (fact := read_process(pid)) is not None]


def has_mark(pid: int, variable: str, value: str) -> bool:
    """Whether the process was given `variable=value`; False when its environment can't be read."""
    try:
        return f"{variable}={value}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError as error:
        raise_if_exhausted(error)
        return False


def marked(variable: str, value: str) -> list[ProcessFact]:
    """Live processes with the mark, by pid."""
    return [fact for fact in every_process() if fact.alive and has_mark(fact.pid, variable, value)]


def signal_exactly(fact: ProcessFact, signum: int) -> bool:
    """Signal this process and none that got its pid later; False when it is gone."""
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
    """SIGKILL everything with a guest's token, stopped or not, until nothing has it; whether that came true."""
    return _kill(lambda: marked(TOKEN_VARIABLE, token), rounds)


def descendants(ancestor: int) -> list[ProcessFact]:
    """Live processes that are children of `ancestor`, or of one of those. An orphan is its nearest living subreaper's child."""
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
    """SIGKILL all of them, until there is none; whether that came true."""
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
    """Whether a container stands still, from the kernel alone: its control group's freezer, or, when it has no
    group, whether each of its marked processes is stopped. For any process that sees this machine's /proc."""
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
