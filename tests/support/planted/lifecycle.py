"""Defects of containers and sandboxes: create, start, pause, remove, destroy, and what is counted of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from actors.errors import AgentError, AlreadyExists, InvalidTransition, KatrioError, NotFound
from actors.guest.executor import Executor
from actors.guest.model import GuestModel
from actors.guest.services.kata_containers import ContainerCalls
from actors.guest.services.kata_processes import ProcessCalls
from actors.lifecycle.container import ContainerState
from actors.schemas.agent import Empty, OOMEvent
from actors.schemas.stats import CgroupStats
from actors.simulation.engine import SimulatedEngine
from tests.support.planted.defect import Defect, Kit

if TYPE_CHECKING:
    import msgspec

    from actors.schemas import agent as api
    from actors.schemas.oci import LinuxResources, Process, Spec
    from actors.wire.spec import ExitStatus

__all__ = ["DEFECTS"]

PENDING_SECONDS = 0.1


class _Stuck(Executor):
    """A lock that most of what changes something needs."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.turn = trio.Lock()

    async def create(self, container: str, spec: Spec) -> None:
        async with self.turn:
            await super().create(container, spec)

    async def exec(self, container: str, process: str, document: Process) -> None:
        async with self.turn:
            await super().exec(container, process, document)


class CreateOutlivesSandbox(Executor):
    """The sandbox is destroyed while a create is under way, which goes on as if nothing were."""

    async def create(self, container: str, spec: Spec) -> None:
        await trio.sleep(PENDING_SECONDS)
        await super().create(container, spec)


class SecondStartFreezes(_Stuck):
    """A start of what was started opens a fifo that nobody will ever read, under the lock."""

    async def start(self, container: str) -> None:
        async with self.turn:
            if self.model.container(container).state is not ContainerState.READY:
                await trio.sleep_forever()
            await super().start(container)


class SecondStartAccepted(ContainerCalls):
    async def _start(self, request: api.StartContainerRequest) -> msgspec.Struct:
        if self._executor.model.container(request.container_id).state is ContainerState.RUNNING:
            return Empty()
        return await super()._start(request)


class DeadInitStarts(ContainerCalls):
    """A container that was killed before its start is started, and nobody says no."""

    async def _start(self, request: api.StartContainerRequest) -> msgspec.Struct:
        if self._executor.model.container(request.container_id).state is ContainerState.STOPPED:
            return Empty()
        return await super()._start(request)


class DuplicateCreateKills(ContainerCalls):
    """The loser's rollback takes the winner along."""

    async def _create(self, request: api.CreateContainerRequest) -> msgspec.Struct:
        try:
            return await super()._create(request)
        except AlreadyExists:
            await self._executor.remove(request.container_id)
            raise AgentError("exec fifo exists", status="internal") from None


class DuplicateCreateAccepted(ContainerCalls):
    async def _create(self, request: api.CreateContainerRequest) -> msgspec.Struct:
        if request.container_id in self._executor.model.containers:
            return Empty()
        return await super()._create(request)


class FailedCreateKeepsId(Executor):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._taken: dict[str, None] = {}

    async def create(self, container: str, spec: Spec) -> None:
        if container in self._taken:
            raise AlreadyExists(f"create of container {container!r}: its directory exists")
        try:
            await super().create(container, spec)
        except KatrioError:
            self._taken[container] = None
            raise


