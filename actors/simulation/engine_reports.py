"""A simulated container's cgroup limits and counters, and the output of `ps` on a simulated guest.

A simulated machine has cgroup v1 with memory, pids, cpu and freezer. `ps` inside a container is a program
(`actors.simulation.box.programs.system`).
"""

from __future__ import annotations

import posixpath
from types import MappingProxyType
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, Unsupported
from actors.guest.engines.resources import plan_resources
from actors.schemas.stats import BlkioStats, CgroupStats, CpuStats, CpuUsage, MemoryData, MemoryStats, PidsStats
from actors.simulation.box.programs.system import user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.guest.engines.resources import Write
    from actors.schemas.oci import LinuxResources
    from actors.simulation.box.kernel.process import Container, Process

__all__ = ["MACHINE_BYTES", "container_stats", "process_table", "set_limits"]

_PAGE = 4096
# memory of a simulated machine, the limit for processes without one
MACHINE_BYTES = 1024**3
_UNLIMITED = 0x7FFFFFFFFFFFF000
_PERIOD_US = (1_000, 1_000_000)


def set_limits(container: Container, resources: LinuxResources | None) -> None:
    """Set all or none.

    Raises:
        Unsupported: a simulated machine has no such setting; nothing was changed.
        InvalidArgument: a value that a kernel would reject; nothing was changed.
    """
    if resources is None:
        return
    writes = plan_resources(resources, version=1)
    for write in writes:
        if write.file not in _SETTINGS:
            raise Unsupported(
                f"resources.{write.field}: a simulated machine has no {write.file}; leave it out",
                field=write.field,
            )
    values = [(write, _checked(container, write)) for write in writes]
    for write, value in values:
        _SETTINGS[write.file](container, value)


def _checked(container: Container, write: Write) -> int:
    value = -1 if write.text == "max" else int(write.text)
    refused = ""
    if write.file == "memory.limit_in_bytes" and 0 <= value // _PAGE * _PAGE < container.memory_bytes:
        refused = "Device or resource busy"
    elif (write.file == "cpu.cfs_quota_us" and 0 <= value < 1_000) or (
        write.file == "cpu.cfs_period_us" and not _PERIOD_US[0] <= value <= _PERIOD_US[1]
    ):
        refused = "Invalid argument"
    if refused:
        raise InvalidArgument(
            f"resources.{write.field} to {write.text!r}: the kernel refuses it ({refused})", field=write.field
        )
    return value


def _limit_memory(container: Container, value: int) -> None:
    container.memory_limit = min(value // _PAGE * _PAGE, MACHINE_BYTES) if value >= 0 else MACHINE_BYTES


def _limit_processes(container: Container, value: int) -> None:
    container.process_limit = value if value >= 0 else None


def _quota(container: Container, value: int) -> None:
    container.quota_us = value if value > 0 else None
    _slow_down(container)


def _period(container: Container, value: int) -> None:
    container.period_us = value
    _slow_down(container)


def _slow_down(container: Container) -> None:
    """A CPU quota of half a CPU makes all work take twice as long; more than a whole CPU changes nothing."""
    quota = container.quota_us
    container.slowness = 1.0 if quota is None else max(1.0, container.period_us / quota)


# cpu.shares only matter under contention, and simulated processes never wait for a CPU
_SETTINGS: Mapping[str, Callable[[Container, int], None]] = MappingProxyType(
    {
        "memory.limit_in_bytes": _limit_memory,
        "memory.soft_limit_in_bytes": lambda container, value: None,
        "pids.max": _limit_processes,
        "cpu.cfs_quota_us": _quota,
        "cpu.cfs_period_us": _period,
        "cpu.shares": lambda container, value: None,
    }
)


def container_stats(container: Container) -> CgroupStats:
    """The counters that exist; the rest is unset."""
    used = int(container.cpu_seconds * 1e9)
    limit = container.memory_limit
    return CgroupStats(
        cpu_stats=CpuStats(cpu_usage=CpuUsage(total_usage=used, percpu_usage=(used,), usage_in_usermode=used)),
        memory_stats=MemoryStats(
            usage=MemoryData(
                usage=container.memory_bytes,
                max_usage=container.memory_peak,
                failcnt=container.failed_charges,
                limit=_UNLIMITED if limit is None or limit >= MACHINE_BYTES else limit,
            ),
            use_hierarchy=True,
            stats={"cache": 0, "rss": container.memory_bytes},
        ),
        pids_stats=PidsStats(current=len(container.processes), limit=container.process_limit or 0),
        blkio_stats=BlkioStats(),
    )


# `ps` on the guest, in procps' format

_FORMATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "-ef": ("uid", "pid", "ppid", "c", "stime", "tty", "time", "cmd"),
        "-e": ("pid", "tty", "time", "comm"),
        "aux": ("user", "pid", "%cpu", "%mem", "vsz", "rss", "tty", "stat", "start", "time", "command"),
    }
)
# name -> (header, its alignment)
_COLUMNS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "uid": ("UID", "<8"), "user": ("USER", "<8"), "pid": ("PID", ">7"), "ppid": ("PPID", ">7"), "c": ("C", ">2"),
        "stime": ("STIME", ">5"), "start": ("START", ">5"), "tty": ("TTY", "<8"), "tt": ("TT", "<8"), "time": ("TIME", ">8"),
        "stat": ("STAT", "<4"), "state": ("S", "<1"), "s": ("S", "<1"), "vsz": ("VSZ", ">6"), "rss": ("RSS", ">5"),
        "%cpu": ("%CPU", ">4"), "pcpu": ("%CPU", ">4"), "%mem": ("%MEM", ">4"), "pmem": ("%MEM", ">4"),
        "comm": ("COMMAND", ""), "ucmd": ("CMD", ""), "cmd": ("CMD", ""), "args": ("COMMAND", ""), "command": ("COMMAND", ""),
    }
)  # fmt: skip
_ARGUMENTS, _ARGUMENT_BYTES = 64, 4096


