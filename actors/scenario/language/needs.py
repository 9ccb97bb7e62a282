"""What a scenario may need of the world it runs in, ask of it past the guest, and break in it: fixed sets, each word with its meaning.

For the loader, which refuses other words, and for worlds, which say what they lack.
Not for how a world provides it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

import msgspec

from actors.errors import InvalidArgument
from actors.suggest import did_you_mean

__all__ = ["Fault", "FaultOf", "Need", "Probe", "ProbeOf"]


class _Word(StrEnum):
    """A word of a file.

    Attributes:
        meaning: a sentence for people.
    """

    meaning: str

    def __new__(cls, word: str, meaning: str = "") -> Self:
        """A member is written as its word and its meaning, and found by its word."""
        self = str.__new__(cls, word)
        self._value_ = word
        self.meaning = meaning
        return self

    @classmethod
    def parse(cls, word: str) -> Self:
        """Raises: InvalidArgument: it is none of them."""
        try:
            return cls(word)
        except ValueError:
            what = cls.__name__.lower()
            raise InvalidArgument(
                f"unknown {what} {word!r}: expected one of {', '.join(cls)}{did_you_mean(word, cls)}", field=what
            ) from None


class Need(_Word):
    """What a world may lack."""

    CONTAINERS = "containers", "processes of containers really run and end by themselves"
    EXEC = "exec", "more processes can be started in a running container"
    PAUSE = "pause", "a container can be frozen while its neighbours run"
    TTY = "tty", "processes can have a terminal, whose size can change"
    SIGNALS = "signals", "signals reach processes"
    SIGNAL_EXITS = (
        "signal_exits",
        "how a process ended is told though a signal ended it or was sent to it: its exit code, or 128 + N",
    )
    EXEC_ERRORS = "exec_errors", "a program, directory or user that is not there is an error that names it"
    HELD_OUTPUT = "held_output", "a process's end is told though a child of it goes on holding its output"
    PROCESS_LIST = "process_list", "the processes of a container can be listed"
    STDIN = "stdin", "processes can be written to"
    IMAGES = "images", "containers have a root file system of their own"
    ISOLATION = "isolation", "containers see only their own processes and mounts"
    LIMITS = "limits", "limits of memory and processors are enforced"
    PIDS_LIMIT = "pids_limit", "a limit of processes is enforced"
    OOM = "oom", "a process that runs out of memory is killed"
    OOM_TOLD = "oom_told", "each OOM kill is told: `oom_kills` counts it"
    STATS = "stats", "resource use can be read"
    CGROUPS = "cgroups", "containers are in control groups of the kernel"
    PROBES = (
        "probes",
        "facts past the guest can be asked; without it steps that probe are skipped, and the others are not",
    )
    FAULTS = "faults", "the world can break its own parts: a guest can be killed"


class Fault(_Word):
    """What a world can be told to break."""

    KILL_GUEST = "kill_guest", "the guest of the sandbox dies at once, and with it everything in it"


class Probe(_Word):
    """What may be asked of a world past the guest, and what it answers."""

    FREEZER = "freezer", "`frozen` or `thawed`: what keeps its processes, asked past the guest"
    PROCESSES = "processes", "how many processes the container has"


class ProbeOf(msgspec.Struct, frozen=True):
    """One question to the world about one container."""

    kind: Probe
    container: str


class FaultOf(msgspec.Struct, frozen=True):
    """One thing that the world is to break."""

    kind: Fault
    sandbox: str
