"""Today's kata-agent, 4.1.0, in Rust: over ttRPC on a unix socket, with control groups v1 and no VM.

The letters and numbers are those of `rows_today`. For `opening` and the command.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from actors.errors import AgentError, InvalidArgument, InvalidTransition, KatrioError, NotFound, Unsupported
from actors.guest.services.kata_containers import ContainerCalls
from actors.guest.services.kata_processes import ProcessCalls
from actors.lifecycle.container import ContainerState
from actors.nurseries import open_collapsing_nursery
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas.oci import Process
from actors.schemas.resources import VolumeStatsRequest, VolumeStatsResponse
from actors.schemas.rpcs import RPCS, SchemaError, decode_request
from tests.support.doubles.habits import (
    DoubledExecutor,
    ForgetsAtTheFirstWait,
    NoConsoleSize,
    SaysNoWords,
    is_terminal,
    wipe,
)
from tests.support.planted.defect import Kit
from tests.support.planted.lifecycle import DuplicateCreateKills
from tests.support.planted.streams import CloseEndsTerminal, EmptyWriteCloses
from tests.support.planted.wire import UsedStreamIds
from transports.errors import RpcStatusError, StatusCode

if TYPE_CHECKING:
    from actors.guest.process_io import ProcessIo
    from actors.guest.services.method import Method
    from actors.schemas.oci import LinuxResources, Spec
    from actors.wire.spec import ExitStatus
    from tests.support.doubles.power import Options, Power
    from transports.calls.server import CallContext, Handler

__all__ = ["today"]

VERSION = "4.1.0"
# of the sandbox's ipc namespace
SANDBOX_FILE = "/var/run/sandbox-ns/ipc"
# of the root of control groups v2
UNIFIED_FILE = "/sys/fs/cgroup/cgroup.controllers"
# kept to a call's end, or taken and given back before it waits; the rest is asked without it
HELD = frozenset(
    ("CreateSandbox", "DestroySandbox", "CreateContainer", "StartContainer", "RemoveContainer", "ExecProcess", "SignalProcess",
     "PauseContainer", "ResumeContainer", "UpdateContainer", "CloseStdin", "TtyWinResize", "ListInterfaces", "UpdateInterface",
     "ListRoutes", "UpdateRoutes", "AddARPNeighbors", "OnlineCPUMem", "GetDiagnosticData")
)  # fmt: skip
PASSED = frozenset(("WaitProcess", "ReadStdout", "ReadStderr", "WriteStdin", "StatsContainer", "GetOOMEvent"))
ABSENT = frozenset(("ListProcesses", "StartTracing", "StopTracing"))
# 128 and the number of a real-time signal
REAL_TIME_ENDS = range(128 + 34, 128 + 64 + 1)
# a read that is pending when its process ends
LAST_READ_SECONDS = 0.5
# the answer to DestroySandbox is on its way when the agent ends
ANSWER_SECONDS = 0.05
RLIMITS = frozenset(
    f"RLIMIT_{name}"
    for name in ["AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS", "RTPRIO", "RTTIME", "SIGPENDING", "STACK"]
)  # fmt: skip
FRAME = "{:4}: 0x7f00deadbeef - tokio::runtime::task::harness::Harness<T,S>::poll::h0123456789abcdef\n"
BACKTRACE = "\n\nStack backtrace:\n" + "".join(FRAME.format(number) for number in range(130))


class Panicked(Exception):
    """A handler's: its call is never answered, and the lock is free again."""


class Blocked(Exception):
    """A thread stands still for ever, and has the lock."""


