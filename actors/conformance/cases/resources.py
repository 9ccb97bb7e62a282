"""UpdateContainer, StatsContainer, ListProcesses and GetOOMEvent: limits are enforced, and counters count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.agents.kata.spec import oci_resources
from actors.conformance.case import Cases, FallsShort
from actors.conformance.expect import check, equal, shown
from actors.errors import NotFound, Unsupported
from actors.wire.spec import ResourceSpec

if TYPE_CHECKING:
    from actors.agents.kata.rpclink import RpcLink
    from actors.conformance.kata import Kata
    from actors.conformance.kata_container import Container, Finished
    from actors.schemas.stats import CgroupStats, PidsStats

__all__ = ["CASES", "listen"]

CASES = Cases()

MIB = 1024 * 1024
GROUPS = ("cgroups",)
# interval between samples of a counter
SETTLED_SECONDS = 0.1
# other cases cause two of them
MOST_EVENTS = 64


async def _stats(container: Container) -> CgroupStats:
    answer = await container.kata.call("StatsContainer", container_id=container.id)
    if answer.cgroup_stats is None:
        raise FallsShort("cgroup_stats in the answer", "none")
    found: CgroupStats = answer.cgroup_stats
    return found


async def _update(container: Container, **limits: Any) -> None:
    resources = oci_resources(ResourceSpec(**limits))
    await container.kata.call("UpdateContainer", container_id=container.id, resources=resources)


def _memory(stats: CgroupStats) -> Any:
    found = stats.memory_stats.usage if stats.memory_stats is not None else None
    if found is None:
        raise FallsShort("memory_stats.usage in the answer", "none")
    return found


def _cpu(stats: CgroupStats) -> int:
    found = stats.cpu_stats.cpu_usage if stats.cpu_stats is not None else None
    return 0 if found is None else found.total_usage


@CASES.add(
    "stats.memory",
    title="Statistics tell the memory that a container uses, and its limit",
    does="asks for a container with a limit of 64 MiB",
    expects="a usage above 0 and not above the limit, which is 64 MiB",
    why="agent.proto StatsContainer; OCI runtime spec, linux.resources.memory",
    needs=GROUPS,
)
async def stats_memory(kata: Kata) -> None:
    container = await kata.run(resources=ResourceSpec(memory_bytes=64 * MIB))
    usage = _memory(await _stats(container))
    equal(usage.limit, 64 * MIB, "limit")
    check(0 < usage.usage <= 64 * MIB, "a usage between 0 and 64 MiB", usage.usage)


@CASES.add(
    "stats.processor-time-grows",
    title="Statistics tell the processor time, which grows with work",
    does="asks twice, while a loop runs in between",
    expects="more than 0 nanoseconds, and more the second time",
    why="agent.proto CpuUsage: total_usage in ns",
    needs=GROUPS,
)
async def stats_cpu(kata: Kata) -> None:
    container = await kata.run()
    await container.sh("i=0; while [ $i -lt 300 ]; do i=$((i+1)); done")
    first = _cpu(await _stats(container))
    await container.sh("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done")
    second = _cpu(await _stats(container))
    check(0 < first < second, "a time above 0 that grows", (first, second))


@CASES.add(
    "stats.processes",
    title="Statistics count a container's processes",
    does="asks for a container with a limit of 20 processes, before and after two more execs",
    expects="limit 20, and two more the second time",
    why="agent.proto PidsStats; the Rust agent drops a limit that was sent",
    needs=GROUPS,
)
async def stats_processes(kata: Kata) -> None:
    container = await kata.run(resources=ResourceSpec(pids=20))
    before = await _settled_pids(container)
    for _ in range(2):
        await _running_cat(container)
    after = await _settled_pids(container)
    equal(after.current - before.current, 2, "more processes:")
    equal(after.limit, 20, "limit")


async def _settled_pids(container: Container) -> PidsStats:
    """Wait until two samples agree: a runtime's own processes may be counted for a while. Raises: FallsShort."""
    before = -1
    with container.kata.quick("a count of processes that stays"):
        while True:
            pids = (await _stats(container)).pids_stats
            if pids is None:
                raise FallsShort("pids_stats in the answer", "none")
            if pids.current == before:
                return pids
            before = pids.current
            await container.kata.pass_time(SETTLED_SECONDS)
    raise AssertionError("quick has raised")


