"""An embedded guest's metrics, from /proc: its own process, its processes, memory, load, devices.

Memory and load are the whole machine's, as the guest has no share of its own; tasks are those of
its pid namespace, devices those of its network namespace.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from actors.guest.metrics import Family, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["guest_measures"]

_PROC = Path("/proc")
_MEMORY = ("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree")
_DEVICE = {"recv_bytes": 0, "recv_packets": 1, "sent_bytes": 8, "sent_packets": 9}


def guest_measures(*, devices: bool) -> list[Family]:
    """All that can be read; unreadable files are skipped."""
    makers: list[Callable[[], Iterator[Family]]] = [_own, _memory, _load, _tasks]
    if devices:
        makers.append(_devices)
    found: list[Family] = []
    for make in makers:
        try:
            found += list(make())
        except (OSError, ValueError, IndexError):
            continue
    return found


def _own() -> Iterator[Family]:
    # fields after the name, which may contain blanks and parentheses
    words = (_PROC / "self/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    seconds = (int(words[11]) + int(words[12])) / ticks
    resident = int((_PROC / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    open_files = len(os.listdir("/proc/self/fd"))
    for name, kind, about, value in (
        ("kata_agent_process_cpu_seconds_total", "counter", "Processor time of the guest's own process.", seconds),
        ("kata_agent_total_rss", "gauge", "Its resident memory in bytes.", resident),
        ("kata_agent_threads", "gauge", "Its threads.", int(words[17])),
        ("kata_agent_process_open_fds", "gauge", "Its open descriptors.", open_files),
    ):
        yield Family(name, kind, about, (Sample(value, {}),))


def _memory() -> Iterator[Family]:
    rows = dict(line.split(":", 1) for line in (_PROC / "meminfo").read_text().splitlines())
    yield Family(
        "kata_guest_meminfo",
        "gauge",
        "Memory of the machine that the guest runs on, in bytes.",
        tuple(Sample(int(rows[name].split()[0]) * 1024, {"item": name.lower()}) for name in _MEMORY if name in rows),
    )


def _load() -> Iterator[Family]:
    words = (_PROC / "loadavg").read_text().split()
    names = ("load1", "load5", "load15")
    samples = tuple(Sample(float(word), {"item": name}) for name, word in zip(names, words, strict=False))
    yield Family("kata_guest_load", "gauge", "Load of the machine that the guest runs on.", samples)


def _tasks() -> Iterator[Family]:
    count = sum(name.isdecimal() for name in os.listdir(_PROC))
    yield Family("kata_guest_tasks", "gauge", "Processes that the guest sees.", (Sample(count, {"item": "cur"}),))


def _devices() -> Iterator[Family]:
    samples: list[Sample] = []
    for line in (_PROC / "self/net/dev").read_text().splitlines()[2:]:
        name, _, numbers = line.partition(":")
        counts = numbers.split()
        samples += [
            Sample(int(counts[index]), {"interface": name.strip(), "item": item}) for item, index in _DEVICE.items()
        ]
    yield Family("kata_guest_netdev_stat", "counter", "Traffic of the guest's network devices.", tuple(samples))
