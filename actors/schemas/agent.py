"""Requests and replies of the agent API: sandbox, containers, processes, their streams, and the guest itself.

Fields are named as in agent.proto and health.proto; what is absent there has its proto3 default here, `None` for a message.
An `exec_id` equal to the container's id, or empty where the RPC allows it, means the container's init process. Not
here: `network`, `resources`, `stats`, and the container's specification, `oci`.
"""

# Made by scripts/make-structs from tables/kata-agent.json, kata-agent-1x.json and structs.toml.

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, TypeAlias

from msgspec import Struct

from actors.limits import MOST_GROUPS
from actors.schemas.oci import LinuxResources, Process, Spec
from actors.schemas.request import Empty, Request
from actors.schemas.resources import Device, SharedMount, Storage
from actors.schemas.stats import StatsContainerResponse
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
    "ReadStderrRequest",
    "ReadStdoutRequest",
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
    "VersionRequest",
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


class CreateContainerRequest(Request[Empty], frozen=True):
    """Make a container, its init waiting to be started.

    `OCI` is its specification; ports are vsock ports for its stdio, 0 for none.
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


class StartContainerRequest(Request[Empty], frozen=True):
    """Let a container's init run."""

    container_id: str = ""


class RemoveContainerRequest(Request[Empty], frozen=True):
    """Kill what runs in a container, and forget it.

    `timeout` is in seconds, 0 for none.
    """

    container_id: str = ""
    timeout: int = 0


class ExecProcessRequest(Request[Empty], frozen=True):
    """Start one more process in a container."""

    container_id: str = ""
    exec_id: str = ""
    string_user: StringUser | None = None
    process: Process | None = None
    stdin_port: int = 0
    stdout_port: int = 0
    stderr_port: int = 0


class SignalProcessRequest(Request[Empty], frozen=True):
    """Send a signal to one process; SIGKILL with an empty `exec_id` to all of the container.

    `signal` is a number.
    """

    container_id: str = ""
    exec_id: str = ""
    signal: KillSignal = 0


class WaitProcessResponse(Struct, frozen=True):
    """Reply to `WaitProcess`: the exit code; 128 and the signal's number if one ended it."""

    status: int = 0


class WaitProcessRequest(Request[WaitProcessResponse], frozen=True):
    """A process's exit code, once it has ended. A real agent closes its streams and forgets it then."""

    container_id: str = ""
    exec_id: str = ""


class UpdateContainerRequest(Request[Empty], frozen=True):
    """Change a running container's limits."""

    container_id: str = ""
    resources: LinuxResources | None = None


class StatsContainerRequest(Request[StatsContainerResponse], frozen=True):
    """What a container's control groups count."""

    container_id: str = ""


class PauseContainerRequest(Request[Empty], frozen=True):
    """Freeze a container."""

    container_id: str = ""


class ResumeContainerRequest(Request[Empty], frozen=True):
    """Thaw a container."""

    container_id: str = ""


class WriteStreamResponse(Struct, frozen=True):
    """Reply to `WriteStdin`: how many bytes were taken."""

    len: int = 0


class WriteStreamRequest(Request[WriteStreamResponse], frozen=True):
    """Write to a process; how much of it was taken. A real agent takes an empty write for the end of input."""

    container_id: str = ""
    exec_id: str = ""
    data: bytes = b""


class ReadStreamResponse(Struct, frozen=True):
    """Reply to `ReadStdout`, `ReadStderr`: waits for data; empty means the end of the stream."""

    data: bytes = b""


class ReadStreamRequest(Struct, frozen=True):
    """What the requests of both outputs have: at most `len` bytes are wanted."""

    container_id: str = ""
    exec_id: str = ""
    len: int = 0


class ReadStdoutRequest(ReadStreamRequest, Request[ReadStreamResponse], frozen=True):
    """Wait for output; empty at its end. What was read is gone from the guest."""


class ReadStderrRequest(ReadStreamRequest, Request[ReadStreamResponse], frozen=True):
    """Wait for error output; empty at its end. What was read is gone from the guest."""


class CloseStdinRequest(Request[Empty], frozen=True):
    """End a process's input."""

    container_id: str = ""
    exec_id: str = ""


class TtyWinResizeRequest(Request[Empty], frozen=True):
    """Set the size of a process's terminal."""

    container_id: str = ""
    exec_id: str = ""
    row: int = 0
    column: int = 0


class KernelModule(Struct, frozen=True):
    """A module to load, with its parameters."""

    name: str = ""
    parameters: tuple[str, ...] = ()


