"""Each verb of the agent interface, exercised on a running sandbox, with its effect looked at where something really runs.

One body for every agent, engine and world that the verb table (`actors/agents/support.py`) has a column for. Not for edges and
errors: `tests/integration/test_edges*.py`.
"""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trio

from actors.agents.support import Support, VerbTable
from actors.errors import InvalidArgument, OutcomeUnknown, Unsupported
from actors.scenario.language.needs import Need, Probe
from actors.wire.reports import Address, Interface, Route
from actors.wire.spec import ContainerSpec, ProcessSpec, ResourceSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from actors.handles import ContainerHandle, ProcessHandle, SandboxHandle, SeenEvent
    from actors.scenario.stage.world import World

__all__ = ["EXERCISES", "differences"]

SLEEP = ("sleep", "100")


@dataclass
class Stage:
    """One running sandbox of one column; `real`: whether anything really runs."""

    world: World
    box: SandboxHandle
    real: bool
    made: int = 0

    async def container(
        self, *args: str, tty: bool = False, start: bool = True, resources: ResourceSpec | None = None
    ) -> ContainerHandle:
        self.made += 1
        process = ProcessSpec(args=args or SLEEP, tty=tty, size=TerminalSize(24, 80) if tty else None)
        spec = ContainerSpec(process=process, resources=resources or ResourceSpec())
        container = await self.box.create_container(f"c{self.made}", spec)
        if start:
            await container.start()
        return container

    async def until(self, container: ContainerHandle, wanted: bytes) -> None:
        """Its output up to `wanted`."""
        if not self.real:
            return
        seen = b""
        async with container.init.open_stdout() as parts:
            async for part in parts:
                seen += part.data
                if wanted in seen:
                    return
        raise AssertionError(f"{wanted!r} is not in {seen!r}")


async def ended_by(stage: Stage, process: ProcessHandle, signum: int) -> None:
    """A signal of ours has ended it; not every agent can tell."""
    if not stage.real:
        return
    if Need.SIGNAL_EXITS not in stage.world.missing:
        assert (await process.wait()).code == 128 + signum
        return
    with pytest.raises(OutcomeUnknown) as unknown:
        await process.wait()
    assert unknown.value.details["signal"] == signum


async def sandbox_start(stage: Stage) -> None:
    other = await stage.world.system.create_sandbox("started")
    await other.start()
    assert (await other.info()).state == "running"


async def sandbox_stop(stage: Stage) -> None:
    other = stage.world.system.sandbox("started")
    await other.stop()
    await other.stop()
    assert (await other.info()).state == "stopped"


async def sandbox_delete(stage: Stage) -> None:
    await stage.world.system.sandbox("started").delete()
    assert "started" not in (await stage.world.system.info()).children


async def sandbox_check(stage: Stage) -> None:
    assert (await stage.box.check()).serving


async def sandbox_capabilities(stage: Stage) -> None:
    assert not (await stage.box.capabilities()).block_devices


async def sandbox_details(stage: Stage) -> None:
    assert (await stage.box.get_guest_details()).agent_version == (await stage.box.check()).agent_version


async def sandbox_disconnect(stage: Stage) -> None:
    await stage.box.disconnect()
    await stage.box.disconnect()
    assert (await stage.box.check()).serving


async def sandbox_create_container(stage: Stage) -> None:
    one = await stage.container(start=False)
    assert (await one.info()).state == "ready"
    await one.stop()


async def sandbox_info(stage: Stage) -> None:
    assert (await stage.box.info()).state == "running"


async def sandbox_events(stage: Stage) -> None:
    async with stage.box.open_events() as events:
        assert (await anext(events)).event.state == "running"


async def sandbox_copy_file(stage: Stage) -> None:
    await stage.box.copy_file("conformance", b"x")


async def sandbox_reseed(stage: Stage) -> None:
    await stage.box.reseed_random(bytes(range(32)))


async def sandbox_time(stage: Stage) -> None:
    await stage.box.set_guest_time(1)


async def sandbox_online(stage: Stage) -> None:
    await stage.box.online_cpu_mem(1)


async def sandbox_list_interfaces(stage: Stage) -> None:
    names = [one.device for one in await stage.box.list_interfaces()]
    assert names == (["lo"] if stage.real else [])


async def sandbox_update_interface(stage: Stage) -> None:
    addresses = (Address("127.0.0.1", 8), Address("192.0.2.7", 32))
    found = await stage.box.update_interface(Interface(device="lo", addresses=addresses))
    assert {one.address for one in found.addresses} >= {"127.0.0.1", "192.0.2.7"}


async def sandbox_list_routes(stage: Stage) -> None:
    # a namespace with nothing but its loopback has none of its own
    assert [one for one in await stage.box.list_routes() if one.device != "lo"] == []


