"""Requests and replies of the agent API: sandbox, containers, processes, their streams, and the guest itself.

Fields are named as in agent.proto and health.proto; what is absent there has its proto3 default here, `None` for a message.
An `exec_id` equal to the container's id, or empty where the RPC allows it, means the container's init process. Not
here: `network`, `resources`, `stats`, and the container's specification, `oci`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, TypeAlias

from msgspec import Struct

from actors.limits import MOST_GROUPS
from actors.schemas.oci import LinuxResources, Process, Spec
from actors.schemas.resources import Device, SharedMount, Storage
from actors.wire.fields import GroupText, KillSignal, OneUser, at_most, between

__all__ = [
    "AgentDetails",
    "CheckRequest",
    "CloseStdinRequest",
    "CopyFileRequest",
    "CreateContainerRequest",
    "CreateSandboxRequest",
    "DestroySandboxRequest",
    "Empty",
    "ExecProcessRequest",
    "GetDiagnosticDataRequest",
    "GetDiagnosticDataResponse",
    "GetMetricsRequest",
    "GetOOMEventRequest",
    "GuestDetailsRequest",
    "GuestDetailsResponse",
    "HealthCheckResponse",
    "KernelModule",
    "ListProcessesRequest",
    "ListProcessesResponse",
    "Metrics",
    "OOMEvent",
    "PauseContainerRequest",
    "ReadStreamRequest",
    "ReadStreamResponse",
    "RemoveContainerRequest",
    "ReseedRandomDevRequest",
    "ResumeContainerRequest",
    "ServingStatus",
    "SetGuestDateTimeRequest",
    "SetPolicyRequest",
    "SignalProcessRequest",
    "StartContainerRequest",
    "StartTracingRequest",
    "StatsContainerRequest",
    "StopTracingRequest",
    "StringUser",
    "TtyWinResizeRequest",
    "UpdateContainerRequest",
    "VersionCheckResponse",
    "WaitProcessRequest",
    "WaitProcessResponse",
    "WriteStreamRequest",
    "WriteStreamResponse",
]


class ServingStatus(IntEnum):
    """`status` of a `HealthCheckResponse`."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2


class Empty(Struct, frozen=True):
    """The reply of every RPC that has nothing to say."""


class CreateContainerRequest(Struct, frozen=True):
    """Request of `CreateContainer`: `OCI` is its specification; ports are vsock ports for its stdio, 0 for none.

    `agent_pidns` is of the 1.x API.
    """

    container_id: str = ""
    exec_id: str = ""
    string_user: StringUser | None = None
    devices: tuple[Device, ...] = ()
    storages: tuple[Storage, ...] = ()
    OCI: Spec | None = None
    sandbox_pidns: bool = False
    shared_mounts: tuple[SharedMount, ...] = ()
    stdin_port: int = 0
    stdout_port: int = 0
    stderr_port: int = 0
    agent_pidns: bool = False


class StartContainerRequest(Struct, frozen=True):
    """Request of `StartContainer`."""

    container_id: str = ""


class RemoveContainerRequest(Struct, frozen=True):
    """Request of `RemoveContainer`: `timeout` in seconds, 0 for none."""

    container_id: str = ""
    timeout: int = 0


class ExecProcessRequest(Struct, frozen=True):
    """Request of `ExecProcess`."""

    container_id: str = ""
    exec_id: str = ""
    string_user: StringUser | None = None
    process: Process | None = None
    stdin_port: int = 0
    stdout_port: int = 0
    stderr_port: int = 0


class SignalProcessRequest(Struct, frozen=True):
    """Request of `SignalProcess`: `signal` by number; an empty `exec_id` means every process of the container."""

    container_id: str = ""
    exec_id: str = ""
    signal: KillSignal = 0


class WaitProcessRequest(Struct, frozen=True):
    """Request of `WaitProcess`."""

    container_id: str = ""
    exec_id: str = ""


class WaitProcessResponse(Struct, frozen=True):
    """Reply to `WaitProcess`: the exit code; 128 and the signal's number if one ended it."""

    status: int = 0


class UpdateContainerRequest(Struct, frozen=True):
    """Request of `UpdateContainer`."""

    container_id: str = ""
    resources: LinuxResources | None = None


class StatsContainerRequest(Struct, frozen=True):
    """Request of `StatsContainer`."""

    container_id: str = ""


class PauseContainerRequest(Struct, frozen=True):
    """Request of `PauseContainer`."""

    container_id: str = ""


class ResumeContainerRequest(Struct, frozen=True):
    """Request of `ResumeContainer`."""

    container_id: str = ""


class WriteStreamRequest(Struct, frozen=True):
    """Request of `WriteStdin`."""

    container_id: str = ""
    exec_id: str = ""
    data: bytes = b""


class WriteStreamResponse(Struct, frozen=True):
    """Reply to `WriteStdin`: how many bytes were taken."""

    len: int = 0


class ReadStreamRequest(Struct, frozen=True):
    """Request of `ReadStdout`, `ReadStderr`: at most `len` bytes."""

    container_id: str = ""
    exec_id: str = ""
    len: int = 0