def process_table(container: Container, arguments: tuple[str, ...]) -> str:
    """Header and rows. Raises: InvalidArgument (`args`)."""
    if len(arguments) > _ARGUMENTS or any(len(word) > _ARGUMENT_BYTES or "\0" in word for word in arguments):
        raise InvalidArgument(
            f"ps arguments: at most {_ARGUMENTS} of {_ARGUMENT_BYTES} bytes each, without NUL", field="args"
        )
    columns = _columns(arguments)
    if "pid" not in columns:
        raise InvalidArgument(f"ps {list(arguments)}: no PID column to tell the container's rows by", field="args")
    rows = [[_COLUMNS[name][0] for name in columns]]
    rows += [[_cell(process, name) for name in columns] for process in container.processes.values()]
    lines: list[str] = []
    for row in rows:
        cells = [f"{cell:{_COLUMNS[name][1]}}" for cell, name in zip(row, columns, strict=True)]
        lines.append(" ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _columns(arguments: tuple[str, ...]) -> tuple[str, ...]:
    words = arguments or ("-ef",)
    found: list[str] = []
    formats = {"-ef": "-ef", "-fe": "-ef", "-e": "-e", "-A": "-e", "aux": "aux", "-aux": "aux", "ax": "-e"}
    base: tuple[str, ...] = ()
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word in formats:
            base = _FORMATS[formats[word]]
        elif word in ("-o", "-eo", "-Ao", "o") and at < len(words):
            found += words[at].replace(",", " ").split()
            at += 1
        elif word.startswith(("-o", "-eo")):
            found += word.partition("o")[2].replace(",", " ").split()
        else:
            raise InvalidArgument(
                f"ps {list(arguments)}: a simulated guest's ps knows -e, -f, aux and -o COLUMNS", field="args"
            )
    unknown = [name for name in found if name not in _COLUMNS]
    if unknown:
        raise InvalidArgument(f"ps {list(arguments)}: unknown column {unknown[0]!r}", field="args")
    return tuple(found) or base


def _cell(process: Process, name: str) -> str:
    minutes, rest = divmod(int(process.cpu_seconds), 60)
    hours, minutes = divmod(minutes, 60)
    began = int(process.began)
    parent = process.parent
    values: dict[str, str] = {
        "uid": user_name(process),
        "user": user_name(process),
        "pid": str(process.number),
        # a parent outside the container is the guest
        "ppid": str(parent.number if parent is not None else 1),
        "c": "0",
        "stime": f"{began // 3600 % 24:02}:{began // 60 % 60:02}",
        "tty": "pts/0" if process.terminal is not None else "?",
        "time": f"{hours:02}:{minutes:02}:{rest:02}",
        "stat": process.state,
        "vsz": str(process.memory // 1024),
        "rss": str(process.memory // 1024),
        "%cpu": "0.0",
        "%mem": f"{100 * process.memory / MACHINE_BYTES:.1f}",
        "comm": posixpath.basename(process.argv[0])[:15],
        "cmd": " ".join(process.argv),
    }
    same = {"start": "stime", "tt": "tty", "state": "stat", "s": "stat", "pcpu": "%cpu", "pmem": "%mem", "ucmd": "comm"}
    return values[{"args": "cmd", "command": "cmd", **same}.get(name, name)]
