"""The kata agent: the agent interface as calls of the Kata agent API, in either of its dialects.

One object is one actor's connection. It handles where the API differs from the interface (an empty exec id
means all, an empty write means end of file, replies consume what they carry) and knows no lifecycle.
`link` dials and calls.
"""

from __future__ import annotations

import signal
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from actors.agents.base import Polls, SandboxAgent
from actors.agents.identity import ASKING_SECONDS, has_unified_groups, identify
from actors.agents.kata.brief import BriefLink
from actors.agents.kata.checks import checked_name, checked_pids, checked_status
from actors.agents.kata.client import KataClient
from actors.agents.kata.config import KataAgentConfig
from actors.agents.kata.ends import poll_by_signal, poll_by_wait, says_ended, until_it_ends
from actors.agents.kata.exits import ExitCodes
from actors.agents.kata.link import open_rpc_link
from actors.agents.kata.reports import (
    api_interface,
    api_route,
    capabilities,
    container_stats,
    guest_details,
    plain_interface,
    plain_route,
)
from actors.agents.kata.spec import (
    COPIED_AS,
    INTERFACE_AS,
    named_as_asked,
    oci_process,
    oci_resources,
    oci_spec,
    string_user,
)
from actors.agents.kinds import AgentKind, Identity
from actors.errors import (
    AgentError,
    AgentProtocolError,
    AlreadyExists,
    GuestDied,
    InvalidArgument,
    InvalidTransition,
    KatrioError,
    NotFound,
    OutcomeUnknown,
    Unsupported,
)
from actors.lifecycle.container import ContainerState
from actors.node.usertable import UserTable, read_user_table
from actors.nurseries import open_collapsing_nursery
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas.resources import OnlineCPUMemRequest
from actors.wire.sandbox_verbs import Checked, Interfaces, Routes
from actors.wire.spec import ExitStatus
from transports.errors import StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.agents.base import Channels
    from actors.agents.kata.rpclink import RpcLink
    from actors.limits import Limits
    from actors.node.users import ResolvedUser
    from actors.wire.reports import Capabilities, ContainerStats, GuestDetails, Interface
    from actors.wire.sandbox_verbs import CopyFile, OnlineCpuMem, ReseedRandom, SetGuestTime, UpdateInterface
    from actors.wire.spec import ContainerSpec, ProcessSpec, SandboxSpec, TerminalSize
    from actors.wire.verbs import Update

__all__ = ["KataAgent", "connect_kata", "identify_kata"]

# the kernel's UTS limit; virtcontainers truncates to it
HOSTNAME_BYTES = 64
# our guest's type of diagnostic data for a container's state
STATE_DIAGNOSTIC = "katrio.state"
# names of a real agent's own directories, beside its containers'; it would remove them with such a container
AGENT_DIRECTORIES = frozenset({"image", "sandbox", "shared"})
# the only place where a Kata agent accepts copied files
SHARED_DIRECTORY = "/run/kata-containers/shared/containers"
_POLLS = {AgentKind.KATA: Polls.SELDOM, AgentKind.KATA_1X: Polls.OFTEN}


