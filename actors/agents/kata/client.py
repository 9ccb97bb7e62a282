"""Every call of the Kata agent API as a method that takes and returns its typed structs.

For programs that talk to an agent themselves, without the actor system (`open_kata_client`), for `katrio call`, and for the
kata agent, whose calls are these: there is no other way to an agent. What comes back is what an agent says, decoded and
bounded in size but not believed: `checks` and `reports` are the agent's. Not for verbs, states or retries.

    async with open_kata_client("unix:///run/agent.sock") as client:
        details = await client.get_guest_details()
        await client.within(5).pause_container(PauseContainerRequest(container_id="one"))
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import trio

from actors.agents.kata.dialects import DIALECTS
from actors.agents.kata.link import open_rpc_link
from actors.errors import AgentProtocolError, Expired, InvalidArgument, OutcomeUnknown
from actors.limits import DEFAULT_LIMITS, Limits
from actors.nurseries import open_plain_nursery
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas import resources, stats
from actors.schemas.dialect import Dialect
from actors.schemas.rpcs import RPCS, WAITING
from transports.address import parse_dialled_address
from transports.agent_sockets import open_dialer
from transports.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import msgspec

    from actors.agents.kata.rpclink import RpcLink
    from actors.schemas.rpcs import Rpc
    from transports.telling import Told

__all__ = ["KataClient", "open_kata_client"]

R = TypeVar("R", bound="msgspec.Struct")


class KataClient:
    """The calls over one link; share it between tasks as you like.

    Besides what an agent's own status stands for (`actors.schemas.status`: NotFound, Unsupported ...) every call may raise:
        InvalidArgument: a value that its field can't carry, or a request that is too large; nothing was sent.
        AgentUnreachable: the link is down and did not come back in time; nothing was sent.
        OutcomeUnknown: a call that changes something was sent, and its time ran out or the link broke.
        Expired: the time of one that changes nothing ran out.
        AgentProtocolError: the agent broke its protocol.
    Calls that change nothing tell the agent how much time is left; the others run to their own end in the guest.
    """

    def __init__(self, link: RpcLink, *, seconds: float | None, waits_seconds: float | None = None) -> None:
        """`seconds` bounds each call, `waits_seconds` those that wait for something to happen; None: for ever."""
        self._link = link
        self._seconds = seconds
        self._waits_seconds = waits_seconds

    def within(self, seconds: float | None) -> KataClient:
        """The same link with another bound for every call, also for those that wait."""
        return KataClient(self._link, seconds=seconds, waits_seconds=seconds)

    async def call(self, rpc: Rpc, request: msgspec.Struct) -> msgspec.Struct:
        """Any call by its row of the table; `request` is an `rpc.request`, the answer an `rpc.response`."""
        return await self._ask(rpc.method, request, rpc.response)

    async def _ask(self, method: str, request: msgspec.Struct, response: type[R]) -> R:
        rpc = RPCS[method]
        seconds = self._waits_seconds if method in WAITING else self._seconds
        reply = await (self._link.call(rpc, request) if seconds is None else self._bounded(rpc, request, seconds))
        if not isinstance(reply, response):
            raise AgentProtocolError(f"{method}: the agent answered with {type(reply).__name__}")
        return reply

    async def _bounded(self, rpc: Rpc, request: msgspec.Struct, seconds: float) -> object:
        with trio.move_on_after(seconds):
            return await self._link.call(rpc, request)
        if rpc.changes_state:
            raise OutcomeUnknown(f"{rpc.method}: no answer within {seconds:g} s; it may have happened, or may yet")
        raise Expired(f"{rpc.method}: no answer within {seconds:g} s")

    async def check(self, request: api.CheckRequest | None = None) -> api.HealthCheckResponse:
        """Whether the agent serves. It takes no lock, so it may be green while all else hangs."""
        return await self._ask("Check", request or api.CheckRequest(), api.HealthCheckResponse)

    async def version(self, request: api.CheckRequest | None = None) -> api.VersionCheckResponse:
        """The agent's version, and the API's."""
        return await self._ask("Version", request or api.CheckRequest(), api.VersionCheckResponse)

    async def create_container(self, request: api.CreateContainerRequest) -> None:
        """Make a container, its init waiting to be started."""
        await self._ask("CreateContainer", request, api.Empty)

    async def start_container(self, request: api.StartContainerRequest) -> None:
        """Let a container's init run."""
        await self._ask("StartContainer", request, api.Empty)

    async def remove_container(self, request: api.RemoveContainerRequest) -> None:
        """Kill what runs in a container, and forget it."""
        await self._ask("RemoveContainer", request, api.Empty)

    async def exec_process(self, request: api.ExecProcessRequest) -> None:
        """Start one more process in a container."""
        await self._ask("ExecProcess", request, api.Empty)

    async def signal_process(self, request: api.SignalProcessRequest) -> None:
        """Send a signal to one process; SIGKILL with an empty `exec_id` to all of the container."""
        await self._ask("SignalProcess", request, api.Empty)

    async def wait_process(self, request: api.WaitProcessRequest) -> api.WaitProcessResponse:
        """A process's exit code, once it has ended. A real agent closes its streams and forgets it then."""
        return await self._ask("WaitProcess", request, api.WaitProcessResponse)

    async def update_container(self, request: api.UpdateContainerRequest) -> None:
        """Change a running container's limits."""
        await self._ask("UpdateContainer", request, api.Empty)

    async def update_ephemeral_mounts(self, request: resources.UpdateEphemeralMountsRequest) -> None:
        """Give tmpfs storages of the sandbox new options, their size for one."""
        await self._ask("UpdateEphemeralMounts", request, api.Empty)

    async def stats_container(self, request: api.StatsContainerRequest) -> stats.StatsContainerResponse:
        """What a container's control groups count."""
        return await self._ask("StatsContainer", request, stats.StatsContainerResponse)

    async def pause_container(self, request: api.PauseContainerRequest) -> None:
        """Freeze a container."""
        await self._ask("PauseContainer", request, api.Empty)

    async def resume_container(self, request: api.ResumeContainerRequest) -> None:
        """Thaw a container."""
        await self._ask("ResumeContainer", request, api.Empty)

    async def remove_stale_virtiofs_share_mounts(self) -> None:
        """Look at every virtiofs mount, so that stale ones are dropped."""
        await self._ask("RemoveStaleVirtiofsShareMounts", resources.RemoveStaleVirtiofsShareMountsRequest(), api.Empty)

    async def get_diagnostic_data(self, request: api.GetDiagnosticDataRequest) -> api.GetDiagnosticDataResponse:
        """Words that a container left, such as its termination log."""
        return await self._ask("GetDiagnosticData", request, api.GetDiagnosticDataResponse)

    async def write_stdin(self, request: api.WriteStreamRequest) -> api.WriteStreamResponse:
        """Write to a process; how much of it was taken. A real agent takes an empty write for the end of input."""
        return await self._ask("WriteStdin", request, api.WriteStreamResponse)

    async def read_stdout(self, request: api.ReadStreamRequest) -> api.ReadStreamResponse:
        """Wait for output; empty at its end. What was read is gone from the guest."""
        return await self._ask("ReadStdout", request, api.ReadStreamResponse)

    async def read_stderr(self, request: api.ReadStreamRequest) -> api.ReadStreamResponse:
        """See `read_stdout`."""
        return await self._ask("ReadStderr", request, api.ReadStreamResponse)

    async def close_stdin(self, request: api.CloseStdinRequest) -> None:
        """End a process's input."""
        await self._ask("CloseStdin", request, api.Empty)

    async def tty_win_resize(self, request: api.TtyWinResizeRequest) -> None:
        """Set the size of a process's terminal."""
        await self._ask("TtyWinResize", request, api.Empty)

    async def update_interface(self, request: net.UpdateInterfaceRequest) -> net.Interface:
        """Change one network device; how it is then."""
        return await self._ask("UpdateInterface", request, net.Interface)

    async def update_routes(self, request: net.UpdateRoutesRequest) -> net.Routes:
        """Replace the routes; how they are then."""
        return await self._ask("UpdateRoutes", request, net.Routes)

    async def list_interfaces(self) -> net.Interfaces:
        """The sandbox's network devices."""
        return await self._ask("ListInterfaces", net.ListInterfacesRequest(), net.Interfaces)

    async def list_routes(self) -> net.Routes:
        """The sandbox's routes."""
        return await self._ask("ListRoutes", net.ListRoutesRequest(), net.Routes)

    async def add_arp_neighbors(self, request: net.AddARPNeighborsRequest) -> None:
        """Add entries to the table of neighbours."""
        await self._ask("AddARPNeighbors", request, api.Empty)

    async def get_ip_tables(self, request: net.GetIPTablesRequest) -> net.GetIPTablesResponse:
        """The packet filter, as iptables-save prints it."""
        return await self._ask("GetIPTables", request, net.GetIPTablesResponse)

    async def set_ip_tables(self, request: net.SetIPTablesRequest) -> net.SetIPTablesResponse:
        """Replace the packet filter; what iptables-restore said."""
        return await self._ask("SetIPTables", request, net.SetIPTablesResponse)

    async def get_metrics(self) -> api.Metrics:
        """What the agent counts, as Prometheus text."""
        return await self._ask("GetMetrics", api.GetMetricsRequest(), api.Metrics)

    async def mem_agent_memcg_set(self, request: resources.MemAgentMemcgConfig) -> None:
        """Tune the memory agent's control group part."""
        await self._ask("MemAgentMemcgSet", request, api.Empty)

    async def mem_agent_compact_set(self, request: resources.MemAgentCompactConfig) -> None:
        """Tune the memory agent's compaction."""
        await self._ask("MemAgentCompactSet", request, api.Empty)

    async def create_sandbox(self, request: api.CreateSandboxRequest) -> None:
        """Begin the sandbox. A real agent empties its bundle directory, whatever is in it."""
        await self._ask("CreateSandbox", request, api.Empty)

    async def destroy_sandbox(self) -> None:
        """End every container, and the sandbox. A real agent exits while it answers."""
        await self._ask("DestroySandbox", api.DestroySandboxRequest(), api.Empty)

    async def online_cpu_mem(self, request: resources.OnlineCPUMemRequest) -> None:
        """Bring up processors and memory that were plugged in."""
        await self._ask("OnlineCPUMem", request, api.Empty)

    async def reseed_random_dev(self, request: api.ReseedRandomDevRequest) -> None:
        """Mix bytes into the kernel's randomness."""
        await self._ask("ReseedRandomDev", request, api.Empty)

    async def get_guest_details(self, request: api.GuestDetailsRequest | None = None) -> api.GuestDetailsResponse:
        """What the guest and its agent are and can do."""
        return await self._ask("GetGuestDetails", request or api.GuestDetailsRequest(), api.GuestDetailsResponse)

    async def mem_hotplug_by_probe(self, request: resources.MemHotplugByProbeRequest) -> None:
        """Tell the kernel of memory that was plugged in."""
        await self._ask("MemHotplugByProbe", request, api.Empty)

    async def set_guest_date_time(self, request: api.SetGuestDateTimeRequest) -> None:
        """Set the guest's clock."""
        await self._ask("SetGuestDateTime", request, api.Empty)

    async def copy_file(self, request: api.CopyFileRequest) -> None:
        """Put a piece of a file below the shared directory; it appears once it is whole."""
        await self._ask("CopyFile", request, api.Empty)

    async def get_oom_event(self) -> api.OOMEvent:
        """The container of the next kill for want of memory, waiting for it. One caller gets each."""
        return await self._ask("GetOOMEvent", api.GetOOMEventRequest(), api.OOMEvent)

    async def add_swap(self, request: resources.AddSwapRequest) -> None:
        """Swap to a device, by its PCI path."""
        await self._ask("AddSwap", request, api.Empty)

    async def add_swap_path(self, request: resources.AddSwapPathRequest) -> None:
        """Swap to a device, by its path."""
        await self._ask("AddSwapPath", request, api.Empty)

    async def get_volume_stats(self, request: resources.VolumeStatsRequest) -> resources.VolumeStatsResponse:
        """How full a volume is."""
        return await self._ask("GetVolumeStats", request, resources.VolumeStatsResponse)

    async def resize_volume(self, request: resources.ResizeVolumeRequest) -> None:
        """Give a volume another size."""
        await self._ask("ResizeVolume", request, api.Empty)

    async def set_policy(self, request: api.SetPolicyRequest) -> None:
        """Replace the policy by which the agent refuses calls."""
        await self._ask("SetPolicy", request, api.Empty)

    async def list_processes(self, request: api.ListProcessesRequest) -> api.ListProcessesResponse:
        """A container's processes, as a JSON list of pids or as ps prints them. Of 1.x's API alone."""
        return await self._ask("ListProcesses", request, api.ListProcessesResponse)


