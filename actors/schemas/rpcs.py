"""The calls of the Kata agent API: one table, and the codecs of their bytes.

For the host's Kata agent and the guest's Kata service, which look up the same row. Today's 44 RPCs, and `ListProcesses`
of the 1.x API, which our guest answers too, are `RPCS`; what a dialect has is `rpcs_of`. Not for what a call does, nor for failures (`status`).
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.schemas import agent, network, resources, stats
from actors.schemas.convert import NoSuchField, SchemaError, decode, encode
from actors.schemas.descriptors import method_types
from actors.schemas.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

__all__ = [
    "RPCS",
    "WAITING",
    "NoSuchField",
    "Rpc",
    "SchemaError",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "rpcs_of",
]

AGENT, HEALTH = "grpc.AgentService", "grpc.Health"
READS, CHANGES = False, True


class Rpc(NamedTuple):
    """One row of the table.

    Attributes:
        method, service: the names on the wire.
        request, response: the structs; each is named like its protobuf message.
        changes_state: a lost reply leaves the outcome unknown. So it is too for reads that take something away (output,
            an OOM event): their reply can be had only once.
    """

    method: str
    service: str
    request: type[Struct]
    response: type[Struct]
    changes_state: bool


_ROWS = (
    Rpc("Check", HEALTH, agent.CheckRequest, agent.HealthCheckResponse, READS),
    Rpc("Version", HEALTH, agent.CheckRequest, agent.VersionCheckResponse, READS),
    Rpc("CreateContainer", AGENT, agent.CreateContainerRequest, agent.Empty, CHANGES),
    Rpc("StartContainer", AGENT, agent.StartContainerRequest, agent.Empty, CHANGES),
    Rpc("RemoveContainer", AGENT, agent.RemoveContainerRequest, agent.Empty, CHANGES),
    Rpc("ExecProcess", AGENT, agent.ExecProcessRequest, agent.Empty, CHANGES),
    Rpc("SignalProcess", AGENT, agent.SignalProcessRequest, agent.Empty, CHANGES),
    Rpc("WaitProcess", AGENT, agent.WaitProcessRequest, agent.WaitProcessResponse, READS),
    Rpc("UpdateContainer", AGENT, agent.UpdateContainerRequest, agent.Empty, CHANGES),
    Rpc("UpdateEphemeralMounts", AGENT, resources.UpdateEphemeralMountsRequest, agent.Empty, CHANGES),
    Rpc("StatsContainer", AGENT, agent.StatsContainerRequest, stats.StatsContainerResponse, READS),
    Rpc("PauseContainer", AGENT, agent.PauseContainerRequest, agent.Empty, CHANGES),
    Rpc("ResumeContainer", AGENT, agent.ResumeContainerRequest, agent.Empty, CHANGES),
    Rpc("RemoveStaleVirtiofsShareMounts", AGENT, resources.RemoveStaleVirtiofsShareMountsRequest, agent.Empty, CHANGES),
    Rpc("GetDiagnosticData", AGENT, agent.GetDiagnosticDataRequest, agent.GetDiagnosticDataResponse, READS),
    Rpc("WriteStdin", AGENT, agent.WriteStreamRequest, agent.WriteStreamResponse, CHANGES),
    Rpc("ReadStdout", AGENT, agent.ReadStreamRequest, agent.ReadStreamResponse, CHANGES),
    Rpc("ReadStderr", AGENT, agent.ReadStreamRequest, agent.ReadStreamResponse, CHANGES),
    Rpc("CloseStdin", AGENT, agent.CloseStdinRequest, agent.Empty, CHANGES),
    Rpc("TtyWinResize", AGENT, agent.TtyWinResizeRequest, agent.Empty, CHANGES),
    Rpc("UpdateInterface", AGENT, network.UpdateInterfaceRequest, network.Interface, CHANGES),
    Rpc("UpdateRoutes", AGENT, network.UpdateRoutesRequest, network.Routes, CHANGES),
    Rpc("ListInterfaces", AGENT, network.ListInterfacesRequest, network.Interfaces, READS),
    Rpc("ListRoutes", AGENT, network.ListRoutesRequest, network.Routes, READS),
    Rpc("AddARPNeighbors", AGENT, network.AddARPNeighborsRequest, agent.Empty, CHANGES),
    Rpc("GetIPTables", AGENT, network.GetIPTablesRequest, network.GetIPTablesResponse, READS),
    Rpc("SetIPTables", AGENT, network.SetIPTablesRequest, network.SetIPTablesResponse, CHANGES),
    Rpc("GetMetrics", AGENT, agent.GetMetricsRequest, agent.Metrics, READS),
    Rpc("MemAgentMemcgSet", AGENT, resources.MemAgentMemcgConfig, agent.Empty, CHANGES),
    Rpc("MemAgentCompactSet", AGENT, resources.MemAgentCompactConfig, agent.Empty, CHANGES),
    Rpc("CreateSandbox", AGENT, agent.CreateSandboxRequest, agent.Empty, CHANGES),
    Rpc("DestroySandbox", AGENT, agent.DestroySandboxRequest, agent.Empty, CHANGES),
    Rpc("OnlineCPUMem", AGENT, resources.OnlineCPUMemRequest, agent.Empty, CHANGES),
    Rpc("ReseedRandomDev", AGENT, agent.ReseedRandomDevRequest, agent.Empty, CHANGES),
    Rpc("GetGuestDetails", AGENT, agent.GuestDetailsRequest, agent.GuestDetailsResponse, READS),
    Rpc("MemHotplugByProbe", AGENT, resources.MemHotplugByProbeRequest, agent.Empty, CHANGES),
    Rpc("SetGuestDateTime", AGENT, agent.SetGuestDateTimeRequest, agent.Empty, CHANGES),
    Rpc("CopyFile", AGENT, agent.CopyFileRequest, agent.Empty, CHANGES),
    Rpc("GetOOMEvent", AGENT, agent.GetOOMEventRequest, agent.OOMEvent, CHANGES),
    Rpc("AddSwap", AGENT, resources.AddSwapRequest, agent.Empty, CHANGES),
    Rpc("AddSwapPath", AGENT, resources.AddSwapPathRequest, agent.Empty, CHANGES),
    Rpc("GetVolumeStats", AGENT, resources.VolumeStatsRequest, resources.VolumeStatsResponse, READS),
    Rpc("ResizeVolume", AGENT, resources.ResizeVolumeRequest, agent.Empty, CHANGES),
    Rpc("SetPolicy", AGENT, agent.SetPolicyRequest, agent.Empty, CHANGES),
    Rpc("ListProcesses", AGENT, agent.ListProcessesRequest, agent.ListProcessesResponse, READS),
)

RPCS: Mapping[str, Rpc] = MappingProxyType({rpc.method: rpc for rpc in _ROWS})

# of 1.x alone; our guest refuses them
_TRACING = (
    Rpc("StartTracing", AGENT, agent.StartTracingRequest, agent.Empty, CHANGES),
    Rpc("StopTracing", AGENT, agent.StopTracingRequest, agent.Empty, CHANGES),
)


@cache
def rpcs_of(dialect: Dialect) -> Mapping[str, Rpc]:
    """The calls that the dialect has, by method."""
    methods = {**method_types(AGENT, dialect), **method_types(HEALTH, dialect)}
    return MappingProxyType({rpc.method: rpc for rpc in (*_ROWS, *_TRACING) if rpc.method in methods})


# calls that wait for something to happen in the guest, and so have no bound unless their caller names one
WAITING = frozenset({"WaitProcess", "WriteStdin", "ReadStdout", "ReadStderr", "GetOOMEvent"})


def encode_request(rpc: Rpc, request: Struct, dialect: Dialect = Dialect.TTRPC) -> bytes:
    """The payload of a call, which the dialect has.

    Raises:
        NoSuchField: the dialect has no field for a value that is set.
        SchemaError: a value that its field can't carry; it names the field.
    """
    return encode(request, _message_names(rpc, dialect)[0], dialect)


def decode_request(rpc: Rpc, payload: bytes, dialect: Dialect = Dialect.TTRPC) -> Any:
    """The `rpc.request` of a call's payload.

    Raises:
        SchemaError: the bytes are no such message.
    """
    return decode(rpc.request, _message_names(rpc, dialect)[0], payload, dialect)


def encode_response(rpc: Rpc, response: Struct, dialect: Dialect = Dialect.TTRPC) -> bytes:
    """The payload of a reply; what the dialect has no field for is left out of it, as its readers don't know of it.

    Raises:
        SchemaError: a value that its field can't carry; it names the field.
    """
    return encode(response, _message_names(rpc, dialect)[1], dialect, lossy=True)


def decode_response(rpc: Rpc, payload: bytes, dialect: Dialect = Dialect.TTRPC) -> Any:
    """The `rpc.response` of a reply's payload.

    Raises:
        SchemaError: the bytes are no such message.
    """
    return decode(rpc.response, _message_names(rpc, dialect)[1], payload, dialect)


def _message_names(rpc: Rpc, dialect: Dialect) -> tuple[str, str]:
    return method_types(rpc.service, dialect)[rpc.method]