class ReadStreamResponse(Struct, frozen=True):
    """Reply to `ReadStdout`, `ReadStderr`: waits for data; empty means the end of the stream."""

    data: bytes = b""


class CloseStdinRequest(Struct, frozen=True):
    """Request of `CloseStdin`."""

    container_id: str = ""
    exec_id: str = ""


class TtyWinResizeRequest(Struct, frozen=True):
    """Request of `TtyWinResize`."""

    container_id: str = ""
    exec_id: str = ""
    row: int = 0
    column: int = 0


class KernelModule(Struct, frozen=True):
    """A module to load, with its parameters."""

    name: str = ""
    parameters: tuple[str, ...] = ()


class CreateSandboxRequest(Struct, frozen=True):
    """Request of `CreateSandbox`."""

    hostname: str = ""
    dns: tuple[str, ...] = ()
    storages: tuple[Storage, ...] = ()
    sandbox_pidns: bool = False
    sandbox_id: str = ""
    guest_hook_path: str = ""
    kernel_modules: tuple[KernelModule, ...] = ()


class DestroySandboxRequest(Struct, frozen=True):
    """Request of `DestroySandbox`."""


class ReseedRandomDevRequest(Struct, frozen=True):
    """Request of `ReseedRandomDev`."""

    data: bytes = b""


class AgentDetails(Struct, frozen=True):
    """What the agent is and can do."""

    version: str = ""
    init_daemon: bool = False
    device_handlers: tuple[str, ...] = ()
    storage_handlers: tuple[str, ...] = ()
    supports_seccomp: bool = False
    extra_features: tuple[str, ...] = ()


class GuestDetailsRequest(Struct, frozen=True):
    """Request of `GetGuestDetails`: which of the slower answers are wanted."""

    mem_block_size: bool = False
    mem_hotplug_probe: bool = False


class GuestDetailsResponse(Struct, frozen=True):
    """Reply to `GetGuestDetails`."""

    mem_block_size_bytes: int = 0
    agent_details: AgentDetails | None = None
    support_mem_hotplug_probe: bool = False


class SetGuestDateTimeRequest(Struct, frozen=True):
    """Request of `SetGuestDateTime`: seconds and microseconds since 1970."""

    Sec: int = 0
    Usec: int = 0


class StringUser(Struct, frozen=True):
    """A user by names or numbers in text, which the guest resolves."""

    uid: OneUser = ""
    gid: OneUser = ""
    additionalGids: Annotated[tuple[GroupText, ...], at_most(MOST_GROUPS)] = ()


# signed on the wire: the kernel takes -1 for "leave it as it is"
_Owner: TypeAlias = Annotated[int, between(0, 2**31 - 1)]


class CopyFileRequest(Struct, frozen=True):
    """Request of `CopyFile`: one piece, `data` at `offset`, of a file of `file_size` bytes."""

    path: str = ""
    file_size: int = 0
    file_mode: int = 0
    dir_mode: int = 0
    uid: _Owner = 0
    gid: _Owner = 0
    offset: int = 0
    data: bytes = b""


class GetOOMEventRequest(Struct, frozen=True):
    """Request of `GetOOMEvent`."""


class OOMEvent(Struct, frozen=True):
    """Reply to `GetOOMEvent`: waits until one happens."""

    container_id: str = ""


class GetMetricsRequest(Struct, frozen=True):
    """Request of `GetMetrics`."""


class Metrics(Struct, frozen=True):
    """Reply to `GetMetrics`: Prometheus text."""

    metrics: str = ""


class SetPolicyRequest(Struct, frozen=True):
    """Request of `SetPolicy`."""

    policy: str = ""


class GetDiagnosticDataRequest(Struct, frozen=True):
    """Request of `GetDiagnosticData`."""

    log_type: str = ""
    container_id: str = ""


class GetDiagnosticDataResponse(Struct, frozen=True):
    """Reply to `GetDiagnosticData`."""

    data: str = ""


class CheckRequest(Struct, frozen=True):
    """Request of `Check`, `Version`: `service` is ignored by agents, but for one of our guest's."""

    service: str = ""


class HealthCheckResponse(Struct, frozen=True):
    """Reply to `Check`."""

    status: int = 0


class VersionCheckResponse(Struct, frozen=True):
    """Reply to `Version`."""

    grpc_version: str = ""
    agent_version: str = ""


class StartTracingRequest(Struct, frozen=True):
    """Request of `StartTracing`: of the 1.x API."""


class StopTracingRequest(Struct, frozen=True):
    """Request of `StopTracing`: of the 1.x API."""


class ListProcessesRequest(Struct, frozen=True):
    """Request of `ListProcesses`: of the 1.x API; `format` is `json` or `table`, `args` go to ps."""

    container_id: str = ""
    format: str = ""
    args: tuple[str, ...] = ()


class ListProcessesResponse(Struct, frozen=True):
    """Reply to `ListProcesses`: of the 1.x API."""

    process_list: bytes = b""