async def sandbox_update_routes(stage: Stage) -> None:
    route = Route(destination="198.51.100.0/24", device="lo", scope=253)
    assert route in await stage.box.update_routes((route,))
    if stage.real:
        assert route in await stage.box.list_routes()
        with pytest.raises(InvalidArgument, match="Network is unreachable"):
            await stage.box.update_routes((Route(destination="203.0.113.0/24", gateway="203.0.113.1"),))
        assert route in await stage.box.list_routes(), "a table that the kernel refuses leaves the old one"
    assert route not in await stage.box.update_routes(())


async def container_start(stage: Stage) -> None:
    one = await stage.container()
    assert (await one.info()).state == "running"
    await one.stop(grace=0)


async def container_stop(stage: Stage) -> None:
    one = await stage.container("sh", "-c", "trap 'exit 3' TERM; echo up; while true; do sleep 0.02; done")
    await stage.until(one, b"up\n")
    assert (await one.stop()).code == (3 if stage.real else 0)
    assert (await one.stop()).code == (3 if stage.real else 0)


async def container_delete(stage: Stage) -> None:
    one = await stage.container()
    await one.stop(grace=0)
    await one.delete()
    assert one.address.rpartition("/")[2] not in (await stage.box.info()).children


async def container_exec(stage: Stage) -> None:
    one = await stage.container()
    done = await (await one.exec("e1", ProcessSpec(args=("sh", "-c", "exit 7")))).collect()
    assert done.code == (7 if stage.real else 0)
    await one.stop(grace=0)


async def container_disconnect(stage: Stage) -> None:
    one = await stage.container()
    await one.disconnect()
    await one.disconnect()
    await one.signal(signal.SIGKILL)
    await ended_by(stage, one.init, signal.SIGKILL)
    await one.stop()


async def container_signal(stage: Stage) -> None:
    one = await stage.container()
    other = await one.exec("e1", ProcessSpec(args=SLEEP))
    assert (await one.signal(signal.SIGKILL, all_processes=True)).processes == 2
    await ended_by(stage, one.init, signal.SIGKILL)
    await ended_by(stage, other, signal.SIGKILL)
    await one.stop()


async def container_winsize(stage: Stage) -> None:
    one = await stage.container(
        "sh", "-c", "trap 'stty size' WINCH; echo up; while true; do sleep 0.02; done", tty=True
    )
    await stage.until(one, b"up")
    await one.init.winsize(41, 121)
    await stage.until(one, b"41 121")
    await one.stop(grace=0)


async def container_stdin(stage: Stage) -> None:
    one = await stage.container("cat")
    assert await one.init.write(b"abc") == (3 if stage.real else 0)
    await one.init.close_stdin()
    await one.init.close_stdin()
    done = await one.init.collect()
    assert done.stdout == (b"abc" if stage.real else b"")
    await one.stop()


async def container_output(stage: Stage) -> None:
    one = await stage.container("sh", "-c", "echo out; echo err >&2; exit 5")
    done = await one.init.collect()
    wanted = (5, b"out\n", b"err\n") if stage.real else (0, b"", b"")
    assert (done.code, done.stdout, done.stderr) == wanted
    await one.stop()


async def container_list(stage: Stage) -> None:
    one = await stage.container()
    pids = await one.list_processes()
    assert len(pids) == (1 if stage.real else 0)
    table = await one.process_table()
    assert table.count("\n") == (2 if stage.real else 0)
    await one.stop(grace=0)


async def container_pause(stage: Stage) -> None:
    one = await stage.container()
    await one.pause()
    assert (await one.info()).state == "paused"
    name = one.address.rpartition("/")[2]
    if stage.real:
        assert await stage.world.probe(Probe.FREEZER, "box", name) == "frozen"
    await one.resume()
    assert (await one.info()).state == "running"
    if stage.real:
        assert await stage.world.probe(Probe.FREEZER, "box", name) == "thawed"
    await one.stop(grace=0)


async def container_info(stage: Stage) -> None:
    one = await stage.container(start=False)
    assert (await one.info()).id == one.address.rpartition("/")[2]
    await one.stop()


async def container_events(stage: Stage) -> None:
    one = await stage.container(start=False)
    async with one.open_events() as events:
        assert (await anext(events)).event.state == "ready"
    await one.stop()


async def container_update(stage: Stage) -> None:
    one = await stage.container()
    try:
        await one.update(ResourceSpec(pids=77))
        if stage.real:
            found = (await one.stats()).pids
            assert found is not None
            assert found.limit == 77
    finally:
        await one.stop(grace=0)


