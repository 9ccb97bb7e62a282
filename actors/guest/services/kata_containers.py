"""The kata agent API's calls on the sandbox and its containers.

Called by `kata`, which decodes and encodes. A field that would have to be ignored is refused. Processes are in
`kata_processes`, states in the executor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from actors.errors import InvalidArgument, InvalidTransition, Unsupported
from actors.guest.shared import SHARED_DIRECTORY, shared_path
from actors.schemas import agent as api
from actors.schemas.oci import LinuxResources
from actors.schemas.stats import StatsContainerResponse
from actors.schemas.users import with_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.guest.executor import Executor
    from actors.guest.platform import Platform
    from actors.guest.services.method import Method
    from actors.schemas.oci import Mount

__all__ = ["ContainerCalls"]

# Kubernetes' annotation for a container's termination log, and how much of it kata's agent returns
_TERMINATION_PATH = "io.kubernetes.container.terminationMessagePath"
_TERMINATION_BYTES = 4096


class ContainerCalls:
    """See the module."""

    def __init__(self, executor: Executor, platform: Platform) -> None:
        self._executor = executor
        self._model = executor.model
        self._platform = platform

    def methods(self) -> Mapping[str, Method]:
        """By call name."""
        return {
            "CreateSandbox": self._create_sandbox,
            "DestroySandbox": self._destroy_sandbox,
            "CreateContainer": self._create,
            "StartContainer": self._start,
            "RemoveContainer": self._remove,
            "PauseContainer": self._pause,
            "ResumeContainer": self._resume,
            "ListProcesses": self._list_processes,
            "UpdateContainer": self._update,
            "StatsContainer": self._stats,
            "GetOOMEvent": self._next_oom,
            "GetDiagnosticData": self._diagnostic,
        }

    async def _create_sandbox(self, request: api.CreateSandboxRequest) -> msgspec.Struct:
        _refuse(request, "CreateSandbox", "dns", "storages", "sandbox_pidns", "guest_hook_path", "kernel_modules")
        hostname = request.hostname or request.sandbox_id
        if len(hostname.encode()) > 64 or "\0" in hostname:
            raise InvalidArgument(f"hostname {hostname[:80]!r}: the kernel takes 64 bytes", field="hostname")
        self._model.create_sandbox(request.sandbox_id)
        if hostname:
            self._platform.set_hostname(hostname)
        return api.Empty()

    async def _destroy_sandbox(self, _: api.DestroySandboxRequest) -> msgspec.Struct:
        await self._executor.destroy()
        return api.Empty()

    async def _create(self, request: api.CreateContainerRequest) -> msgspec.Struct:
        container = request.container_id
        _refuse(request, "CreateContainer", "devices", "storages", "sandbox_pidns", "shared_mounts", "agent_pidns")
        if self._model.sandbox is None:
            raise InvalidTransition(
                f"create of container {container[:80]!r}: this guest has no sandbox; create one first",
                state="no sandbox",
                verb="create_container",
            )
        if request.OCI is None or request.OCI.process is None:
            raise InvalidArgument(
                f"create of container {container[:80]!r}: OCI.Process is missing", field="OCI.Process"
            )
        process = with_user(request.OCI.process, request.string_user)
        mounts = tuple(self._located(mount) for mount in request.OCI.mounts)
        spec = msgspec.structs.replace(request.OCI, process=process, mounts=mounts)
        before = await self._platform.set_sysctls(spec.linux.sysctl if spec.linux is not None else {})
        try:
            await self._executor.create(container, spec)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._platform.set_sysctls(before)
            raise
        return api.Empty()

    def _located(self, mount: Mount) -> Mount:
        """Resolve a mount's source if it is a copied file or directory."""
        if not mount.source.startswith(SHARED_DIRECTORY + "/"):
            return mount
        return msgspec.structs.replace(mount, source=self._platform.locate(shared_path(mount.source)))

    async def _start(self, request: api.StartContainerRequest) -> msgspec.Struct:
        await self._executor.start(request.container_id)
        return api.Empty()

    async def _remove(self, request: api.RemoveContainerRequest) -> msgspec.Struct:
        await self._executor.remove(request.container_id)
        return api.Empty()

    async def _diagnostic(self, request: api.GetDiagnosticDataRequest) -> msgspec.Struct:
        container = request.container_id
        match request.log_type:
            case "katrio.state":
                # used by the host when a reply was lost with its link: no other call returns a container's state
                data = str(self._model.container(container).state)
            case "termination_log":
                data = await self._executor.annotated_text(container, _TERMINATION_PATH, _TERMINATION_BYTES)
            case _:
                raise InvalidArgument(
                    f"diagnostic data {request.log_type[:40]!r}: this guest has termination_log and katrio.state",
                    field="log_type",
                )
        return api.GetDiagnosticDataResponse(data=data)

    async def _pause(self, request: api.PauseContainerRequest) -> msgspec.Struct:
        await self._executor.pause(request.container_id)
        return api.Empty()

    async def _resume(self, request: api.ResumeContainerRequest) -> msgspec.Struct:
        await self._executor.resume(request.container_id)
        return api.Empty()

    async def _update(self, request: api.UpdateContainerRequest) -> msgspec.Struct:
        # missing resources mean no change, as for every kata agent
        await self._executor.update(request.container_id, request.resources or LinuxResources())
        return api.Empty()

    async def _stats(self, request: api.StatsContainerRequest) -> msgspec.Struct:
        return StatsContainerResponse(cgroup_stats=await self._executor.stats(request.container_id))

    async def _next_oom(self, _: api.GetOOMEventRequest) -> msgspec.Struct:
        return api.OOMEvent(container_id=await self._executor.next_oom())

    async def _list_processes(self, request: api.ListProcessesRequest) -> msgspec.Struct:
        form = request.format or "table"
        if form == "json":
            pids = await self._executor.list_pids(request.container_id)
            return api.ListProcessesResponse(process_list=msgspec.json.encode(pids))
        if form != "table":
            raise InvalidArgument(f"format {form[:40]!r}: expected json or table", field="format")
        table = await self._executor.list_table(request.container_id, request.args)
        return api.ListProcessesResponse(process_list=table.encode())


def _refuse(request: msgspec.Struct, method: str, *fields: str) -> None:
    """Raises: Unsupported when one of the fields is set, rather than ignore it."""
    for name in fields:
        if getattr(request, name):
            raise Unsupported(f"{method}: this guest has no {name}; leave it out", field=name)
