"""Doubles of agents that nobody here wrote: how they say who they are, what a second sandbox does, what they read of a user.

As seen alive of Kata's agent 4.1.0 and of 1.x's, and of kinds that were not, which differ from them in a word of `Kind`: older ones,
one under a policy, a small one. For identity, users and roots alone, of which they keep a record. Their processes run nothing: they end
when they are killed, and print nothing. Not for what agents do with containers: `doubles` run real ones, and a test of identity holds
both to the same answers.
"""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from actors.schemas import agent as api
from actors.schemas.resources import VolumeStatsResponse
from actors.schemas.rpcs import decode_request, encode_response, rpcs_of
from actors.words import Dialect
from tests.support.calls import memory_dialer
from transports.errors import RpcStatusError, StatusCode
from transports.grpc.server import GrpcServer
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.schemas.oci import User
    from transports.base import Dialer
    from transports.calls.server import CallContext, CallServer

__all__ = ["KINDS", "Kind", "RealAgent", "open_agent"]

_C = StatusCode


class Kind(NamedTuple):
    """A row: what a double does. Statuses are of StatsContainer for an unknown container, without and with a sandbox.

    Attributes:
        volume_stats: None: there is no such call (`refused` is what is said of it).
        destroys: a second CreateSandbox empties the roots of what runs, and fails.
    """

    version: str
    dialect: Dialect = Dialect.TTRPC
    handlers: tuple[str, ...] = ("blk", "virtio-fs", "local")
    unknown: tuple[StatusCode, StatusCode] = (_C.INVALID_ARGUMENT, _C.INVALID_ARGUMENT)
    volume_stats: bool = True
    refused: StatusCode = _C.NOT_FOUND
    destroys: bool = True


KINDS = {
    "today": Kind("4.1.0"),
    "before 2.4": Kind("2.1.0", volume_stats=False),
    "with a policy": Kind(
        "3.9.0", unknown=(_C.PERMISSION_DENIED, _C.PERMISSION_DENIED), volume_stats=False, refused=_C.PERMISSION_DENIED
    ),
    "says it is katrio": Kind("katrio 9.9"),
    "1.x": Kind(
        "1.13.0-alpha0",
        Dialect.GRPC,
        unknown=(_C.FAILED_PRECONDITION, _C.NOT_FOUND),
        destroys=False,
        volume_stats=False,
    ),
    "small": Kind(
        "small 1.0",
        handlers=(),
        unknown=(_C.UNIMPLEMENTED, _C.UNIMPLEMENTED),
        volume_stats=False,
        refused=_C.UNIMPLEMENTED,
        destroys=False,
    ),
}


def _no(code: StatusCode, text: str) -> RpcStatusError:
    return RpcStatusError(code, text)


