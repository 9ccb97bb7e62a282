"""Today's kata agent API over the conductor: the calls that katrio's own agent makes, and kata's client for those.

For `serve`, which puts `handlers()` behind a ttRPC server. What it can't do it refuses (UNIMPLEMENTED), and it never
answers success for a field that it would have to ignore. Not for states or processes: the conductor has those.
Where kata encodes two meanings in one value, they are taken apart here: an empty exec id is the init, but with
SIGKILL the whole container; an exec id that is the container's id is the init alone.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from actors.errors import InternalError, InvalidArgument, InvalidTransition, KatrioError, Unsupported
from actors.guest.shared import SHARED_DIRECTORY, SharedFiles, shared_path
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas.oci import LinuxResources, User
from actors.schemas.rpcs import RPCS, SchemaError, decode_request, encode_response
from actors.schemas.stats import StatsContainerResponse
from actors.schemas.status import status_from_error
from actors.wire.spec import TerminalSize
from transports.errors import TtrpcStatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from actors.guest.conductor import Conductor
    from actors.guest.platform import Platform
    from actors.limits import Limits
    from actors.schemas.oci import Mount, Process
    from actors.schemas.resources import OnlineCPUMemRequest
    from actors.schemas.rpcs import Rpc
    from transports.ttrpc.server import CallContext, Handler

__all__ = ["KataService"]

_GRPC_VERSION = "0.0.1"
# the host asks it when a reply was lost with its link: today's API has no other call that tells a container's state
_STATE_DIAGNOSTIC = "katrio.state"


class KataService:
    """See the module."""

    def __init__(
        self,
        conductor: Conductor,
        limits: Limits,
        *,
        version: str,
        engine: str,
        platform: Platform,
    ) -> None:
        self._conductor = conductor
        self._machine = conductor.machine
        self._limits = limits
        self._version = version
        self._engine = engine
        self._platform = platform
        self._shared = SharedFiles(limits)

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        """For `TtrpcServer`; methods that are not here are its to refuse."""
        table: dict[str, Callable[[Any], Awaitable[msgspec.Struct]]] = {
            "Check": self._check,
            "Version": self._get_version,
            "GetGuestDetails": self._details,
            "CreateSandbox": self._create_sandbox,
            "DestroySandbox": self._destroy_sandbox,
            "CreateContainer": self._create,
            "StartContainer": self._start,
            "RemoveContainer": self._remove,
            "PauseContainer": self._pause,
            "ResumeContainer": self._resume,
            "ExecProcess": self._exec,
            "SignalProcess": self._signal,
            "WaitProcess": self._wait,
            "WriteStdin": self._write,
            "CloseStdin": self._close_stdin,
            "ReadStdout": self._read_stdout,
            "ReadStderr": self._read_stderr,
            "TtyWinResize": self._resize,
            "ListProcesses": self._list_processes,
            "UpdateContainer": self._update,
            "StatsContainer": self._stats,
            "GetOOMEvent": self._next_oom,
            "OnlineCPUMem": self._online_cpu_mem,
            "SetGuestDateTime": self._set_time,
            "ReseedRandomDev": self._reseed,
            "CopyFile": self._copy_file,
            "GetDiagnosticData": self._diagnostic,
            "ListInterfaces": self._list_interfaces,
            "UpdateInterface": self._update_interface,
            "ListRoutes": self._list_routes,
            "UpdateRoutes": self._update_routes,
        }
        return {(RPCS[name].service, name): partial(_answer, RPCS[name], method) for name, method in table.items()}

    # the agent itself

    async def _check(self, _: api.CheckRequest) -> msgspec.Struct:
        return api.HealthCheckResponse(status=1)

    async def _get_version(self, _: api.CheckRequest) -> msgspec.Struct:
        return api.VersionCheckResponse(grpc_version=_GRPC_VERSION, agent_version=self._version)

    async def _details(self, request: api.GuestDetailsRequest) -> msgspec.Struct:
        details = api.AgentDetails(
            version=self._version, init_daemon=True, extra_features=(f"katrio.engine={self._engine}",)
        )
        block = self._platform.memory_block_bytes if request.mem_block_size else 0
        return api.GuestDetailsResponse(mem_block_size_bytes=block, agent_details=details)

    async def _online_cpu_mem(self, request: OnlineCPUMemRequest) -> msgspec.Struct:
        await self._platform.online_cpu_mem(request.nb_cpus, cpu_only=request.cpu_only, wait=request.wait)
        return api.Empty()

    async def _set_time(self, request: api.SetGuestDateTimeRequest) -> msgspec.Struct:
        if request.Sec < 0 or not 0 <= request.Usec < 1_000_000:
            raise InvalidArgument(f"{request.Sec} s and {request.Usec} us since 1970: no such time", field="Usec")
        await self._platform.set_time(request.Sec, request.Usec)
        return api.Empty()

    async def _reseed(self, request: api.ReseedRandomDevRequest) -> msgspec.Struct:
        if not 0 < len(request.data) <= self._limits.random_bytes:
            raise InvalidArgument(
                f"{len(request.data)} random bytes: expected 1 to {self._limits.random_bytes}", field="data"
            )
        await self._platform.reseed(request.data)
        return api.Empty()

    async def _copy_file(self, request: api.CopyFileRequest) -> msgspec.Struct:
        file = self._shared.take(request)
        if file is not None:
            await self._platform.place(file)
        return api.Empty()

    async def _list_interfaces(self, _: net.ListInterfacesRequest) -> msgspec.Struct:
        return net.Interfaces(await self._platform.interfaces())

    async def _update_interface(self, request: net.UpdateInterfaceRequest) -> msgspec.Struct:
        if request.interface is None:
            raise InvalidArgument("UpdateInterface: interface is missing", field="interface")
        return await self._platform.update_interface(request.interface)

    async def _list_routes(self, _: net.ListRoutesRequest) -> msgspec.Struct:
        return net.Routes(await self._platform.routes())

    async def _update_routes(self, request: net.UpdateRoutesRequest) -> msgspec.Struct:
        if request.routes is None:
            raise InvalidArgument("UpdateRoutes: routes is missing", field="routes")
        return net.Routes(await self._platform.update_routes(request.routes.Routes))

    # sandbox

    async def _create_sandbox(self, request: api.CreateSandboxRequest) -> msgspec.Struct:
        _refuse(request, "CreateSandbox", "dns", "storages", "sandbox_pidns", "guest_hook_path", "kernel_modules")
        hostname = request.hostname or request.sandbox_id
        if len(hostname.encode()) > 64 or "\0" in hostname:
            raise InvalidArgument(f"hostname {hostname[:80]!r}: the kernel takes 64 bytes", field="hostname")
        self._machine.create_sandbox(request.sandbox_id)
        self._platform.set_hostname(hostname)
        return api.Empty()

    async def _destroy_sandbox(self, _: api.DestroySandboxRequest) -> msgspec.Struct:
        await self._conductor.destroy()
        return api.Empty()

    # containers

    async def _create(self, request: api.CreateContainerRequest) -> msgspec.Struct:
        container = request.container_id
        _refuse(request, "CreateContainer", "devices", "storages", "sandbox_pidns", "shared_mounts")
        if self._machine.sandbox is None:
            raise InvalidTransition(
                f"create of container {container[:80]!r}: this guest has no sandbox; create one first",
                state="no sandbox",
                verb="create_container",
            )
        if request.OCI is None or request.OCI.process is None:
            raise InvalidArgument(
                f"create of container {container[:80]!r}: OCI.Process is missing", field="OCI.Process"
            )
        process = _with_user(request.OCI.process, request.string_user)
        mounts = tuple(self._located(mount) for mount in request.OCI.mounts)
        await self._conductor.create(container, msgspec.structs.replace(request.OCI, process=process, mounts=mounts))
        return api.Empty()

    def _located(self, mount: Mount) -> Mount:
        """A mount of something that was copied, from where it really is."""
        if not mount.source.startswith(SHARED_DIRECTORY + "/"):
            return mount
        return msgspec.structs.replace(mount, source=self._platform.locate(shared_path(mount.source)))

    async def _start(self, request: api.StartContainerRequest) -> msgspec.Struct:
        await self._conductor.start(request.container_id)
        return api.Empty()

    async def _remove(self, request: api.RemoveContainerRequest) -> msgspec.Struct:
        await self._conductor.remove(request.container_id)
        return api.Empty()

    async def _diagnostic(self, request: api.GetDiagnosticDataRequest) -> msgspec.Struct:
        if request.log_type != _STATE_DIAGNOSTIC:
            raise InvalidArgument(
                f"diagnostic data {request.log_type[:40]!r}: this guest has {_STATE_DIAGNOSTIC}", field="log_type"
            )
        return api.GetDiagnosticDataResponse(data=str(self._machine.container(request.container_id).state))

    async def _pause(self, request: api.PauseContainerRequest) -> msgspec.Struct:
        await self._conductor.pause(request.container_id)
        return api.Empty()

    async def _resume(self, request: api.ResumeContainerRequest) -> msgspec.Struct:
        await self._conductor.resume(request.container_id)
        return api.Empty()

    async def _update(self, request: api.UpdateContainerRequest) -> msgspec.Struct:
        # without resources there is nothing to change, which is how every kata agent takes it
        await self._conductor.update(request.container_id, request.resources or LinuxResources())
        return api.Empty()

    async def _stats(self, request: api.StatsContainerRequest) -> msgspec.Struct:
        return StatsContainerResponse(cgroup_stats=await self._conductor.stats(request.container_id))

    async def _next_oom(self, _: api.GetOOMEventRequest) -> msgspec.Struct:
        return api.OOMEvent(container_id=await self._conductor.next_oom())

    async def _list_processes(self, request: api.ListProcessesRequest) -> msgspec.Struct:
        form = request.format or "table"
        if form == "json":
            pids = await self._conductor.list_pids(request.container_id)
            return api.ListProcessesResponse(process_list=msgspec.json.encode(pids))
        if form != "table":
            raise InvalidArgument(f"format {form[:40]!r}: expected json or table", field="format")
        table = await self._conductor.list_table(request.container_id, request.args)
        return api.ListProcessesResponse(process_list=table.encode())

    # processes

    async def _exec(self, request: api.ExecProcessRequest) -> msgspec.Struct:
        if request.process is None:
            raise InvalidArgument(f"exec {request.exec_id[:80]!r}: process is missing", field="process")
        process = _with_user(request.process, request.string_user)
        await self._conductor.exec(request.container_id, request.exec_id, process)
        return api.Empty()

    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        if not request.exec_id and request.signal == signal.SIGKILL:
            await self._conductor.kill_all(request.container_id)
        else:
            await self._conductor.signal(request.container_id, request.exec_id, request.signal)
        return api.Empty()

    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        status = await self._conductor.wait(request.container_id, request.exec_id)
        return api.WaitProcessResponse(status=status.code)

    async def _write(self, request: api.WriteStreamRequest) -> msgspec.Struct:
        process = self._conductor.process(request.container_id, request.exec_id)
        return api.WriteStreamResponse(len=await process.write(request.data))

    async def _close_stdin(self, request: api.CloseStdinRequest) -> msgspec.Struct:
        await self._conductor.process(request.container_id, request.exec_id).close_stdin()
        return api.Empty()

    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        process = self._conductor.process(request.container_id, request.exec_id)
        return api.ReadStreamResponse(data=await process.read_stdout(self._bounded(request.len)))

    async def _read_stderr(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        process = self._conductor.process(request.container_id, request.exec_id)
        return api.ReadStreamResponse(data=await process.read_stderr(self._bounded(request.len)))

    def _bounded(self, length: int) -> int:
        """0 means as much as we like; a peer's wish never sizes an allocation beyond our own bound."""
        return min(length or self._limits.read_bytes, self._limits.read_bytes)

    async def _resize(self, request: api.TtyWinResizeRequest) -> msgspec.Struct:
        self._conductor.resize(request.container_id, request.exec_id, TerminalSize(request.row, request.column))
        return api.Empty()


