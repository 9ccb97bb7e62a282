"""Defects of processes: exec, signals, waits and exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio

from actors.errors import AgentError, InvalidArgument, InvalidTransition, NotFound
from actors.guest.executor import Executor
from actors.guest.model import GuestModel
from actors.guest.services.kata_processes import ProcessCalls
from actors.lifecycle.container import ContainerState
from actors.schemas.agent import Empty, WaitProcessResponse
from actors.simulation.engine import SimulatedEngine
from actors.wire.spec import ExitStatus
from tests.support.planted.defect import Defect, Kit

if TYPE_CHECKING:
    from actors.schemas import agent as api
    from actors.schemas.oci import Process
    from actors.simulation.engine_process import SimulatedProcess

__all__ = ["DEFECTS"]

SIGKILL, SIGTERM = 9, 15


class NamelessSignalKillsAll(ProcessCalls):
    """An empty exec id is the whole container, whatever the signal."""

    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        if not request.exec_id:
            await self._executor.kill_all(request.container_id)
            return Empty()
        return await super()._signal(request)


class TermReachesAll(ProcessCalls):
    """A signal to the init is delivered to every process beside it."""

    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        if request.exec_id in ("", request.container_id) and request.signal != SIGKILL:
            for process in list(self._executor.model.container(request.container_id).processes):
                await self._executor.signal(request.container_id, process, request.signal)
            return Empty()
        return await super()._signal(request)


class UnknownProcessIsInit(ProcessCalls):
    """The process id of a signal is not looked at where it names nothing."""

    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        try:
            return await super()._signal(request)
        except NotFound:
            await self._executor.signal(request.container_id, request.container_id, request.signal)
            return Empty()


class SignalsGoNowhere(ProcessCalls):
    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        if request.signal != SIGKILL:
            self._executor.process(request.container_id, request.exec_id)
            return Empty()
        return await super()._signal(request)


class SignalsBecomeKills(ProcessCalls):
    """Every signal that could end a process does, handler or none."""

    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        return await super()._signal(msgspec.structs.replace(request, signal=SIGKILL if request.signal else 0))


class SignalOfEndedFails(ProcessCalls):
    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        if self._executor.process(request.container_id, request.exec_id).ended.is_set():
            raise AgentError("ESRCH: No such process", status="internal")
        return await super()._signal(request)


class AnySignalNumber(ProcessCalls):
    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        try:
            return await super()._signal(request)
        except InvalidArgument:
            return Empty()


class ExecIdUsedTwice(ProcessCalls):
    """A second exec of the same id takes the first one's place."""

    async def _exec(self, request: api.ExecProcessRequest) -> msgspec.Struct:
        entry = self._executor.model.container(request.container_id)
        if request.exec_id in entry.processes:
            del entry.processes[request.exec_id]
        return await super()._exec(request)


class FirstEndCounts(GuestModel):
    """Of two processes with one id; the other's end concerns nobody, not even once the container is gone."""

    def exited(self, container: str, process: str, status: ExitStatus) -> None:
        entry = self.containers.get(container)
        known = None if entry is None else entry.processes.get(process)
        if known is not None and known.exit is None:
            super().exited(container, process, status)


class ExecOfEndedAccepted(ProcessCalls):
    async def _exec(self, request: api.ExecProcessRequest) -> msgspec.Struct:
        if self._executor.model.container(request.container_id).state is ContainerState.STOPPED:
            return Empty()
        return await super()._exec(request)