class CutCreateLeaks(Executor):
    """The client goes while its create is under way: the child stays, and its name with it, for ever."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._taken: dict[str, None] = {}

    async def create(self, container: str, spec: Spec) -> None:
        if container in self._taken:
            raise AgentError("exec fifo exists", status="internal")
        self._taken[container] = None
        await trio.sleep(0.02)
        del self._taken[container]
        await super().create(container, spec)


class RemovedIdStaysTaken(Executor):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._taken: dict[str, None] = {}

    async def create(self, container: str, spec: Spec) -> None:
        if container in self._taken:
            raise AlreadyExists(f"create of container {container!r}: it exists")
        await super().create(container, spec)

    async def remove(self, container: str) -> None:
        await super().remove(container)
        self._taken[container] = None


class RemoveOfUnknownAccepted(ContainerCalls):
    async def _remove(self, request: api.RemoveContainerRequest) -> msgspec.Struct:
        try:
            return await super()._remove(request)
        except NotFound:
            return Empty()


class RemoveOfEndedFails(ContainerCalls):
    async def _remove(self, request: api.RemoveContainerRequest) -> msgspec.Struct:
        if self._executor.model.container(request.container_id).state is ContainerState.STOPPED:
            raise AgentError("Invalid container id", status="internal")
        return await super()._remove(request)


class SecondSandboxWipes(ContainerCalls):
    """A second CreateSandbox deletes the bundles of what runs."""

    async def _create_sandbox(self, request: api.CreateSandboxRequest) -> msgspec.Struct:
        await self._executor.destroy()
        return await super()._create_sandbox(request)


class SecondDestroyFails(ContainerCalls):
    async def _destroy_sandbox(self, _: api.DestroySandboxRequest) -> msgspec.Struct:
        if self._executor.model.sandbox is None:
            raise AgentError("failed to get sandbox sender channel", status="internal")
        return await super()._destroy_sandbox(_)


class AnyId(GuestModel):
    """Ids are not looked at."""

    def check_id(self, value: str, what: str) -> None:
        return


class PauseDoesNothing(SimulatedEngine):
    async def pause(self, container: str) -> None:
        await trio.lowlevel.checkpoint()


class ResumeDoesNothing(SimulatedEngine):
    async def resume(self, container: str) -> None:
        await trio.lowlevel.checkpoint()


class PauseAnything(ContainerCalls):
    async def _pause(self, request: api.PauseContainerRequest) -> msgspec.Struct:
        try:
            return await super()._pause(request)
        except InvalidTransition:
            return Empty()


class ResumeAnything(ContainerCalls):
    async def _resume(self, request: api.ResumeContainerRequest) -> msgspec.Struct:
        try:
            return await super()._resume(request)
        except InvalidTransition:
            return Empty()


class KilledStaysPaused(GuestModel):
    """Kill-all thaws, and the state never leaves paused: a resume works on corpses."""

    def exited(self, container: str, process: str, status: ExitStatus) -> None:
        entry = self.container(container)
        paused = entry.state is ContainerState.PAUSED
        super().exited(container, process, status)
        if paused and process == container:
            entry.state = ContainerState.PAUSED


class ResumedCorpses(SimulatedEngine):
    async def resume(self, container: str) -> None:
        if self.count_processes(container):
            await super().resume(container)


class PausedKillWaits(ProcessCalls):
    """SIGKILL to a frozen init is kept until somebody thaws it."""

    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        container = self._executor.model.container(request.container_id)
        if container.state is ContainerState.PAUSED and request.exec_id:
            self._executor.process(request.container_id, request.exec_id).signal(request.signal)
            return Empty()
        return await super()._signal(request)


class PausedKillAllWaits(ProcessCalls):
    """So is SIGKILL to all."""

    async def _signal(self, request: api.SignalProcessRequest) -> msgspec.Struct:
        container = self._executor.model.container(request.container_id)
        if container.state is ContainerState.PAUSED:
            for process in list(container.processes):
                self._executor.process(request.container_id, process).signal(request.signal)
            return Empty()
        return await super()._signal(request)


class StatsOfZeros(SimulatedEngine):
    async def stats(self, container: str) -> CgroupStats:
        await trio.lowlevel.checkpoint()
        return CgroupStats()


class StatsBlockKills(_Stuck):
    """A slow read of a control group holds the lock that a kill needs."""

    async def stats(self, container: str) -> CgroupStats:
        async with self.turn:
            await trio.sleep(30)
            return await super().stats(container)

    async def kill_all(self, container: str) -> None:
        async with self.turn:
            await super().kill_all(container)

    async def signal(self, container: str, process: str, signum: int) -> None:
        async with self.turn:
            self.process(container, process).signal(signum)


class UpdateDoesNothing(SimulatedEngine):
    async def update(self, container: str, resources: LinuxResources) -> None:
        await trio.lowlevel.checkpoint()


class UpdateForgetsWhatIsNotNamed(SimulatedEngine):
    """Limits that an update does not name are lifted."""

    async def update(self, container: str, resources: LinuxResources) -> None:
        found = self._containers[container].container
        found.memory_limit, found.process_limit = 1 << 40, None
        await super().update(container, resources)


class ListsNobody(SimulatedEngine):
    async def list_pids(self, container: str) -> tuple[int, ...]:
        await super().list_pids(container)
        return ()


class ListsEverybody(SimulatedEngine):
    """The processes of all containers."""

    async def list_pids(self, container: str) -> tuple[int, ...]:
        found: tuple[int, ...] = ()
        for name in list(self._containers):
            found += await super().list_pids(name)
        return tuple(sorted(found))


class OomEventsWithoutEnd(ContainerCalls):
    """With nothing to tell it answers an empty name, at once."""

    async def _next_oom(self, _: api.GetOOMEventRequest) -> msgspec.Struct:
        await trio.lowlevel.checkpoint()
        return OOMEvent(container_id="")


_KATA_AGENT = "kata-agent (Rust), src/rpc.rs"

DEFECTS = (
    Defect(
        "a pending create outlives its sandbox",
        "virtcontainers: a create in the guest ends after the teardown has begun",
        Kit(executor=CreateOutlivesSandbox),
        ("sandbox.destroy-meets-create",),
    ),
    Defect(
        "a second start freezes the agent",
        f"{_KATA_AGENT} do_start_container",
        Kit(executor=SecondStartFreezes),
        ("start.twice-refused", "start.after-kill-refused"),
    ),
    Defect(
        "a second start is accepted",
        "virtcontainers' noop agent",
        Kit(containers=SecondStartAccepted),
        ("start.twice-refused",),
    ),
    Defect(
        "a killed container starts",
        "hyperstart_agent.go signalProcess",
        Kit(containers=DeadInitStarts),
        ("start.after-kill-refused",),
    ),
    Defect(
        "a duplicate create kills the first",
        f"{_KATA_AGENT} do_create_container",
        Kit(containers=DuplicateCreateKills),
        ("create.duplicate-refused", "race.creates"),
    ),
    Defect(
        "a duplicate create is accepted",
        "virtcontainers' noop agent",
        Kit(containers=DuplicateCreateAccepted),
        ("create.duplicate-refused",),
    ),
    Defect(
        "a failed create keeps the id",
        "kata-containers #4749",
        Kit(executor=FailedCreateKeepsId),
        ("create.missing-program-refused",),
    ),
    Defect(
        "a create whose client goes leaks",
        f"{_KATA_AGENT} with ttrpc-rust",
        Kit(executor=CutCreateLeaks),
        ("race.create-cut",),
    ),
    Defect(
        "a removed id stays taken",
        "kata-containers #4749",
        Kit(executor=RemovedIdStaysTaken),
        ("remove.ends-and-frees",),
    ),
    Defect(
        "remove of nothing is accepted",
        "virtcontainers' noop agent",
        Kit(containers=RemoveOfUnknownAccepted),
        ("remove.unknown-refused",),
    ),
    Defect(
        "remove of an ended container fails",
        "kata-agent 1.x, grpc.go",
        Kit(containers=RemoveOfEndedFails),
        ("remove.stopped",),
    ),
    Defect(
        "a second sandbox wipes the first",
        f"{_KATA_AGENT} create_sandbox",
        Kit(containers=SecondSandboxWipes),
        ("sandbox.second-refused",),
    ),
    Defect(
        "a second destroy fails",
        f"{_KATA_AGENT} destroy_sandbox",
        Kit(containers=SecondDestroyFails),
        ("sandbox.destroy-ends-containers",),
    ),
    Defect("any id is taken", "agent-side paths built of ids", Kit(model=AnyId), ("create.parent-in-id-refused",)),
    Defect(
        "pause does nothing", "virtcontainers' hyperstart agent", Kit(engine=PauseDoesNothing), ("pause.stands-still",)
    ),
    Defect(
        "resume does nothing",
        "virtcontainers' hyperstart agent",
        Kit(engine=ResumeDoesNothing),
        ("pause.stands-still",),
    ),
    Defect("pause of anything is accepted", "runtime-rs", Kit(containers=PauseAnything), ("pause.created-refused",)),
    Defect("resume of anything is accepted", "runtime-rs", Kit(containers=ResumeAnything), ("resume.running-refused",)),
    Defect(
        "a killed container stays paused",
        f"{_KATA_AGENT} do_signal_process",
        Kit(model=KilledStaysPaused, engine=ResumedCorpses),
        ("resume.after-kill-refused", "race.kill-all-of-paused"),
    ),
    Defect(
        "SIGKILL to a paused init waits",
        f"{_KATA_AGENT} do_signal_process, cgroup v1",
        Kit(processes=PausedKillWaits),
        ("pause.kill-works",),
    ),
    Defect(
        "SIGKILL to all of a paused one waits",
        "kata-agent 1.x #252",
        Kit(processes=PausedKillAllWaits),
        ("race.kill-all-of-paused",),
    ),
    Defect("counters are zeros", "virtcontainers' hyperstart agent", Kit(engine=StatsOfZeros), ("stats.memory",)),
    Defect(
        "counting blocks a kill", "kata-containers #13452", Kit(executor=StatsBlockKills), ("race.stats-meet-kill",)
    ),
    Defect(
        "update does nothing",
        "virtcontainers' hyperstart agent",
        Kit(engine=UpdateDoesNothing),
        ("update.memory-limit",),
    ),
    Defect(
        "update lifts what it does not name",
        f"{_KATA_AGENT} update_container replaces",
        Kit(engine=UpdateForgetsWhatIsNotNamed),
        ("update.memory-alone",),
    ),
    Defect("no process is listed", "virtcontainers' noop agent", Kit(engine=ListsNobody), ("processes.pids",)),
    Defect(
        "every container's processes are listed",
        "kata-agent 1.x: ps of the guest",
        Kit(engine=ListsEverybody),
        ("processes.pids",),
    ),
    Defect(
        "memory kills are told without end",
        "kata-containers #4376",
        Kit(containers=OomEventsWithoutEnd),
        ("race.oom-poll",),
    ),
)
