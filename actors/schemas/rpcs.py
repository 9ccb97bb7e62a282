"""The calls of the Kata agent API: one table, and the codecs of their bytes.

For the host's Kata agent and the guest's Kata service, which look up the same row. Today's 44 RPCs, and `ListProcesses`
of the 1.x API, which our guest answers too, are `RPCS`; what a dialect has is `rpcs_of`. Not for what a call does, nor for failures (`status`).
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.errors import InvalidArgument
from actors.schemas import agent, network, resources
from actors.schemas.convert import NoSuchField, SchemaError, decode, encode, prepare_conversion
from actors.schemas.descriptors import method_types
from actors.schemas.request import response_type
from actors.words import Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

    from actors.schemas.request import Request

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
    "prepare_answers",
    "rpc_of",
    "rpcs_of",
]

AGENT, HEALTH = "grpc.AgentService", "grpc.Health"
READS, CHANGES = False, True


class Rpc(NamedTuple):
    """One row of the table.

    Attributes:
        method, service: the names on the wire.
        request, response: the structs. The request is bound to its response, and is the request of no other call.
        changes_state: a lost reply leaves the outcome unknown. So it is too for reads that take something away (output,
            an OOM event): their reply can be had only once.
    """

    method: str
    service: str
    request: type[Request[Any]]
    response: type[Struct]
    changes_state: bool


def _row(method: str, service: str, request: type[Request[Any]], changes_state: bool) -> Rpc:
    return Rpc(method, service, request, response_type(request), changes_state)


_ROWS = (
    _row("Check", HEALTH, agent.CheckRequest, READS),
    _row("Version", HEALTH, agent.VersionRequest, READS),
    _row("CreateContainer", AGENT, agent.CreateContainerRequest, CHANGES),
    _row("StartContainer", AGENT, agent.StartContainerRequest, CHANGES),
    _row("RemoveContainer", AGENT, agent.RemoveContainerRequest, CHANGES),
    _row("ExecProcess", AGENT, agent.ExecProcessRequest, CHANGES),
    _row("SignalProcess", AGENT, agent.SignalProcessRequest, CHANGES),
    _row("WaitProcess", AGENT, agent.WaitProcessRequest, READS),
    _row("UpdateContainer", AGENT, agent.UpdateContainerRequest, CHANGES),
    _row("UpdateEphemeralMounts", AGENT, resources.UpdateEphemeralMountsRequest, CHANGES),
    _row("StatsContainer", AGENT, agent.StatsContainerRequest, READS),
    _row("PauseContainer", AGENT, agent.PauseContainerRequest, CHANGES),
    _row("ResumeContainer", AGENT, agent.ResumeContainerRequest, CHANGES),
    _row("RemoveStaleVirtiofsShareMounts", AGENT, resources.RemoveStaleVirtiofsShareMountsRequest, CHANGES),
    _row("GetDiagnosticData", AGENT, agent.GetDiagnosticDataRequest, READS),
    _row("WriteStdin", AGENT, agent.WriteStreamRequest, CHANGES),
    _row("ReadStdout", AGENT, agent.ReadStdoutRequest, CHANGES),
    _row("ReadStderr", AGENT, agent.ReadStderrRequest, CHANGES),
    _row("CloseStdin", AGENT, agent.CloseStdinRequest, CHANGES),
    _row("TtyWinResize", AGENT, agent.TtyWinResizeRequest, CHANGES),
    _row("UpdateInterface", AGENT, network.UpdateInterfaceRequest, CHANGES),
    _row("UpdateRoutes", AGENT, network.UpdateRoutesRequest, CHANGES),
    _row("ListInterfaces", AGENT, network.ListInterfacesRequest, READS),
    _row("ListRoutes", AGENT, network.ListRoutesRequest, READS),
    _row("AddARPNeighbors", AGENT, network.AddARPNeighborsRequest, CHANGES),
    _row("GetIPTables", AGENT, network.GetIPTablesRequest, READS),
    _row("SetIPTables", AGENT, network.SetIPTablesRequest, CHANGES),
    _row("GetMetrics", AGENT, agent.GetMetricsRequest, READS),
    _row("MemAgentMemcgSet", AGENT, resources.MemAgentMemcgConfig, CHANGES),
    _row("MemAgentCompactSet", AGENT, resources.MemAgentCompactConfig, CHANGES),
    _row("CreateSandbox", AGENT, agent.CreateSandboxRequest, CHANGES),
    _row("DestroySandbox", AGENT, agent.DestroySandboxRequest, CHANGES),
    _row("OnlineCPUMem", AGENT, resources.OnlineCPUMemRequest, CHANGES),
    _row("ReseedRandomDev", AGENT, agent.ReseedRandomDevRequest, CHANGES),
    _row("GetGuestDetails", AGENT, agent.GuestDetailsRequest, READS),
    _row("MemHotplugByProbe", AGENT, resources.MemHotplugByProbeRequest, CHANGES),
    _row("SetGuestDateTime", AGENT, agent.SetGuestDateTimeRequest, CHANGES),
    _row("CopyFile", AGENT, agent.CopyFileRequest, CHANGES),
    _row("GetOOMEvent", AGENT, agent.GetOOMEventRequest, CHANGES),
    _row("AddSwap", AGENT, resources.AddSwapRequest, CHANGES),
    _row("AddSwapPath", AGENT, resources.AddSwapPathRequest, CHANGES),
    _row("GetVolumeStats", AGENT, resources.VolumeStatsRequest, READS),
    _row("ResizeVolume", AGENT, resources.ResizeVolumeRequest, CHANGES),
    _row("SetPolicy", AGENT, agent.SetPolicyRequest, CHANGES),
    _row("ListProcesses", AGENT, agent.ListProcessesRequest, READS),
)

RPCS: Mapping[str, Rpc] = MappingProxyType({rpc.method: rpc for rpc in _ROWS})

_BY_REQUEST = {rpc.request: rpc for rpc in _ROWS}


def rpc_of(request: Request[Any]) -> Rpc:
    """The call that is made by this request. Raises: InvalidArgument."""
    rpc = _BY_REQUEST.get(type(request))
    if rpc is None:
        raise InvalidArgument(f"{type(request).__name__} is the request of no call", field="request")
    return rpc


# of 1.x alone; our guest refuses them
_TRACING = (
    _row("StartTracing", AGENT, agent.StartTracingRequest, CHANGES),
    _row("StopTracing", AGENT, agent.StopTracingRequest, CHANGES),
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


def prepare_answers(dialect: Dialect) -> None:
    """For one who answers calls: make now what the first of each would make."""
    for rpc in rpcs_of(dialect).values():
        request, response = _message_names(rpc, dialect)
        prepare_conversion(rpc.request, request, dialect, lossy=False)
        prepare_conversion(rpc.response, response, dialect, lossy=True)


def _message_names(rpc: Rpc, dialect: Dialect) -> tuple[str, str]:
    return method_types(rpc.service, dialect)[rpc.method]