class ExecOfPausedFreezes(ProcessCalls):
    """The child is born frozen; the agent waits for its first word, with the lock that every exec and signal needs."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._turn = trio.Lock()

    async def _exec(self, request: api.ExecProcessRequest) -> msgspec.Struct:
        async with self._turn:
            while self._executor.model.container(request.container_id).state is ContainerState.PAUSED:  # noqa: ASYNC110  # a state machine tells nobody
                await trio.sleep(0.1)
            return await super()._exec(request)

    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        async with self._turn:
            return await super()._signal(request)


class MissingProgramHangs(SimulatedEngine):
    async def exec(self, container: str, process: Process) -> SimulatedProcess:
        try:
            return await super().exec(container, process)
        except InvalidArgument:
            await trio.sleep_forever()
            raise


class MissingProgramAccepted(ProcessCalls):
    async def _exec(self, request: api.ExecProcessRequest) -> msgspec.Struct:
        try:
            return await super()._exec(request)
        except InvalidArgument:
            return Empty()


class EnvironmentDropped(SimulatedEngine):
    async def exec(self, container: str, process: Process) -> SimulatedProcess:
        return await super().exec(container, msgspec.structs.replace(process, env=()))


class DirectoryIgnored(SimulatedEngine):
    async def exec(self, container: str, process: Process) -> SimulatedProcess:
        return await super().exec(container, msgspec.structs.replace(process, cwd="/"))


class UserIgnored(SimulatedEngine):
    async def exec(self, container: str, process: Process) -> SimulatedProcess:
        return await super().exec(container, msgspec.structs.replace(process, user=None))


class CodesOfSignalsAreRaw(Executor):
    """Death by signal N is told as N."""

    async def wait(self, container: str, process: str) -> ExitStatus:
        code = (await super().wait(container, process)).code
        return ExitStatus(code - 128 if code > 128 else code)


class EveryCodeIsZero(Executor):
    async def wait(self, container: str, process: str) -> ExitStatus:
        await super().wait(container, process)
        return ExitStatus(0)


class FailureIsOne(Executor):
    """Whatever is not success is told as 1."""

    async def wait(self, container: str, process: str) -> ExitStatus:
        return ExitStatus(min((await super().wait(container, process)).code, 1))


class WaitDoesNotWait(ProcessCalls):
    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        self._executor.process(request.container_id, request.exec_id)
        return WaitProcessResponse(status=0)


class SecondWaitFails(ProcessCalls):
    """The entry goes with the first answer."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._told: dict[tuple[str, str], None] = {}

    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        key = request.container_id, request.exec_id
        if key in self._told:
            raise NotFound("no such process")
        told = await super()._wait(request)
        self._told[key] = None
        return told


class OneWaiterIsTold(ProcessCalls):
    """The code goes through a channel, and one waiter takes it."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._taken: dict[tuple[str, str], None] = {}

    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        key = request.container_id, request.exec_id
        told = await super()._wait(request)
        if key in self._taken:
            await trio.sleep_forever()
        self._taken[key] = None
        return told


class CancelledWaiterForgets(ProcessCalls):
    """One that gives up takes the entry along."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._forgotten: dict[tuple[str, str], None] = {}

    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        key = request.container_id, request.exec_id
        answered = False
        try:
            told = await super()._wait(request)
            answered = True
        finally:
            if not answered:
                self._forgotten[key] = None
        if key in self._forgotten:
            raise NotFound("no such process")
        return told


class WaitOfPausedRefused(ProcessCalls):
    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        if self._executor.model.container(request.container_id).state is ContainerState.PAUSED:
            raise InvalidTransition("impossible to wait", state="paused", verb="wait")
        return await super()._wait(request)


class RemoveDuringWaitFails(ProcessCalls):
    """Who waits for what is removed meanwhile is told of an invalid id."""

    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        told = await super()._wait(request)
        await trio.sleep(0.05)
        if request.container_id not in self._executor.model.containers:
            raise AgentError("Invalid container id", status="internal")
        return told


class WaitNeedsReaders(ProcessCalls):
    """A wait is answered once its output was read to its end: whoever holds the pipe holds the wait."""

    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        process = self._executor.process(request.container_id, request.exec_id)
        told = await super()._wait(request)
        while not process.read_to_end:  # noqa: ASYNC110  # a reader tells nobody
            await trio.sleep(0.05)
        return told


_KATA_AGENT = "kata-agent (Rust), src/rpc.rs"