async def _running_cat(container: Container) -> None:
    """Another process, which has executed its own program."""
    process = await container.exec("cat")
    await process.write(b"up\n")
    await process.until("up\n")


@CASES.add(
    "stats.while-paused",
    title="Statistics can be had of a paused container",
    does="pauses a container and asks",
    expects="a memory usage above 0",
    why="agent-semantics 1.2: no check of the container's state",
    needs=GROUPS,
)
async def stats_paused(kata: Kata) -> None:
    container = await kata.ticking()
    await container.pause()
    usage = _memory(await _stats(container))
    check(usage.usage > 0, "a usage above 0", usage.usage)


@CASES.add(
    "stats.unknown-refused",
    title="There are no statistics of a container that is not there",
    does="asks for an id that nobody has used",
    expects="not_found",
    why="agent-semantics 7.1 (3): typed NOT_FOUND; the Rust agent answers INVALID_ARGUMENT",
)
async def stats_unknown(kata: Kata) -> None:
    with kata.refused("statistics of an unknown container", "not_found"):
        await kata.call("StatsContainer", container_id=kata.fresh())


@CASES.add(
    "update.memory-limit",
    title="A new memory limit is in force",
    does="sets 48 MiB on a running container, and asks for its statistics",
    expects="limit 48 MiB; it runs on",
    why="agent.proto UpdateContainer",
    needs=GROUPS,
)
async def update_memory(kata: Kata) -> None:
    container = await kata.run(resources=ResourceSpec(memory_bytes=96 * MIB))
    await _update(container, memory_bytes=48 * MIB)
    equal(_memory(await _stats(container)).limit, 48 * MIB, "limit")
    await container.check_alive()


@CASES.add(
    "update.memory-alone",
    title="A limit that an update does not name stays as it was",
    does="updates the processes' limit of a container that has one of memory, and asks for both",
    expects="the new limit of processes and the old one of memory",
    why="agent-semantics 1.2: a memory-only update had crashed the client; 5.2: the Rust agent replaces what it stored",
    needs=GROUPS,
)
async def update_alone(kata: Kata) -> None:
    container = await kata.run(resources=ResourceSpec(memory_bytes=80 * MIB))
    await _update(container, pids=30)
    stats = await _stats(container)
    equal(_memory(stats).limit, 80 * MIB, "memory limit")
    equal(stats.pids_stats.limit if stats.pids_stats is not None else None, 30, "limit of processes")