class KataAgent(SandboxAgent):
    """See `actors.agents.base.AgentConnection`."""

    guest = "a Kata guest"

    def __init__(
        self,
        open_link: Callable[[], RpcLink],
        kernel_modules: tuple[api.KernelModule, ...] = (),
        identity: Identity | None = None,
        asking_seconds: float = ASKING_SECONDS,
    ) -> None:
        """`identity`: who answers, if already known; `asking_seconds` bound each request to find out."""
        self._open_link = open_link
        self._kernel_modules = kernel_modules
        self._link = open_link()
        # the actor applies its own time limits to every call
        self._client = KataClient(self._link, timeout=None)
        self._exits = ExitCodes()
        self._identity = identity
        self._asking_seconds = asking_seconds
        # users by container, for an agent that does not look them up
        self._users: dict[str, UserTable] = {}
        # we created its sandbox, so we destroy it
        self._made_sandbox = False
        # an init's terminal size, kept until its start: terminals start with another
        self._sizes: dict[str, TerminalSize] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Maintain the link; identifies the agent before it reports started."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._link.run)
            # not a health check: later calls show whether it serves, and every container has a link of its own
            if self._identity is None:
                self._identity = await identify(self._client, seconds=self._asking_seconds)
                checked_name("agent_version", self._identity.version)
            else:
                await self._version()
            self._exits.told_by(self._identity.version)
            task_status.started()

    @property
    def identity(self) -> Identity:
        """Who answers; known once it runs."""
        assert self._identity is not None, "it runs"
        return self._identity

    async def has_unified_groups(self) -> bool | None:
        """Whether its machine has cgroup v2, where today's Kata agent tells."""
        if self.identity.kind is not AgentKind.KATA:
            return None
        return await has_unified_groups(self._client, seconds=self._asking_seconds)

    @property
    def keeps_output_after_wait(self) -> bool:
        """See `actors.agents.base.AgentConnection`: a real agent's wait closes the streams."""
        return self._identity is not None and self._identity.own

    @property
    def tells_ended(self) -> bool:
        """See `actors.agents.base.AgentConnection`."""
        return self._identity is not None and self._identity.own

    @property
    def polls(self) -> Polls:
        """See `actors.agents.base.AgentConnection`."""
        return _POLLS.get(self._identity.kind, Polls.NEVER) if self._identity is not None else Polls.NEVER

    @property
    def spoils_roots(self) -> bool:
        """See `actors.agents.base.SandboxAgent`."""
        return not self.identity.own

    def lease(self) -> KataAgent:
        """See `actors.agents.base.SandboxAgent`: a link of its own, so that losing it affects one actor."""
        return KataAgent(self._open_link, self._kernel_modules, self._identity)

    async def check(self) -> Checked:
        health = await self._client.call(api.CheckRequest())
        return Checked(serving=health.status == api.ServingStatus.SERVING, agent_version=await self._version())

    async def _version(self) -> str:
        version = await self._client.call(api.VersionRequest())
        return checked_name("agent_version", version.agent_version)

    async def disconnect(self) -> None:
        await self._link.disconnect()

    async def capabilities(self) -> Capabilities:
        return capabilities(await self.get_guest_details())

    async def get_guest_details(self) -> GuestDetails:
        request = api.GuestDetailsRequest(mem_block_size=True, mem_hotplug_probe=True)
        return guest_details(await self._client.call(request))

    async def create_sandbox(self, sandbox: str, spec: SandboxSpec) -> None:
        self.identity.check_no_sandbox()
        if self.identity.second_sandbox_destroys and self.identity.sandbox is None:
            # such an agent needs none; a sandbox that is not known to exist is neither created nor destroyed
            if spec.hostname or self._kernel_modules:
                raise Unsupported(
                    f"{self.identity.kind} would not say whether it has a sandbox, and making a second one would remove what "
                    "runs in it: leave hostname and KernelModules out, which a new sandbox alone could have",
                    field="spec.hostname" if spec.hostname else "KernelModules",
                )
            return
        hostname = (spec.hostname or sandbox).encode()[:HOSTNAME_BYTES].decode("utf-8", "ignore")
        request = api.CreateSandboxRequest(hostname=hostname, sandbox_id=sandbox, kernel_modules=self._kernel_modules)
        self._made_sandbox = True
        try:
            await self._client.call(request)
        except AlreadyExists:
            self._made_sandbox = False
            raise

    async def destroy_sandbox(self) -> None:
        if not self._made_sandbox:
            return
        try:
            await self._client.call(api.DestroySandboxRequest())
        except (OutcomeUnknown, GuestDied):
            # a real agent exits while it answers
            return
        if self.identity.kind is AgentKind.KATA:
            await until_it_ends(self._client)

    async def create_container(self, container: str, spec: ContainerSpec, rootfs: str) -> None:
        if container in AGENT_DIRECTORIES and not self.keeps_output_after_wait:
            raise InvalidArgument(f"container id {container!r}: a Kata agent has a directory of that name", field="id")
        if not self.identity.own:
            # before the agent gets the root: later the container could change who a user name is
            self._users[container] = read_user_table(rootfs)
        with named_as_asked("spec"):
            user = self._user(container, spec.process)
            request = api.CreateContainerRequest(
                container_id=container,
                # 1.x takes it for the init's id; today's agent ignores it
                exec_id=container,
                string_user=string_user(spec.process) if self.identity.own else None,
                OCI=oci_spec(spec, rootfs, user),
            )
            await self._client.call(request)
        if not self.identity.own and spec.process.size is not None:
            self._sizes[container] = spec.process.size

    async def _first_size(self, container: str, process: str, size: TerminalSize | None) -> None:
        """Real agents ignore the size in a specification, so it is sent separately, as by Kata's own shim: terminals start with 0x0.

        The process already runs, so errors don't matter, and one that has ended needs no size.
        """
        if size is not None and not self.identity.own:
            with suppress(KatrioError):
                await self.winsize_process(container, process, size)

    def _user(self, container: str, spec: ProcessSpec) -> ResolvedUser | None:
        """Its numeric user ids, for an agent that looks no names up. Raises: InvalidArgument."""
        if self.identity.own or not spec.user:
            return None
        return self._users.get(container, UserTable(missing="the container was made over another link")).resolve(
            spec.user
        )

    async def start_container(self, container: str) -> None:
        await self._client.call(api.StartContainerRequest(container_id=container))
        await self._first_size(container, container, self._sizes.pop(container, None))

    async def remove_container(self, container: str) -> None:
        await self._client.call(api.RemoveContainerRequest(container_id=container))
        self._exits.forget(container)
        self._users.pop(container, None)
        self._sizes.pop(container, None)

    async def exec_process(self, container: str, process: str, spec: ProcessSpec) -> None:
        with named_as_asked("process"):
            request = api.ExecProcessRequest(
                container_id=container,
                exec_id=process,
                string_user=string_user(spec) if self.identity.own else None,
                process=oci_process(spec, self._user(container, spec)),
            )
            await self._client.call(request)
        await self._first_size(container, process, spec.size)

    async def signal_process(self, container: str, process: str, signum: int) -> None:
        request = api.SignalProcessRequest(container_id=container, exec_id=process, signal=signum)
        try:
            with self._exits.killing(container, process) if signum == signal.SIGKILL else nullcontext():
                await self._client.call(request)
        except KatrioError as error:
            if not says_ended(error):
                raise
            raise NotFound(f"process {process!r} has ended: {error.message}", process=process) from None

    async def kill_all(self, container: str) -> None:
        # for today's agent only SIGKILL with an empty id means all (kata-containers #13152)
        request = api.SignalProcessRequest(container_id=container, exec_id="", signal=signal.SIGKILL)
        try:
            with self._exits.killing(container, None):
                await self._client.call(request)
        except NotFound:
            raise
        except KatrioError as error:
            if not says_ended(error):
                raise

    async def winsize_process(self, container: str, process: str, size: TerminalSize) -> None:
        request = api.TtyWinResizeRequest(container_id=container, exec_id=process, row=size.rows, column=size.columns)
        try:
            await self._client.call(request)
        except AgentError as error:
            if error.details.get("status") != StatusCode.UNAVAILABLE.name:
                raise
            # today's agent uses one code for a process without a terminal and for a missing process
            if "no tty" in error.message:
                raise InvalidTransition(f"winsize: process {process!r} has no terminal", verb="winsize") from None
            raise NotFound(f"winsize: process {process!r}: {error.message}", process=process) from None

    async def write_stdin(self, container: str, process: str, data: bytes) -> int:
        request = api.WriteStreamRequest(container_id=container, exec_id=process, data=data)
        written = (await self._client.call(request)).len
        if written > len(data):
            raise AgentProtocolError(f"WriteStdin: the agent took {written} of {len(data)} bytes")
        return written

    async def close_stdin(self, container: str, process: str) -> None:
        await self._client.call(api.CloseStdinRequest(container_id=container, exec_id=process))

    async def read_stdout(self, container: str, process: str, limit: int) -> bytes:
        request = api.ReadStdoutRequest(container_id=container, exec_id=process, len=limit)
        return _within("ReadStdout", (await self._client.call(request)).data, limit)

    async def read_stderr(self, container: str, process: str, limit: int) -> bytes:
        request = api.ReadStderrRequest(container_id=container, exec_id=process, len=limit)
        return _within("ReadStderr", (await self._client.call(request)).data, limit)

    async def wait_process(self, container: str, process: str) -> ExitStatus:
        request = api.WaitProcessRequest(container_id=container, exec_id=process)
        told = checked_status((await self._client.call(request)).status)
        return ExitStatus(self._exits.code(container, process, told))

    async def poll_process(self, container: str, process: str) -> ExitStatus | None:
        request = api.WaitProcessRequest(container_id=container, exec_id=process)
        if self.polls is Polls.OFTEN:
            told = await poll_by_signal(self._client, request)
        else:
            link = self._open_link()
            async with open_collapsing_nursery() as nursery:
                await nursery.start(link.run)
                told = await poll_by_wait(KataClient(link, timeout=None), request)
                nursery.cancel_scope.cancel()
        return None if told is None else ExitStatus(self._exits.code(container, process, checked_status(told)))

    async def pause_container(self, container: str) -> None:
        await self._client.call(api.PauseContainerRequest(container_id=container))

    async def resume_container(self, container: str) -> None:
        await self._client.call(api.ResumeContainerRequest(container_id=container))

    async def container_state(self, container: str) -> ContainerState | None:
        request = api.GetDiagnosticDataRequest(log_type=STATE_DIAGNOSTIC, container_id=container)
        try:
            told = (await self._client.call(request)).data
        except (InvalidArgument, Unsupported):
            # a real agent has one type of diagnostic data, the termination log
            return None
        try:
            return ContainerState(told)
        except ValueError:
            raise AgentProtocolError(f"GetDiagnosticData: {told[:40]!r} is no state of a container") from None

    async def update_container(self, container: str, args: Update) -> None:
        request = api.UpdateContainerRequest(container_id=container, resources=oci_resources(args.resources))
        with named_as_asked("resources"):
            await self._client.call(request)

    async def stats_container(self, container: str) -> ContainerStats:
        request = api.StatsContainerRequest(container_id=container)
        return container_stats(await self._client.call(request))

    async def list_pids(self, container: str) -> tuple[int, ...]:
        return checked_pids(await self._list(container, "json", ()))

    async def list_table(self, container: str, args: tuple[str, ...]) -> str:
        return (await self._list(container, "table", args)).decode("utf-8", "replace")

    async def _list(self, container: str, form: str, args: tuple[str, ...]) -> bytes:
        # 1.x only: today's agent answers UNIMPLEMENTED
        request = api.ListProcessesRequest(container_id=container, format=form, args=args)
        return (await self._client.call(request)).process_list

    async def next_oom(self) -> str:
        return (await self._client.call(api.GetOOMEventRequest())).container_id

    async def online_cpu_mem(self, args: OnlineCpuMem) -> None:
        request = OnlineCPUMemRequest(wait=args.wait, nb_cpus=args.cpus, cpu_only=args.cpu_only)
        await self._client.call(request)

    async def set_guest_time(self, args: SetGuestTime) -> None:
        await self._client.call(api.SetGuestDateTimeRequest(Sec=args.seconds, Usec=args.microseconds))

    async def reseed_random(self, args: ReseedRandom) -> None:
        await self._client.call(api.ReseedRandomDevRequest(data=args.data))

    async def copy_file(self, args: CopyFile) -> None:
        request = api.CopyFileRequest(
            path=args.path if args.path.startswith("/") else f"{SHARED_DIRECTORY}/{args.path}",
            file_size=args.size,
            file_mode=args.mode,
            dir_mode=args.directory_mode,
            uid=args.uid,
            gid=args.gid,
            offset=args.offset,
            data=args.data,
        )
        with named_as_asked("path", COPIED_AS):
            await self._client.call(request)

    async def list_interfaces(self) -> Interfaces:
        found = await self._client.call(net.ListInterfacesRequest())
        return Interfaces(tuple(plain_interface(one) for one in found.Interfaces))

    async def update_interface(self, args: UpdateInterface) -> Interface:
        request = net.UpdateInterfaceRequest(interface=api_interface(args.interface))
        with named_as_asked("interface", INTERFACE_AS):
            return plain_interface(await self._client.call(request))

    async def list_routes(self) -> Routes:
        return _plain_routes(await self._client.call(net.ListRoutesRequest()))

    async def update_routes(self, args: Routes) -> Routes:
        request = net.UpdateRoutesRequest(routes=net.Routes(tuple(api_route(route) for route in args.routes)))
        with named_as_asked("routes", {}):
            return _plain_routes(await self._client.call(request))