class Lock:
    """One for the whole sandbox. Health and Version are asked without it, while there is another processor (A1, A2)."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._turn = trio.Lock()
        self._blocked = False

    async def __call__(self, handler: Handler, payload: bytes, context: CallContext) -> bytes:
        try:
            decode_request(RPCS[context.method], payload)
        except SchemaError as error:  # A22
            raise RpcStatusError(StatusCode.UNKNOWN, str(error)) from None
        needs = context.method in HELD or context.method in PASSED
        if needs or self._options.one_processor:
            await self._not_blocked()
        try:
            if context.method in HELD:
                async with self._turn:
                    return await self._holding(handler, payload, context)
            if needs:
                async with self._turn:
                    await self._not_blocked()
            return await handler(payload, context)
        except Panicked:
            await trio.sleep_forever()
            raise

    async def _holding(self, handler: Handler, payload: bytes, context: CallContext) -> bytes:
        await self._not_blocked()
        try:
            return await handler(payload, context)
        except Blocked:
            self._blocked = True
            await self._not_blocked()
            raise

    async def _not_blocked(self) -> None:
        if self._blocked:
            await trio.sleep_forever()


class TodaysExecutor(ForgetsAtTheFirstWait, NoConsoleSize, DoubledExecutor):
    """Its states, its ends and its limits."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.roots: dict[str, str] = {}
        self._left_directories: dict[str, None] = {}
        self._still: dict[str, None] = {}
        self._removing: dict[str, None] = {}
        self._untold_oom: str | None = None

    async def create(self, container: str, spec: Spec) -> None:
        if self._left_directories.pop(container, self) is None:  # A6
            raise AgentError("ENOENT: No such file or directory", status="internal")
        if spec.linux is not None and spec.linux.resources is not None:
            spec = msgspec.structs.replace(
                spec, linux=msgspec.structs.replace(spec.linux, resources=_applied(spec.linux.resources))
            )
        try:
            await super().create(container, spec)
        except KatrioError:
            self._left_directories[container] = None
            raise
        self.roots[container] = spec.root.path if spec.root is not None else ""

    async def start(self, container: str) -> None:
        if self.model.container(container).state is not ContainerState.READY:  # A1
            raise Blocked
        await super().start(container)

    async def update(self, container: str, resources: LinuxResources) -> None:
        await super().update(container, _applied(resources))

    async def pause(self, container: str) -> None:
        """What does not run can be paused and resumed (A17); what was killed while it was paused stays so."""
        state = self.model.container(container).state
        if container in self._still:
            raise InvalidTransition(
                "failed to pause container: current status is: Paused", state="paused", verb="pause"
            )
        if state not in (ContainerState.READY, ContainerState.STOPPED):
            await super().pause(container)
        self._still[container] = None

    async def resume(self, container: str) -> None:
        state = self.model.container(container).state
        if container not in self._still:
            raise InvalidTransition(f"container status is: {state}, not paused", state=str(state), verb="resume")
        if state is ContainerState.PAUSED:
            await super().resume(container)
        del self._still[container]

    async def remove(self, container: str) -> None:
        self._removing[container] = None
        try:
            await super().remove(container)
        finally:
            del self._removing[container]
        self._still.pop(container, None)
        self.roots.pop(container, None)

    async def wait(self, container: str, process: str) -> ExitStatus:
        found = self.process(container, process)
        status = await found.wait()
        if container in self._removing or container not in self.model.containers:  # A15
            raise AgentError("Invalid container id", status="internal")
        if status.code in REAL_TIME_ENDS:  # A8
            await trio.sleep_forever()
        await self._forget(container, process or container)
        return status

    async def signal(self, container: str, process: str, signum: int) -> None:
        """To the pid that it had: nothing is thawed for it (A23), and nobody looks whether it has ended (A10)."""
        found = self.process(container, process)
        if not found.ended.is_set():
            found.signal(self.sent_for(signum, found) if process in ("", container) else signum)
            return
        others = [each for each in self._cells[container].processes.values() if not each.ended.is_set()]
        if self.options.reuses_pids and process not in ("", container) and others:
            others[-1].signal(signum)

    async def next_oom(self) -> str:
        """The first is never told, and each later one tells of the one before (A14)."""
        if self.options.unified_groups:
            return await super().next_oom()
        while True:
            told, self._untold_oom = self._untold_oom, await super().next_oom()
            if told is not None:
                return told


def _applied(resources: LinuxResources) -> LinuxResources:
    """Without a limit of processes (A7), and without processors that are not there (A20)."""
    cpu = resources.cpu
    if cpu is not None and cpu.cpus:
        numbers = [int(word) for part in cpu.cpus.split(",") for word in part.split("-") if word.strip().isdigit()]
        if any(number >= (os.cpu_count() or 1) for number in numbers):
            cpu = msgspec.structs.replace(cpu, cpus="")
    return msgspec.structs.replace(resources, pids=None, cpu=cpu)


class TodaysContainers(DuplicateCreateKills, ContainerCalls):
    """Create, and the sandbox."""

    @property
    def _own(self) -> TodaysExecutor:
        assert isinstance(self._executor, TodaysExecutor)
        return self._executor

    async def _create_sandbox(self, request: api.CreateSandboxRequest) -> msgspec.Struct:
        if self._model.sandbox is None:
            return await super()._create_sandbox(request)
        for container, root in self._own.roots.items():  # A4
            wipe(self._own.engine, container, root, self._own.options)
        raise AgentError("EBUSY: Device or resource busy", status="internal")

    async def _destroy_sandbox(self, _: api.DestroySandboxRequest) -> msgspec.Struct:
        answer = await super()._destroy_sandbox(_)
        self._own.end_soon("its sandbox was destroyed", ANSWER_SECONDS)
        return answer

    async def _create(self, request: api.CreateContainerRequest) -> msgspec.Struct:
        if request.OCI is not None:
            process = request.OCI.process or Process(args=(), cwd="/")
            process = msgspec.structs.replace(process, args=process.args or ("sh",))  # A19
            _check_rlimits(process)
            request = msgspec.structs.replace(request, OCI=msgspec.structs.replace(request.OCI, process=process))
        return await super()._create(msgspec.structs.replace(request, string_user=None))

    async def _diagnostic(self, request: api.GetDiagnosticDataRequest) -> msgspec.Struct:
        if request.log_type != "termination_log":
            raise InvalidArgument(f"unsupported log type: {request.log_type}", field="log_type")
        return await super()._diagnostic(request)


