"""Kata 1.x's agent, 1.13, in Go: as PID 1 of a VM, over gRPC in streams of yamux on one serial port.

Its rows are in `rows_kata1x`. For `opening` and the command; the port itself is `port`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from actors.errors import AgentError, InvalidArgument, InvalidTransition, KatrioError
from actors.guest.model import GuestModel
from actors.guest.services.kata_containers import ContainerCalls
from actors.guest.services.kata_processes import ProcessCalls
from actors.lifecycle.container import ContainerState
from actors.schemas.agent import AgentDetails, GuestDetailsResponse, ReadStreamResponse
from actors.schemas.status import status_from_error
from tests.support.doubles.habits import (
    DoubledExecutor,
    ForgetsAtTheFirstWait,
    NoConsoleSize,
    SaysNoWords,
    is_terminal,
)
from tests.support.planted.defect import Kit
from transports.errors import RpcStatusError, StatusCode

if TYPE_CHECKING:
    import msgspec

    from actors.guest.model import ContainerEntry
    from actors.guest.services.method import Method
    from actors.schemas import agent as api
    from tests.support.doubles.power import Options, Power

__all__ = ["kata1x"]

VERSION = "1.13.0-alpha0"
HOSTNAME = "(none)"
# what a read may ask for before its buffer is more than the VM has
MACHINE_BYTES = 1 << 30


class OldMachine(GuestModel):
    """Without a sandbox there is nothing to look for."""

    def container(self, container: str) -> ContainerEntry:
        if self.sandbox is None:
            raise InvalidTransition("Sandbox not started", state="no sandbox", verb="container")
        return super().container(container)


class OldExecutor(ForgetsAtTheFirstWait, NoConsoleSize, DoubledExecutor):
    """Its states and its signals."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._still: dict[str, None] = {}

    async def pause(self, container: str) -> None:
        if self.model.container(container).state is ContainerState.READY:
            self._still[container] = None
            return
        await super().pause(container)

    async def resume(self, container: str) -> None:
        if self._still.pop(container, self) is None:
            return
        await super().resume(container)

    async def signal(self, container: str, process: str, signum: int) -> None:
        init_told = process in ("", container) and (container, container) in self._told
        if init_told or self.process(container, process).ended.is_set():
            raise AgentError("no such process", status="unknown")
        await super().signal(container, process, signum)

    async def remove(self, container: str) -> None:
        await super().remove(container)
        self._still.pop(container, None)


class OldGuest(SaysNoWords):
    """What it says of itself."""

    async def _details(self, request: api.GuestDetailsRequest) -> msgspec.Struct:
        return GuestDetailsResponse(agent_details=AgentDetails(version=VERSION, storage_handlers=("9p", "local")))


class OldContainers(ContainerCalls):
    """Create, and the sandbox."""

    async def _create_sandbox(self, request: api.CreateSandboxRequest) -> msgspec.Struct:
        answer = await super()._create_sandbox(request)
        self._platform.set_hostname(HOSTNAME)
        return answer

    async def _create(self, request: api.CreateContainerRequest) -> msgspec.Struct:
        if request.OCI is None and self._model.sandbox is not None:
            await _panic(self._executor, "nil pointer dereference in CreateContainer")
        return await super()._create(request)


class OldProcesses(ProcessCalls):
    """Exec and reads."""

    async def _exec(self, request: api.ExecProcessRequest) -> msgspec.Struct:
        if request.process is None:
            await _panic(self._executor, "nil pointer dereference in ExecProcess")
        return await super()._exec(request)

    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        return await self._read(request, super()._read_stdout)

    async def _read_stderr(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        return await self._read(request, super()._read_stderr)

    async def _read(self, request: api.ReadStreamRequest, read: Method) -> msgspec.Struct:
        process = self._executor.process(request.container_id, request.exec_id)
        if request.len >= MACHINE_BYTES:
            await _panic(self._executor, f"out of memory: {request.len} bytes for a read")
        reply = await read(request)
        if isinstance(reply, ReadStreamResponse) and not reply.data and is_terminal(process):
            raise AgentError("read /dev/ptmx: input/output error", status="unknown")
        return reply


async def _panic(executor: object, why: str) -> None:
    """PID 1 is gone, and so is the VM."""
    assert isinstance(executor, OldExecutor)
    await executor.power.off(why)


def told(_method: str, error: KatrioError) -> RpcStatusError:
    """No details; what Go's own errors are has no code."""
    code, message, _ = status_from_error(error)
    unnamed = isinstance(error, InvalidArgument) and str(error.details.get("field")) in ("args", "cwd")
    if unnamed:
        code = StatusCode.UNKNOWN
    elif isinstance(error, InvalidTransition):
        code = StatusCode.FAILED_PRECONDITION
    return RpcStatusError(code, message)


def kata1x(power: Power, options: Options) -> Kit:
    """Its parts."""
    return Kit(
        model=OldMachine,
        executor=partial(OldExecutor, power, options),
        guest=OldGuest,
        containers=OldContainers,
        processes=OldProcesses,
        told=told,
        version=VERSION,
    )