class CreateSandboxRequest(Request[Empty], frozen=True):
    """Begin the sandbox. A real agent empties its bundle directory, whatever is in it."""

    hostname: str = ""
    dns: tuple[str, ...] = ()
    storages: tuple[Storage, ...] = ()
    sandbox_pidns: bool = False
    sandbox_id: str = ""
    guest_hook_path: str = ""
    kernel_modules: tuple[KernelModule, ...] = ()


class DestroySandboxRequest(Request[Empty], frozen=True):
    """End every container, and the sandbox. A real agent exits while it answers."""


class ReseedRandomDevRequest(Request[Empty], frozen=True):
    """Mix bytes into the kernel's randomness."""

    data: bytes = b""


class AgentDetails(Struct, frozen=True):
    """What the agent is and can do."""

    version: str = ""
    init_daemon: bool = False
    device_handlers: tuple[str, ...] = ()
    storage_handlers: tuple[str, ...] = ()
    supports_seccomp: bool = False
    extra_features: tuple[str, ...] = ()


class GuestDetailsResponse(Struct, frozen=True):
    """Reply to `GetGuestDetails`."""

    mem_block_size_bytes: int = 0
    agent_details: AgentDetails | None = None
    support_mem_hotplug_probe: bool = False


class GuestDetailsRequest(Request[GuestDetailsResponse], frozen=True):
    """What the guest and its agent are and can do.

    The fields say which of the slower answers are wanted.
    """

    mem_block_size: bool = False
    mem_hotplug_probe: bool = False


class SetGuestDateTimeRequest(Request[Empty], frozen=True):
    """Set the guest's clock.

    Seconds and microseconds since 1970.
    """

    Sec: int = 0
    Usec: int = 0


class StringUser(Struct, frozen=True):
    """A user by names or numbers in text, which the guest resolves."""

    uid: OneUser = ""
    gid: OneUser = ""
    additionalGids: Annotated[tuple[GroupText, ...], at_most(MOST_GROUPS)] = ()


# signed on the wire: the kernel takes -1 for "leave it as it is"
_Owner: TypeAlias = Annotated[int, between(0, 2**31 - 1)]


class CopyFileRequest(Request[Empty], frozen=True):
    """Put a piece of a file below the shared directory; it appears once it is whole.

    One piece, `data` at `offset`, of a file of `file_size` bytes.
    """

    path: str = ""
    file_size: int = 0
    file_mode: int = 0
    dir_mode: int = 0
    uid: _Owner = 0
    gid: _Owner = 0
    offset: int = 0
    data: bytes = b""


class OOMEvent(Struct, frozen=True):
    """Reply to `GetOOMEvent`: waits until one happens."""

    container_id: str = ""


class GetOOMEventRequest(Request[OOMEvent], frozen=True):
    """The container of the next OOM kill, waiting for it. One caller gets each."""


class Metrics(Struct, frozen=True):
    """Reply to `GetMetrics`: Prometheus text."""

    metrics: str = ""


class GetMetricsRequest(Request[Metrics], frozen=True):
    """What the agent counts, as Prometheus text."""


class SetPolicyRequest(Request[Empty], frozen=True):
    """Replace the policy by which the agent refuses calls."""

    policy: str = ""


class GetDiagnosticDataResponse(Struct, frozen=True):
    """Reply to `GetDiagnosticData`."""

    data: str = ""


class GetDiagnosticDataRequest(Request[GetDiagnosticDataResponse], frozen=True):
    """Words that a container left, such as its termination log."""

    log_type: str = ""
    container_id: str = ""


class HealthCheckResponse(Struct, frozen=True):
    """Reply to `Check`."""

    status: int = 0


class CheckRequest(Request[HealthCheckResponse], frozen=True):
    """Whether the agent serves. It takes no lock, so it may be green while all else hangs.

    `service` is ignored by agents.
    """

    service: str = ""


class VersionCheckResponse(Struct, frozen=True):
    """Reply to `Version`."""

    grpc_version: str = ""
    agent_version: str = ""


class VersionRequest(Request[VersionCheckResponse], frozen=True):
    """The agent's version, and the API's.

    `service` is ignored by agents, but for one of our guest's.
    """

    service: str = ""


class StartTracingRequest(Request[Empty], frozen=True):
    """Begin to record spans. Of 1.x's API alone."""


class StopTracingRequest(Request[Empty], frozen=True):
    """End the recording of spans. Of 1.x's API alone."""


class ListProcessesResponse(Struct, frozen=True):
    """Reply to `ListProcesses`: of the 1.x API."""

    process_list: bytes = b""


class ListProcessesRequest(Request[ListProcessesResponse], frozen=True):
    """A container's processes, as a JSON list of pids or as ps prints them. Of 1.x's API alone.

    `format` is `json` or `table`, `args` go to ps.
    """

    container_id: str = ""
    format: str = ""
    args: tuple[str, ...] = ()
