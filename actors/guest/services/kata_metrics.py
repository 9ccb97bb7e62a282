"""GetMetrics: numbers of containers and processes, their resource usage, and the guest's own.

Containers by the model's states and the engine's counters; the rest is the platform's. Values that an engine does not
measure are omitted, never zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import InvalidTransition, NotFound, Unsupported
from actors.guest.metrics import Family, Sample, render
from actors.lifecycle.container import ContainerState
from actors.lifecycle.process import ProcessState
from actors.schemas import agent as api

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from actors.guest.executor import Executor
    from actors.guest.platform import Platform
    from actors.guest.services.method import Method
    from actors.schemas.stats import CgroupStats

__all__ = ["MetricsCalls"]

# containers listed one by one: a host accepts 256 KiB of text, and each has some 400 bytes
_MOST_CONTAINERS = 256


class MetricsCalls:
    """See the module."""

    def __init__(self, executor: Executor, platform: Platform) -> None:
        self._executor = executor
        self._model = executor.model
        self._platform = platform
        self._asked = 0

    def methods(self) -> Mapping[str, Method]:
        """By call name."""
        return {"GetMetrics": self._metrics}

    async def _metrics(self, _: api.GetMetricsRequest) -> msgspec.Struct:
        self._asked += 1
        scrapes = Family(
            "kata_agent_scrape_count", "counter", "Times that these were asked for.", (Sample(self._asked, {}),)
        )
        families = [scrapes, *self._counts(), *await self._uses(), *await self._platform.measures()]
        return api.Metrics(metrics=render(families))

    def _counts(self) -> list[Family]:
        containers = list(self._model.containers.values())
        states = {state: sum(one.state is state for one in containers) for state in ContainerState}
        running = {
            one.id: sum(process.state is ProcessState.RUNNING for process in one.processes.values())
            for one in containers[:_MOST_CONTAINERS]
        }
        return [
            Family(
                "katrio_containers",
                "gauge",
                "Containers by state.",
                tuple(Sample(count, {"state": str(state)}) for state, count in states.items()),
            ),
            Family(
                "katrio_container_started_processes",
                "gauge",
                "Processes that run and that the guest was asked to start.",
                tuple(Sample(count, {"container": name}) for name, count in running.items()),
            ),
        ]

    async def _uses(self) -> list[Family]:
        counted: dict[str, CgroupStats] = {}
        for name in list(self._model.containers)[:_MOST_CONTAINERS]:
            try:
                counted[name] = await self._executor.stats(name)
            except (Unsupported, NotFound, InvalidTransition):
                # not measured here, or removed meanwhile
                continue
        memory = {name: one.memory_stats.usage for name, one in counted.items() if one.memory_stats is not None}
        cpu = {name: one.cpu_stats.cpu_usage for name, one in counted.items() if one.cpu_stats is not None}
        pids = {name: one.pids_stats for name, one in counted.items()}
        return [
            Family(
                "katrio_container_memory_bytes",
                "gauge",
                "Memory in use.",
                tuple(Sample(one.usage, {"container": name}) for name, one in memory.items() if one is not None),
            ),
            Family(
                "katrio_container_cpu_seconds_total",
                "counter",
                "Processor time used.",
                tuple(
                    Sample(one.total_usage / 1e9, {"container": name}) for name, one in cpu.items() if one is not None
                ),
            ),
            Family(
                "katrio_container_processes",
                "gauge",
                "Processes, as its control group counts them.",
                tuple(Sample(one.current, {"container": name}) for name, one in pids.items() if one is not None),
            ),
        ]