@asynccontextmanager
async def open_kata_client(
    address: str,
    *,
    dialect: Dialect = Dialect.TTRPC,
    seconds: float | None = DEFAULT_LIMITS.ask_seconds,
    limits: Limits = DEFAULT_LIMITS,
    told: Told | None = None,
) -> AsyncGenerator[KataClient]:
    """Dial a Kata agent, and keep the link for as long as the block lasts; a broken one is dialled again.

    Hides a nursery: one error of the body stays one plain error. The agent is left as it is at the end.

    Args:
        address: where it listens, as `unix:///path`; docs/addresses.md has every form.
        dialect: today's, or that of Kata 1.x.
        seconds: how long a call may take, None for ever. Calls that wait for something to happen are not bound by it:
            output, input, an exit, an OOM kill; `client.within(seconds)` bounds those.
        limits: `guest_start_seconds` is how long nobody may answer, `reconnect_seconds` the same for a link that broke.
        told: for a person who waits: is told once that nobody answers yet. A path where nobody listens is refused at once then.

    Raises:
        InvalidArgument: no such address can be.
        AgentUnreachable: nobody answers there.
    """
    try:
        opening = open_dialer(parse_dialled_address(address), DIALECTS[dialect].peer, told=told)
    except AddressError as error:
        raise InvalidArgument(str(error), field="address") from None
    async with open_plain_nursery() as nursery, opening as dialer:
        link = open_rpc_link(dialer, limits, dialect)
        await nursery.start(link.run)
        yield KataClient(link, seconds=seconds)
        nursery.cancel_scope.cancel()