@CASES.add(
    "update.processes-limit-bites",
    title="A limit of processes keeps more from being made",
    does="sets a limit of 4 and lets a shell start 8 sleeps",
    expects="the shell says that it could not; the container is alive after the limit is raised",
    why="OCI runtime spec, linux.resources.pids; agent-semantics 4.3: the Rust agent's Pids test is inverted",
    needs=GROUPS,
)
async def update_bites(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn(f"echo up-$((1 + 1)); read go; {_sleeps(8)}")
    await process.until("up-2\n")
    await _update(container, pids=4)
    await process.write(b"go\n")
    _check_short(await process.finish())
    await _update(container, pids=100)
    await container.check_alive()


def _sleeps(number: int) -> str:
    """A script that starts that many background processes, which hold no output."""
    return f"i=0; while [ $i -lt {number} ]; do i=$((i+1)); sleep 1000 > /dev/null 2>&1 & done; echo all-$((i * 2))"


def _check_short(done: Finished) -> None:
    """Raises: FallsShort if the shell could start them all."""
    check(b"all-" not in done.stdout or bool(done.stderr), "a shell that can't start them all", done)


@CASES.add(
    "create.processes-limit-holds",
    title="A limit of processes that a container is created with keeps more from being made",
    does="creates a container with a limit of 20 whose init starts 40 sleeps, beside another container",
    expects="the shell says that it could not; the other container is alive",
    why="OCI runtime spec, linux.resources.pids; today's agent never applies it: a fork bomb is the whole guest's",
    needs=GROUPS,
)
async def create_bites(kata: Kata) -> None:
    other = await kata.run()
    container = await kata.shell(_sleeps(40), resources=ResourceSpec(pids=20))
    _check_short(await container.init.finish())
    await other.check_alive()


@CASES.add(
    "update.paused",
    title="A paused container can be updated",
    does="pauses a container, sets a memory limit, resumes it, and asks",
    expects="the new limit; it runs on",
    why="agent-semantics 1.2: a control group can be written in every state",
    needs=GROUPS,
)
async def update_paused(kata: Kata) -> None:
    container = await kata.ticking(resources=ResourceSpec(memory_bytes=96 * MIB))
    await container.pause()
    await _update(container, memory_bytes=72 * MIB)
    await container.resume()
    equal(_memory(await _stats(container)).limit, 72 * MIB, "limit")
    await container.init.until("tick-")


@CASES.add(
    "update.without-resources",
    title="An update without resources changes nothing",
    does="sends UpdateContainer with no resources for a container with a limit",
    expects="ok, and the limit is as it was",
    why="agent-semantics 5.2: resources absent: OK, no-op",
    needs=GROUPS,
)
async def update_nothing(kata: Kata) -> None:
    container = await kata.run(resources=ResourceSpec(memory_bytes=64 * MIB))
    await kata.call("UpdateContainer", container_id=container.id)
    equal(_memory(await _stats(container)).limit, 64 * MIB, "limit")


@CASES.add(
    "update.refused-as-a-whole",
    title="An update with a value that can't be is refused, and changes nothing",
    does="updates with a memory limit of 40 MiB and processors that no machine has",
    expects="a refusal, and the limit is as it was",
    why="agent-semantics 7.1: a limit that is half set can't be told from one that is not",
    needs=GROUPS,
)
async def update_whole(kata: Kata) -> None:
    container = await kata.run(resources=ResourceSpec(memory_bytes=64 * MIB))
    try:
        with kata.refused("an update with processors 90000-90001", go_on=True):
            await _update(container, memory_bytes=40 * MIB, cpuset_cpus="90000-90001")
    except Unsupported:
        # may be refused too: what matters is that nothing was changed
        pass
    equal(_memory(await _stats(container)).limit, 64 * MIB, "limit")


@CASES.add(
    "update.unknown-refused",
    title="A container that is not there can't be updated",
    does="updates an id that nobody has used",
    expects="not_found",
    why="agent-semantics 7.1 (3): typed NOT_FOUND; the Rust agent answers INVALID_ARGUMENT",
)
async def update_unknown(kata: Kata) -> None:
    with kata.refused("an update of an unknown container", "not_found"):
        resources = oci_resources(ResourceSpec(memory_bytes=64 * MIB))
        await kata.call("UpdateContainer", container_id=kata.fresh(), resources=resources)


@CASES.add(
    "processes.pids",
    title="The list of a container's processes has as many as it has",
    does="asks for pids, before and after two more execs and a neighbour",
    expects="a JSON list of numbers, two longer the second time, none twice",
    why="1.x agent, ListProcesses, format json; today's agent has no such call (kata-containers#1668)",
)
async def list_pids(kata: Kata) -> None:
    container = await kata.run()
    before = await _pids(container)
    await kata.run()
    for _ in range(2):
        await _running_cat(container)
    after = await _pids(container)
    equal(len(after) - len(before), 2, "more processes:")
    equal(len(set(after)), len(after), "different pids:")


async def _pids(container: Container) -> list[int]:
    answer = await container.kata.call("ListProcesses", container_id=container.id, format="json")
    try:
        return msgspec.json.decode(answer.process_list, type=list[int])
    except msgspec.DecodeError as error:
        raise FallsShort("a JSON list of pids", shown(answer.process_list)) from error


@CASES.add(
    "processes.table",
    title="The table of processes has a header and the container's own rows",
    does="asks for a table of a container that sleeps for 76543 seconds, with another beside it",
    expects="a header with PID, the sleep, and not the other's",
    why="1.x agent, ListProcesses, format table: ps output, filtered; kata-containers/agent#73",
)
async def table(kata: Kata) -> None:
    container, _ = await kata.run("sleep", "76543"), await kata.run("sleep", "65432")
    answer = await kata.call("ListProcesses", container_id=container.id, format="table")
    lines = answer.process_list.decode(errors="replace").splitlines()
    check(bool(lines) and "PID" in lines[0], "a header with PID", lines[:1])
    check(any("76543" in line for line in lines), "its sleep", lines)
    check(not any("65432" in line for line in lines), "nobody else's processes", lines)


@CASES.add(
    "processes.format-refused",
    title="A format that is neither json nor table is refused",
    does="asks for format xml",
    expects="a refusal",
    why="1.x agent: `invalid format option`",
)
async def bad_format(kata: Kata) -> None:
    container = await kata.run()
    with kata.refused("format xml"):
        await kata.call("ListProcesses", container_id=container.id, format="xml")


@CASES.add(
    "processes.unknown-refused",
    title="There are no processes of a container that is not there",
    does="asks for the pids of an id that nobody has used",
    expects="not_found",
    why="agent-semantics 7.1 (3)",
)
async def list_unknown(kata: Kata) -> None:
    with kata.refused("processes of an unknown container", "not_found"):
        await kata.call("ListProcesses", container_id=kata.fresh(), format="json")


@CASES.add(
    "oom.killed",
    title="A process that needs more memory than its container may have is killed, and nobody else",
    does="lets an exec take 200 MiB in a container with 32 MiB, beside another container",
    expects="exit code 137; the other container is alive",
    why="OCI runtime spec, linux.resources.memory.limit",
    needs=GROUPS,
    alone=True,
)
async def oom_killed(kata: Kata) -> None:
    container, other = await kata.run(resources=ResourceSpec(memory_bytes=32 * MIB)), await kata.run()
    process = await container.exec("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
    equal(await process.wait(), 137, "exit code")
    await other.check_alive()


@CASES.add(
    "oom.told",
    title="A kill for lack of memory is told to who waits for such news",
    does="waits with GetOOMEvent, and lets a container with 32 MiB take 200",
    expects="an event with its id within 10 s",
    why="agent.proto GetOOMEvent, a long poll; kata-containers/agent#784",
    needs=GROUPS,
    alone=True,
)
async def oom_told(kata: Kata) -> None:
    container = await kata.run(resources=ResourceSpec(memory_bytes=32 * MIB))
    seen: list[str] = []
    polling = await kata.open_link()
    async with kata.together() as nursery:
        nursery.start_soon(listen, kata, polling, seen)
        await kata.under_way(polling)
        process = await container.exec("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
        equal(await process.wait(), 137, "exit code")
        for _ in range(100):
            if container.id in seen:
                break
            await kata.pass_time(0.1)
        nursery.cancel_scope.cancel()
    check(container.id in seen, f"an event of {container.id}", seen)


async def listen(kata: Kata, link: RpcLink, seen: list[str]) -> None:
    """Skip events that other cases caused, up to a bound, in case an agent reports them without end."""
    while True:
        if len(seen) >= MOST_EVENTS:
            raise FallsShort("an event when there is one, after a wait", f"{len(seen)} events, the last {seen[-1]!r}")
        try:
            seen.append((await kata.call("GetOOMEvent", link=link)).container_id)
        except NotFound:
            # a Kata agent's answer when its build lacks the call
            raise Unsupported("GetOOMEvent: not supported by this agent") from None