def _check_rlimits(process: Process) -> None:
    """Raises: Panicked (A9)."""
    if any(limit.type not in RLIMITS for limit in process.rlimits):
        raise Panicked


class TodaysProcesses(CloseEndsTerminal, EmptyWriteCloses, ProcessCalls):
    """Exec, reads and terminals."""

    async def _exec(self, request: api.ExecProcessRequest) -> msgspec.Struct:
        if request.process is not None:
            _check_rlimits(request.process)
        if self._executor.model.container(request.container_id).state is ContainerState.PAUSED:  # A3
            await trio.sleep_forever()
        return await super()._exec(msgspec.structs.replace(request, string_user=None))

    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        return await self._read(request, super()._read_stdout)

    async def _read_stderr(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        return await self._read(request, super()._read_stderr)

    async def _read(self, request: api.ReadStreamRequest, read: Method) -> msgspec.Struct:
        process = self._executor.process(request.container_id, request.exec_id)
        reply = await (read(request) if process.ended.is_set() else _pending_read(process, request, read))
        if isinstance(reply, api.ReadStreamResponse) and not reply.data and is_terminal(process):  # A18
            raise AgentError("EIO: I/O error", status="internal")
        return reply


async def _pending_read(process: ProcessIo, request: api.ReadStreamRequest, read: Method) -> msgspec.Struct:
    """Half a second after its process has ended it is at its end, whoever holds the pipe (A13)."""
    reply: msgspec.Struct = api.ReadStreamResponse()
    async with open_collapsing_nursery() as nursery:

        async def until_end() -> None:
            await process.ended.wait()
            await trio.sleep(LAST_READ_SECONDS)
            nursery.cancel_scope.cancel()

        nursery.start_soon(until_end)
        reply = await read(request)
        nursery.cancel_scope.cancel()
    return reply


class TodaysGuest(SaysNoWords):
    """What it says of itself and of its network."""

    def __init__(self, options: Options, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._options = options

    async def _volume_stats(self, request: VolumeStatsRequest) -> msgspec.Struct:
        """Of any file: that of the sandbox's ipc namespace, which CreateSandbox mounts, and that of control groups v2 are known."""
        there = {SANDBOX_FILE: self._model.sandbox is not None, UNIFIED_FILE: self._options.unified_groups}
        if request.volume_guest_path not in there:
            return await super()._volume_stats(request)
        if not there[request.volume_guest_path]:
            raise AgentError('Os { code: 2, kind: NotFound, message: "No such file or directory" }', status="INTERNAL")
        return VolumeStatsResponse()

    async def _details(self, request: api.GuestDetailsRequest) -> msgspec.Struct:
        details = api.AgentDetails(version=VERSION, device_handlers=("blk",), storage_handlers=("ephemeral", "local"))
        return api.GuestDetailsResponse(agent_details=details)

    async def _list_interfaces(self, _: net.ListInterfacesRequest) -> msgspec.Struct:
        """A11"""
        found = await self._platform.interfaces()
        return net.Interfaces(
            tuple(
                msgspec.structs.replace(
                    one,
                    IPAddresses=tuple(
                        msgspec.structs.replace(each, family=1 - each.family) for each in one.IPAddresses
                    ),
                )
                for one in found
            )
        )


_BY_CONTAINER = frozenset(
    ("SignalProcess", "WaitProcess", "ReadStdout", "ReadStderr", "CloseStdin", "TtyWinResize", "UpdateContainer",
     "StatsContainer", "PauseContainer", "ResumeContainer")
)  # fmt: skip


def told(method: str, error: KatrioError) -> RpcStatusError:
    """Nearly all is INTERNAL, without details and with a backtrace."""
    code = StatusCode.INTERNAL
    if isinstance(error, Unsupported):
        code = StatusCode.UNIMPLEMENTED
    elif isinstance(error, NotFound) and method != "WriteStdin":
        if "container" not in error.details:
            code = StatusCode.NOT_FOUND
        elif method in _BY_CONTAINER:
            code = StatusCode.INVALID_ARGUMENT
    elif isinstance(error, InvalidTransition) and method == "TtyWinResize":
        return RpcStatusError(StatusCode.UNAVAILABLE, "no tty" + BACKTRACE)
    elif isinstance(error, InvalidArgument) and method == "GetDiagnosticData":
        code = StatusCode.INVALID_ARGUMENT
    return RpcStatusError(code, error.message + BACKTRACE)


def today(power: Power, options: Options) -> Kit:
    """Its parts."""
    return Kit(
        executor=partial(TodaysExecutor, power, options),
        guest=partial(TodaysGuest, options),
        containers=TodaysContainers,
        processes=TodaysProcesses,
        around=Lock(options),
        told=told,
        without=ABSENT,
        version=VERSION,
        rpc=UsedStreamIds,
    )
