"""Every call of the agent API, made once on one guest, with its effect looked at where something really runs.

One body for every engine that the table in `docs/katrio-call.md` has a column for. Not for edges of single calls.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from actors.agents.kata.spec import oci_process, oci_spec
from actors.errors import InvalidArgument, Unsupported
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas import oci, resources
from actors.schemas.rpcs import RPCS
from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec, ResourceSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.agents.kata.client import KataClient

__all__ = ["PAGE", "SHARED", "Stage", "observe", "promised"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "katrio-call.md"
SHARED = "/run/kata-containers/shared/containers"
TERMINATION = "io.kubernetes.container.terminationMessagePath"
RULES = b"*filter\n-A INPUT -s 192.0.2.7/32 -j DROP\nCOMMIT\n"
# a wait that nothing ends is one within this
PATIENCE = 0.5


def promised(column: str) -> dict[str, str]:
    """The column of the page's table: each call's outcome."""
    table = PAGE.read_text("utf-8").partition("## What our guest answers")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    header, _, *calls = rows
    return {row[0]: row[header.index(column)] for row in calls}


@dataclass
class Stage:
    """One guest with a sandbox `box` and the containers that the calls make."""

    client: KataClient
    engine: str
    rootfs: str
    outcomes: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def isolated(self) -> bool:
        return self.engine not in ("processes", "simulated")

    def spec(self, *args: str, memory: int | None = None, mounts: tuple[tuple[str, str], ...] = ()) -> oci.Spec:
        spec = ContainerSpec(
            process=ProcessSpec(args=args),
            resources=ResourceSpec(memory_bytes=memory),
            mounts=tuple(MountSpec(source=source, destination=destination) for source, destination in mounts),
        )
        made = oci_spec(spec, self.rootfs)
        return msgspec.structs.replace(made, annotations={TERMINATION: "/last-words"})

    async def running(
        self, name: str, *args: str, memory: int | None = None, mounts: tuple[tuple[str, str], ...] = ()
    ) -> None:
        spec = self.spec(*args, memory=memory, mounts=mounts)
        await self.client.call(api.CreateContainerRequest(container_id=name, exec_id=name, OCI=spec))
        await self.client.call(api.StartContainerRequest(container_id=name))

    async def said(self, container: str, *args: str) -> str:
        """The output of one more process in it."""
        name = f"said-{len(self.outcomes)}-{args[0]}"
        process = oci_process(ProcessSpec(args=args))
        await self.client.call(api.ExecProcessRequest(container_id=container, exec_id=name, process=process))
        request = api.ReadStdoutRequest(container_id=container, exec_id=name, len=65536)
        output = b""
        while part := (await self.client.call(request)).data:
            output += part
        # its id is free from then on
        await self.client.call(api.WaitProcessRequest(container_id=container, exec_id=name))
        return output.decode()


async def observe(client: KataClient, engine: str, rootfs: str) -> dict[str, str]:
    """What becomes of each call: ok, unsupported, or waits. An effect that is missing raises AssertionError."""
    stage = Stage(client, engine, rootfs)
    for name, exercise in EXERCISES.items():
        try:
            with trio.move_on_after(PATIENCE if name == "GetOOMEvent" and not stage.isolated else 30) as patience:
                await exercise(stage)
            stage.outcomes[name] = "waits" if patience.cancelled_caught else "ok"
        except Unsupported as error:
            # a call that the guest does not know would be told so by its server, without a reason
            stage.outcomes[name] = "unsupported" if error.message != f"method {name}" else "unknown"
    return stage.outcomes


async def check(stage: Stage) -> None:
    assert (await stage.client.call(api.CheckRequest())).status == api.ServingStatus.SERVING


async def version(stage: Stage) -> None:
    assert (await stage.client.call(api.VersionRequest())).agent_version.startswith("katrio ")


async def details(stage: Stage) -> None:
    found = await stage.client.call(api.GuestDetailsRequest(mem_block_size=True, mem_hotplug_probe=True))
    assert found.agent_details is not None
    assert found.agent_details.extra_features == (f"katrio.engine={stage.engine}",)
    assert not found.support_mem_hotplug_probe


async def create_sandbox(stage: Stage) -> None:
    await stage.client.call(api.CreateSandboxRequest(sandbox_id="box", hostname="box-host"))


async def create(stage: Stage) -> None:
    script = "read line; echo got $line; echo wrong >&2; exit 3"
    if stage.isolated:
        script = f"echo farewell >/last-words; {script}"
    request = api.CreateContainerRequest(container_id="one", exec_id="one", OCI=stage.spec("sh", "-c", script))
    await stage.client.call(request)


async def start(stage: Stage) -> None:
    await stage.client.call(api.StartContainerRequest(container_id="one"))


async def write(stage: Stage) -> None:
    request = api.WriteStreamRequest(container_id="one", exec_id="one", data=b"words\n")
    assert (await stage.client.call(request)).len == 6


async def close_stdin(stage: Stage) -> None:
    await stage.client.call(api.CloseStdinRequest(container_id="one", exec_id="one"))


async def stdout(stage: Stage) -> None:
    request = api.ReadStdoutRequest(container_id="one", exec_id="one", len=100)
    assert (await stage.client.call(request)).data == b"got words\n"


async def stderr(stage: Stage) -> None:
    request = api.ReadStderrRequest(container_id="one", exec_id="one", len=100)
    assert (await stage.client.call(request)).data == b"wrong\n"


async def wait(stage: Stage) -> None:
    assert (await stage.client.call(api.WaitProcessRequest(container_id="one", exec_id="one"))).status == 3


async def diagnostic(stage: Stage) -> None:
    request = api.GetDiagnosticDataRequest(log_type="termination_log", container_id="one")
    found = (await stage.client.call(request)).data
    assert found == ("farewell\n" if stage.isolated else "")


async def remove(stage: Stage) -> None:
    await stage.client.call(api.RemoveContainerRequest(container_id="one"))
    assert 'state="stopped"} 0' in (await stage.client.call(api.GetMetricsRequest())).metrics


async def execute(stage: Stage) -> None:
    await stage.running("two", "sleep", "1000")
    assert await stage.said("two", "echo", "hello") == "hello\n"


async def resize(stage: Stage) -> None:
    process = oci_process(ProcessSpec(args=("sleep", "1000"), tty=True, size=TerminalSize(24, 80)))
    await stage.client.call(api.ExecProcessRequest(container_id="two", exec_id="tty", process=process))
    request = api.TtyWinResizeRequest(container_id="two", exec_id="tty", row=40, column=120)
    await stage.client.call(request)


async def send_signal(stage: Stage) -> None:
    request = api.SignalProcessRequest(container_id="two", exec_id="tty", signal=signal.SIGKILL)
    await stage.client.call(request)
    assert (await stage.client.call(api.WaitProcessRequest("two", "tty"))).status == 128 + signal.SIGKILL


async def processes(stage: Stage) -> None:
    request = api.ListProcessesRequest(container_id="two", format="json")
    assert len(msgspec.json.decode((await stage.client.call(request)).process_list)) == 1


async def update(stage: Stage) -> None:
    limits = oci.LinuxResources(memory=oci.LinuxMemory(limit=64 << 20))
    await stage.client.call(api.UpdateContainerRequest(container_id="two", resources=limits))


async def stats(stage: Stage) -> None:
    found = (await stage.client.call(api.StatsContainerRequest(container_id="two"))).cgroup_stats
    assert found is not None
    assert found.memory_stats is not None
    assert found.memory_stats.usage is not None
    assert found.memory_stats.usage.limit == 64 << 20


async def pause(stage: Stage) -> None:
    await stage.client.call(api.PauseContainerRequest(container_id="two"))
    assert 'katrio_containers{state="paused"} 1' in (await stage.client.call(api.GetMetricsRequest())).metrics


async def resume(stage: Stage) -> None:
    await stage.client.call(api.ResumeContainerRequest(container_id="two"))
    assert 'katrio_containers{state="running"} 1' in (await stage.client.call(api.GetMetricsRequest())).metrics


async def oom(stage: Stage) -> None:
    if stage.isolated:
        await stage.running("hog", "sh", "-c", "x=a; while true; do x=$x$x; done", memory=16 << 20)
        assert (await stage.client.call(api.GetOOMEventRequest())).container_id == "hog"
        await stage.client.call(api.RemoveContainerRequest(container_id="hog"))
    else:
        await stage.client.call(api.GetOOMEventRequest())


async def metrics(stage: Stage) -> None:
    text = (await stage.client.call(api.GetMetricsRequest())).metrics
    numbers = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert numbers['katrio_containers{state="running"}'] == "1"
    assert numbers['katrio_container_started_processes{container="two"}'] == "1"
    if stage.isolated:
        assert float(numbers['katrio_container_memory_bytes{container="two"}']) > 0
        assert numbers['katrio_container_processes{container="two"}'] == "1"
    if stage.engine != "simulated":
        assert float(numbers["kata_agent_total_rss"]) > 1 << 20
        total = (await trio.Path("/proc/meminfo").read_text()).split()[1]
        assert numbers['kata_guest_meminfo{item="memtotal"}'] == str(int(total) * 1024)
        assert 'kata_guest_netdev_stat{interface="lo",item="recv_bytes"}' in numbers


async def interfaces(stage: Stage) -> None:
    assert [one.device for one in (await stage.client.call(net.ListInterfacesRequest())).Interfaces] == ["lo"]


async def update_interface(stage: Stage) -> None:
    addresses = (net.IPAddress(0, "127.0.0.1", "8"), net.IPAddress(0, "198.51.100.1", "24"))
    wanted = net.Interface(device="lo", name="lo", mtu=4321, IPAddresses=addresses)
    made = await stage.client.call(net.UpdateInterfaceRequest(wanted))
    assert (made.mtu, made.IPAddresses[1].address) == (4321, "198.51.100.1")


async def update_routes(stage: Stage) -> None:
    if stage.isolated:
        mixed = net.Routes((net.Route(dest="198.51.100.0/24", gateway="::1", device="lo"),))
        with pytest.raises(InvalidArgument):
            await stage.client.call(net.UpdateRoutesRequest(mixed))
    wanted = net.Routes((net.Route(dest="203.0.113.0/24", device="lo", scope=253),))
    made = await stage.client.call(net.UpdateRoutesRequest(wanted))
    assert "203.0.113.0/24" in [one.dest for one in made.Routes]


async def routes(stage: Stage) -> None:
    assert "203.0.113.0/24" in [one.dest for one in (await stage.client.call(net.ListRoutesRequest())).Routes]


async def neighbors(stage: Stage) -> None:
    one = net.ARPNeighbor(net.IPAddress(0, "198.51.100.9"), device="lo", lladdr="02:00:00:00:00:09")
    await stage.client.call(net.AddARPNeighborsRequest(net.ARPNeighbors((one,))))
    if stage.isolated:
        # the kernel has one neighbour for all of a loopback's addresses
        assert "02:00:00:00:00:09" in await stage.said("two", "cat", "/proc/net/arp")


async def set_filter(stage: Stage) -> None:
    await stage.client.call(net.SetIPTablesRequest(data=RULES))


async def get_filter(stage: Stage) -> None:
    assert b"-A INPUT -s 192.0.2.7/32 -j DROP" in (await stage.client.call(net.GetIPTablesRequest())).data


async def copy(stage: Stage) -> None:
    whole = b"0123456789"
    for offset in (0, 6):
        piece = whole[offset : offset + 6]
        request = api.CopyFileRequest(f"{SHARED}/d/file", len(whole), 0o640, 0o750, 0, 0, offset, piece)
        await stage.client.call(request)


async def volume(stage: Stage) -> None:
    found = await stage.client.call(resources.VolumeStatsRequest(f"{SHARED}/d/file"))
    sizes, inodes = found.usage
    assert (sizes.unit, inodes.unit) == (resources.VolumeUnit.BYTES, resources.VolumeUnit.INODES)
    assert sizes.total > sizes.available > 0
    assert sizes.used > 0
    assert inodes.used > 0
    assert found.volume_condition == resources.VolumeCondition(abnormal=False)


async def reseed(stage: Stage) -> None:
    await stage.client.call(api.ReseedRandomDevRequest(data=b"some randomness"))


async def destroy(stage: Stage) -> None:
    await stage.client.call(api.DestroySandboxRequest())
    assert 'katrio_containers{state="running"} 0' in (await stage.client.call(api.GetMetricsRequest())).metrics


def _bare(name: str) -> Callable[[Stage], Awaitable[None]]:
    """A call whose request says nothing: it is refused before anybody would look at it."""

    async def make(stage: Stage) -> None:
        await stage.client.call(RPCS[name].request())

    return make


# in an order in which each finds what it needs; what is missing here is made bare, before the end
_ORDERED: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "Check": check,
    "Version": version,
    "GetGuestDetails": details,
    "CreateSandbox": create_sandbox,
    "CreateContainer": create,
    "StartContainer": start,
    "WriteStdin": write,
    "CloseStdin": close_stdin,
    "ReadStdout": stdout,
    "ReadStderr": stderr,
    "WaitProcess": wait,
    "GetDiagnosticData": diagnostic,
    "RemoveContainer": remove,
    "ExecProcess": execute,
    "TtyWinResize": resize,
    "SignalProcess": send_signal,
    "ListProcesses": processes,
    "UpdateContainer": update,
    "StatsContainer": stats,
    "PauseContainer": pause,
    "ResumeContainer": resume,
    "GetOOMEvent": oom,
    "GetMetrics": metrics,
    "ListInterfaces": interfaces,
    "UpdateInterface": update_interface,
    "UpdateRoutes": update_routes,
    "ListRoutes": routes,
    "AddARPNeighbors": neighbors,
    "SetIPTables": set_filter,
    "GetIPTables": get_filter,
    "CopyFile": copy,
    "GetVolumeStats": volume,
    "ReseedRandomDev": reseed,
}
EXERCISES = {
    **_ORDERED,
    **{name: _bare(name) for name in RPCS if name not in _ORDERED and name != "DestroySandbox"},
    "DestroySandbox": destroy,
}