async def _answer(
    rpc: Rpc, method: Callable[[Any], Awaitable[msgspec.Struct]], payload: bytes, _: CallContext
) -> bytes:
    """One call: decoded, done, encoded; our own errors become the status that stands for them."""
    try:
        response = await method(decode_request(rpc, payload))
    except SchemaError as error:
        raise TtrpcStatusError(
            *status_from_error(InvalidArgument(f"{rpc.method}: {error}", field="payload"))
        ) from error
    except KatrioError as error:
        raise TtrpcStatusError(*status_from_error(error)) from error
    except trio.TooSlowError as error:
        raise TtrpcStatusError(
            *status_from_error(InternalError(f"{rpc.method}: a bound of the guest's own ran out"))
        ) from error
    return encode_response(rpc, response)


def _refuse(request: msgspec.Struct, method: str, *fields: str) -> None:
    """Raises: Unsupported when one of the fields is set: success would be a lie."""
    for name in fields:
        if getattr(request, name):
            raise Unsupported(f"{method}: this guest has no {name}; leave it out", field=name)


def _with_user(process: Process, asked: api.StringUser | None) -> Process:
    """The names of `string_user`, which win over numbers, put where the engine looks for them."""
    if asked is None or not asked.uid:
        return process
    name = f"{asked.uid}:{asked.gid}" if asked.gid else asked.uid
    user = process.user or User(uid=0, gid=0)
    return msgspec.structs.replace(process, user=msgspec.structs.replace(user, username=name))
