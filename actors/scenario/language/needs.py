"""What a scenario may need of the world it runs in: one fixed set, each with its meaning.

For the loader, which refuses other words, and for worlds, which say what they provide.
Not for how a world provides it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAULTS", "NEEDS", "PROBES"]

NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "containers": "processes of containers really run and end by themselves",
        "exec": "more processes can be started in a running container",
        "pause": "a container can be frozen while its neighbours run",
        "tty": "processes can have a terminal, whose size can change",
        "signals": "signals reach processes",
        "signal_exits": "how a process ended is told though a signal ended it or was sent to it: its exit code, or 128 + N",
        "exec_errors": "a program, directory or user that is not there is an error that names it",
        "held_output": "a process's end is told though a child of it goes on holding its output",
        "process_list": "the processes of a container can be listed",
        "stdin": "processes can be written to",
        "images": "containers have a root file system of their own",
        "isolation": "containers see only their own processes and mounts",
        "limits": "limits of memory and processors are enforced",
        "pids_limit": "a limit of processes is enforced",
        "oom": "a process that runs out of memory is killed",
        "oom_told": "each kill for want of memory is told: `oom_kills` counts it",
        "stats": "resource use can be read",
        "cgroups": "containers are in control groups of the kernel",
        "probes": "facts past the guest can be asked; without it steps that probe are skipped, and the others are not",
        "faults": "the world can break its own parts: a guest can be killed",
    }
)

# what a world can be told to break, and what that means
FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "kill_guest": "the guest of the sandbox dies at once, and with it everything in it",
    }
)

# what a probe may ask of a world, and what it answers
PROBES: Mapping[str, str] = MappingProxyType(
    {
        "freezer": "`frozen` or `thawed`: what keeps its processes, asked past the guest",
        "processes": "how many processes the container has",
    }
)