async def container_stats(stage: Stage) -> None:
    one = await stage.container()
    try:
        found = await one.stats()
        assert (found.memory is not None) == stage.real
    finally:
        await one.stop(grace=0)


@asynccontextmanager
async def told(container: ContainerHandle, kind: str) -> AsyncGenerator[Callable[[], Awaitable[SeenEvent]]]:
    """A wait for the next event of that kind."""
    async with container.open_events() as events:

        async def wait() -> SeenEvent:
            while (seen := await anext(events)).event.kind != kind:
                pass
            return seen

        yield wait


async def event_state(stage: Stage) -> None:
    one = await stage.container(start=False)
    async with told(one, "state") as wait:
        assert (await wait()).event.state == "ready"
        await one.start()
        assert [(await wait()).event.state for _ in range(2)] == ["starting", "running"]
    await one.stop(grace=0)


async def event_deleted(stage: Stage) -> None:
    one = await stage.container(start=False)
    async with told(one, "deleted") as wait:
        await one.stop()
        await one.delete()
        assert (await wait()).event.source == one.address


async def event_exit(stage: Stage) -> None:
    one = await stage.container("sh", "-c", "exit 9", start=False)
    async with told(one, "exit") as wait:
        await one.start()
        found = (await wait()).event.exit
        assert found is not None
        assert found.code == 9
    await one.stop()


async def event_oom(stage: Stage) -> None:
    # a simulated machine has no swap that could make up for the limit, and none to be limited
    swap = None if stage.world.name == "simulated" else 16 << 20
    limits = ResourceSpec(memory_bytes=16 << 20, memory_swap_bytes=swap)
    one = await stage.container("sh", "-c", "x=a; while true; do x=$x$x; done", start=False, resources=limits)
    async with told(one, "oom") as wait:
        await one.start()
        await wait()
    await one.stop()


# in the order of the table: "start" makes the sandbox that "stop" and "delete" end
EXERCISES: dict[tuple[str, str], Callable[[Stage], Awaitable[None]]] = {
    ("sandbox", "start"): sandbox_start,
    ("sandbox", "stop"): sandbox_stop,
    ("sandbox", "delete"): sandbox_delete,
    ("sandbox", "check"): sandbox_check,
    ("sandbox", "capabilities"): sandbox_capabilities,
    ("sandbox", "get_guest_details"): sandbox_details,
    ("sandbox", "disconnect"): sandbox_disconnect,
    ("sandbox", "create_container"): sandbox_create_container,
    ("sandbox", "info"): sandbox_info,
    ("sandbox", "events"): sandbox_events,
    ("sandbox", "copy_file"): sandbox_copy_file,
    ("sandbox", "reseed_random"): sandbox_reseed,
    ("sandbox", "set_guest_time"): sandbox_time,
    ("sandbox", "online_cpu_mem"): sandbox_online,
    ("sandbox", "list_interfaces"): sandbox_list_interfaces,
    ("sandbox", "update_interface"): sandbox_update_interface,
    ("sandbox", "list_routes"): sandbox_list_routes,
    ("sandbox", "update_routes"): sandbox_update_routes,
    ("container", "start"): container_start,
    ("container", "stop"): container_stop,
    ("container", "delete"): container_delete,
    ("container", "exec"): container_exec,
    ("container", "disconnect"): container_disconnect,
    ("container", "signal"): container_signal,
    ("container", "winsize"): container_winsize,
    ("container", "write_stdin"): container_stdin,
    ("container", "close_stdin"): container_stdin,
    ("container", "read_stdout"): container_output,
    ("container", "read_stderr"): container_output,
    ("container", "wait"): container_output,
    ("container", "list_processes"): container_list,
    ("container", "pause"): container_pause,
    ("container", "resume"): container_pause,
    ("container", "info"): container_info,
    ("container", "events"): container_events,
    ("container", "update"): container_update,
    ("container", "stats"): container_stats,
    ("event", "state"): event_state,
    ("event", "deleted"): event_deleted,
    ("event", "exit"): event_exit,
    ("event", "oom"): event_oom,
}


async def _observe(stage: Stage, exercise: Callable[[Stage], Awaitable[None]]) -> Support:
    with trio.fail_after(20):
        try:
            await exercise(stage)
        except Unsupported:
            return Support.UNSUPPORTED
    return Support.OK


async def differences(world: World, table: VerbTable, column: str) -> dict[tuple[str, str], Support]:
    """What was observed of each row that can come up there, as far as it is not the table's word."""
    box = await world.system.create_sandbox("box")
    await box.start()
    stage = Stage(world, box, real=world.engine is not None)
    return {
        row: observed
        for row, word in table.column(column).items()
        if word is not Support.NOT_APPLICABLE and (observed := await _observe(stage, EXERCISES[row])) is not word
    }
