"""The sandboxes and containers of a file: bringing them up before the steps, taking them down after.

The rule: everything that the file declares is created and started before the first step, in the order of
the file, except what some step creates or starts by itself; a container is never brought up before its
sandbox. Everything is taken down at the end, always. Not for steps in between: `actors.scenario.steps`.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from actors.errors import KatrioError, NotFound
from actors.limits import DEFAULT_LIMITS
from actors.scenario.language.values import UnknownValue, number_of
from actors.wire.spec import ContainerSpec, ProcessSpec, ResourceSpec, SandboxSpec, TerminalSize

if TYPE_CHECKING:
    from actors.scenario.stage.stage import Attempt, Stage

__all__ = ["bring_up", "container_spec", "create", "start", "tear_down"]

T = TypeVar("T")

# the kernel's own default period of a CPU quota
CPU_PERIOD_US = 100_000


def container_spec(attempt: Attempt, address: str) -> ContainerSpec:
    """What to create for `sandbox/container`: its own words, else its sandbox's defaults, else the file's."""
    sandbox, name = address.split("/")
    scenario = attempt.stage.scenario
    declared = scenario.sandboxes[sandbox]
    layers = (declared.containers[name], declared.defaults, scenario.defaults)
    env: dict[str, str] = {}
    for layer in reversed(layers):
        env.update({key: attempt.text(value) for key, value in layer.env.items()})
    cpus = _first([layer.cpus for layer in layers])
    size = _first([layer.size for layer in layers])
    return ContainerSpec(
        process=ProcessSpec(
            args=tuple(attempt.text(word) for word in _first([layer.command for layer in layers]) or ()),
            env=env,
            cwd=attempt.text(_first([layer.cwd for layer in layers]) or "/"),
            user=attempt.text(_first([layer.user for layer in layers]) or ""),
            tty=_first([layer.tty for layer in layers]) or False,
            size=TerminalSize(size.rows, size.columns) if size else None,
        ),
        image=attempt.text(_first([layer.image for layer in layers]) or "busybox"),
        readonly=_first([layer.readonly for layer in layers]) or False,
        resources=ResourceSpec(
            memory_bytes=_first([layer.memory for layer in layers]),
            pids=_first([layer.pids for layer in layers]),
            **cpu_quota(attempt.text(cpus) if cpus else None),
        ),
    )


def cpu_quota(cpus: str | None) -> dict[str, Any]:
    """The fields of a ResourceSpec that allow so many processors. Raises: UnknownValue."""
    if cpus is None:
        return {}
    number = number_of(cpus)
    if not math.isfinite(number):
        raise UnknownValue(f"cpus {cpus[:40]!r}: expected how many processors")
    return {"cpu_quota_us": round(number * CPU_PERIOD_US), "cpu_period_us": CPU_PERIOD_US}


def _first(values: list[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)


async def create(attempt: Attempt, name: str) -> None:
    """Create the sandbox or container of this name. Raises: KatrioError, UnknownValue."""
    stage = attempt.stage
    address = attempt.address(name)
    if (name := address) in stage.names.sandboxes:
        # before the ask: it may have happened although no answer comes
        stage.standing.setdefault(name, stage.sandbox(name))
        hostname = stage.scenario.sandboxes[name].hostname or ""
        spec = SandboxSpec(hostname=attempt.text(hostname))
        await attempt.ask("create", name, stage.world.system.create_sandbox(name, spec, timeout=attempt.budget))
        return
    sandbox, container = address.split("/")
    asked = container_spec(attempt, address)
    making = stage.sandbox(sandbox).create_container(container, asked, timeout=attempt.budget)
    await attempt.ask("create", address, making)


async def start(attempt: Attempt, name: str) -> None:
    """Start the sandbox or container of this name, and read what its init prints. Raises: KatrioError."""
    stage = attempt.stage
    address = attempt.address(name)
    if (name := address) in stage.names.sandboxes:
        await attempt.ask("start", name, stage.sandbox(name).start(timeout=attempt.budget))
        return
    handle = stage.container(address)
    await attempt.ask("start", address, handle.start(timeout=attempt.budget))
    attempt.watch(address, address, handle.init)


def implicit(stage: Stage) -> list[tuple[str, str]]:
    """What to bring up before the first step: (verb, name) in order."""
    created, started = _by_steps(stage)
    plan: list[tuple[str, str]] = []
    for sandbox, declared in stage.scenario.sandboxes.items():
        if sandbox in created:
            continue
        plan.append(("create", sandbox))
        if sandbox in started:
            continue
        plan.append(("start", sandbox))
        for container in declared.containers:
            address = f"{sandbox}/{container}"
            if address not in created:
                plan.append(("create", address))
                if address not in started:
                    plan.append(("start", address))
    return plan


def _by_steps(stage: Stage) -> tuple[frozenset[str], frozenset[str]]:
    """What steps create, and what they start; a name with values in it counts for all that it may be."""

    def by(verb: str) -> frozenset[str]:
        named = (names for path, names in stage.targets.items() if path.rpartition(".")[2] == verb)
        return frozenset(stage.names.container(name) or name for names in named for name in names)

    return by("create"), by("start")


async def bring_up(attempt: Attempt) -> None:
    """Bring up what no step does. Raises: KatrioError, UnknownValue."""
    for verb, name in implicit(attempt.stage):
        await (create if verb == "create" else start)(attempt, name)


async def tear_down(attempt: Attempt) -> list[str]:
    """Stop and delete every sandbox that stands, the last one first; what could not be done, in words."""
    stage = attempt.stage
    failures: list[str] = []
    for name, handle in reversed(list(stage.standing.items())):
        try:
            grace = DEFAULT_LIMITS.cancel_grace_seconds * stage.slow
            await attempt.ask("stop", name, handle.stop(grace=grace, timeout=attempt.budget))
            await attempt.ask("delete", name, handle.delete(timeout=attempt.budget))
            stage.deleted.add(name)
        except NotFound:
            pass
        except KatrioError as error:
            failures.append(f"{name}: {error.code}: {error.message}")
            # a world that is shared has its name for the next file
            with suppress(KatrioError):
                await attempt.ask("delete", name, handle.delete(force=True, timeout=attempt.budget))
        stage.standing.pop(name, None)
    return failures