DEFECTS = (
    Defect(
        "an empty exec id kills the container",
        "kata-containers #2001",
        Kit(processes=NamelessSignalKillsAll),
        ("signal.term-without-exec-id-spares-execs",),
    ),
    Defect(
        "a signal to the init reaches all",
        "kata-containers #13152",
        Kit(processes=TermReachesAll),
        ("signal.term-without-exec-id-spares-execs",),
    ),
    Defect(
        "an unknown process is the init",
        "hyperstart_agent.go signalProcess",
        Kit(processes=UnknownProcessIsInit),
        ("signal.unknown-exec-refused",),
    ),
    Defect("signals go nowhere", "virtcontainers' noop agent", Kit(processes=SignalsGoNowhere), ("signal.handled",)),
    Defect(
        "every signal kills",
        "kata-agent escalates TERM without a handler",
        Kit(processes=SignalsBecomeKills),
        ("signal.handled",),
    ),
    Defect(
        "a signal to an ended process fails",
        "kata-containers #3874",
        Kit(processes=SignalOfEndedFails),
        ("signal.ended-before-wait",),
    ),
    Defect(
        "any signal number is accepted",
        "hyperstart's SIGNALPROCESS",
        Kit(processes=AnySignalNumber),
        ("signal.no-such-number-refused",),
    ),
    Defect(
        "an exec id is used twice",
        "kata-agent before 5f08cc75b3",
        Kit(model=FirstEndCounts, processes=ExecIdUsedTwice),
        ("exec.duplicate-refused",),
    ),
    Defect(
        "exec into an ended container is accepted",
        "virtcontainers' noop agent",
        Kit(processes=ExecOfEndedAccepted),
        ("exec.stopped-rejected",),
    ),
    Defect(
        "exec into a paused container freezes",
        "rustjail/src/container.rs start",
        Kit(processes=ExecOfPausedFreezes),
        ("exec.paused-rejected", "race.exec-of-paused"),
    ),
    Defect(
        "exec of a missing program hangs",
        "kata-containers #8026",
        Kit(engine=MissingProgramHangs),
        ("exec.missing-program-told",),
    ),
    Defect(
        "exec of a missing program is accepted",
        "kata-containers #5724",
        Kit(processes=MissingProgramAccepted),
        ("exec.missing-program-told",),
    ),
    Defect(
        "the environment is dropped",
        "virtcontainers' Cmd conversion",
        Kit(engine=EnvironmentDropped),
        ("exec.environment-and-directory",),
    ),
    Defect(
        "the working directory is ignored",
        "virtcontainers' Cmd conversion",
        Kit(engine=DirectoryIgnored),
        ("exec.environment-and-directory",),
    ),
    Defect("the user is ignored", "virtcontainers' Cmd conversion", Kit(engine=UserIgnored), ("exec.user",)),
    Defect(
        "death by a signal has the raw number",
        "kata-containers #13251",
        Kit(executor=CodesOfSignalsAreRaw),
        ("wait.signal-code",),
    ),
    Defect(
        "every exit code is 0",
        "virtcontainers' hyperstart agent",
        Kit(executor=EveryCodeIsZero),
        ("wait.exit-code",),
    ),
    Defect("every failure is 1", "an agent that keeps a boolean", Kit(executor=FailureIsOne), ("wait.exit-code",)),
    Defect(
        "wait does not wait",
        "virtcontainers' noop agent",
        Kit(processes=WaitDoesNotWait),
        ("wait.many-waiters",),
    ),
    Defect(
        "a second wait finds nothing",
        f"{_KATA_AGENT} do_wait_process",
        Kit(processes=SecondWaitFails),
        ("wait.again",),
    ),
    Defect("one waiter is told", "virtcontainers rt#1131", Kit(processes=OneWaiterIsTold), ("wait.many-waiters",)),
    Defect(
        "a waiter that gives up forgets",
        f"{_KATA_AGENT} do_wait_process",
        Kit(processes=CancelledWaiterForgets),
        ("wait.a-waiter-leaves",),
    ),
    Defect(
        "wait for a paused container is refused",
        "virtcontainers container.go wait",
        Kit(processes=WaitOfPausedRefused),
        ("wait.while-paused",),
    ),
    Defect(
        "remove during a wait is its failure",
        f"{_KATA_AGENT} do_wait_process",
        Kit(processes=RemoveDuringWaitFails),
        ("remove.answers-waiters",),
    ),
    Defect(
        "wait needs its output read",
        "kata-containers #1160, agent #370",
        Kit(processes=WaitNeedsReaders),
        ("wait.grandchild-holds-output",),
    ),
)