@dataclass
class RealAgent:
    """See the module.

    Attributes:
        asked: every call, in order.
        users: by container, or container/exec: the numbers that it runs as; it reads nothing else.
        roots: by container, where its files are.
    """

    kind: Kind
    sandbox: bool = False
    stuck: bool = False
    asked: list[str] = field(default_factory=list[str])
    users: dict[str, User | None] = field(default_factory=dict[str, "User | None"])
    roots: dict[str, Path] = field(default_factory=dict[str, Path])
    _ended: dict[str, trio.Event] = field(default_factory=dict[str, trio.Event])

    def server(self) -> CallServer:
        """It, behind its dialect."""
        handlers = {(rpc.service, name): partial(self._serve, name) for name, rpc in rpcs_of(self.kind.dialect).items()}
        made = GrpcServer if self.kind.dialect is Dialect.GRPC else TtrpcServer
        return made(handlers, on_error=lambda _service, method, error: print(method, repr(error)))

    async def _serve(self, name: str, payload: bytes, _: CallContext) -> bytes:
        rpc = rpcs_of(self.kind.dialect)[name]
        request: Any = decode_request(rpc, payload, self.kind.dialect)
        self.asked.append(name)
        await trio.lowlevel.checkpoint()
        if self.stuck and name not in ("Check", "Version", "GetGuestDetails"):
            await trio.sleep_forever()
        method = getattr(self, f"_{name}", None)
        if method is None:
            raise _no(_C.NOT_FOUND, f"/grpc.AgentService/{name} is not supported")
        return encode_response(rpc, await method(request) or api.Empty(), self.kind.dialect)

    async def _Check(self, _: Any) -> Any:  # the methods are found by their calls' names
        return api.HealthCheckResponse(status=api.ServingStatus.SERVING)

    async def _Version(self, _: Any) -> Any:
        return api.VersionCheckResponse(grpc_version="0.0.1", agent_version=self.kind.version)

    async def _GetGuestDetails(self, _: Any) -> Any:
        details = api.AgentDetails(version=self.kind.version, storage_handlers=self.kind.handlers)
        return api.GuestDetailsResponse(agent_details=details)

    async def _StatsContainer(self, request: Any) -> Any:
        if request.container_id in self.roots:
            raise _no(_C.UNIMPLEMENTED, "a double counts nothing")
        raise _no(self.kind.unknown[self.sandbox], "invalid container id")

    async def _GetVolumeStats(self, request: Any) -> Any:
        if not self.kind.volume_stats:
            raise _no(self.kind.refused, "/grpc.AgentService/GetVolumeStats is not supported")
        if request.volume_guest_path != "/var/run/sandbox-ns/ipc" or not self.sandbox:
            raise _no(_C.INTERNAL, 'Os { code: 2, kind: NotFound, message: "No such file or directory" }')
        return VolumeStatsResponse()

    async def _CreateSandbox(self, _: Any) -> Any:
        if self.sandbox and not self.kind.destroys:
            raise _no(_C.ALREADY_EXISTS, "sandbox already started")
        if self.sandbox:
            for root in self.roots.values():
                for found in root.iterdir():
                    shutil.rmtree(found) if found.is_dir() and not found.is_symlink() else found.unlink()
            raise _no(_C.INTERNAL, "EACCES: Permission denied")
        self.sandbox = True

    async def _DestroySandbox(self, _: Any) -> Any:
        for container in list(self.roots):
            self._end(container)
        self.sandbox = False

    async def _CreateContainer(self, request: Any) -> Any:
        self.roots[request.container_id] = Path(request.OCI.root.path)
        self.users[request.container_id] = request.OCI.process.user
        self._ended[request.container_id] = trio.Event()

    async def _StartContainer(self, request: Any) -> Any:
        self._container(request)

    async def _RemoveContainer(self, request: Any) -> Any:
        self._container(request)
        self._end(request.container_id)

    async def _ExecProcess(self, request: Any) -> Any:
        self._container(request)
        name = f"{request.container_id}/{request.exec_id}"
        self.users[name] = request.process.user
        self._ended[name] = self._ended[request.container_id]

    async def _SignalProcess(self, request: Any) -> Any:
        self._container(request)
        self._ended[request.container_id].set()

    async def _WaitProcess(self, request: Any) -> Any:
        await self._container(request).wait()
        return api.WaitProcessResponse(status=137)

    async def _ReadStdout(self, request: Any) -> Any:
        await self._container(request).wait()
        return api.ReadStreamResponse()

    _ReadStderr = _ReadStdout

    def _container(self, request: Any) -> trio.Event:
        if request.container_id not in self.roots:
            raise _no(_C.INTERNAL, "Invalid container id")
        return self._ended[request.container_id]

    def _end(self, container: str) -> None:
        self.roots.pop(container, None)
        self._ended[container].set()


@asynccontextmanager
async def open_agent(agent: RealAgent) -> AsyncGenerator[Dialer]:
    """A dialer of it, in memory. Hides a nursery."""
    async with trio.open_nursery() as nursery:
        yield memory_dialer(agent.server(), nursery)
        nursery.cancel_scope.cancel()