def _within(rpc: str, data: bytes, limit: int) -> bytes:
    if len(data) > limit:
        raise AgentProtocolError(f"{rpc}: the agent sent {len(data)} bytes where {limit} were asked for")
    return data


def _plain_routes(routes: net.Routes) -> Routes:
    return Routes(tuple(plain_route(route) for route in routes.Routes))


def connect_kata(channels: Channels, limits: Limits, config: KataAgentConfig | None = None) -> KataAgent:
    """The factory in the agents table."""
    config = config or KataAgentConfig()
    if config.dial_timeout:
        limits = replace(limits, guest_start_seconds=float(config.dial_timeout))

    def open_link() -> RpcLink:
        link = open_rpc_link(channels.agent, limits, config.dialect)
        return link if config.long_live_conn else BriefLink(link)

    modules = (text.split() for text in config.kernel_modules)
    loaded = tuple(api.KernelModule(name, tuple(rest)) for name, *rest in modules)
    # the time for an agent that is starting up, but no less than for a call to a running one
    return KataAgent(open_link, loaded, asking_seconds=max(limits.guest_start_seconds, ASKING_SECONDS))


async def identify_kata(
    channels: Channels, limits: Limits, config: KataAgentConfig | None = None
) -> tuple[Identity, bool | None]:
    """Who answers, and whether its machine has cgroup v2, if known; over a temporary link.

    Raises: as `actors.agents.identity.identify`.
    """
    async with open_collapsing_nursery() as nursery:
        agent = connect_kata(channels, limits, config)
        await nursery.start(agent.run)
        unified = await agent.has_unified_groups()
        nursery.cancel_scope.cancel()
    return agent.identity, unified
