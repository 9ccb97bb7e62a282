"""A Kata agent under test: raw RPCs over a case's own links, and containers that are removed after it.

`Kata.call` makes any RPC of the API; `kata_container` has shortcuts for containers and processes. The specifications
are accepted by every Kata agent: today's, 1.x, and ours. Assertions are in `expect`.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from actors.agents.identity import identify
from actors.agents.kata.client import KataClient
from actors.agents.kata.link import open_rpc_link
from actors.agents.kata.spec import oci_spec
from actors.agents.kinds import AgentKind, Identity
from actors.conformance.case import FallsShort, Hung
from actors.conformance.expect import SHOWN_BYTES, is_loss
from actors.conformance.kata_calls import KataCalls
from actors.conformance.kata_container import Container
from actors.conformance.subject import REACHED_SECONDS, reaching, target_limits
from actors.errors import (
    AgentProtocolError,
    AgentUnreachable,
    AlreadyExists,
    Expired,
    InvalidArgument,
    KatrioError,
    NotFound,
    Unsupported,
)
from actors.node.protocols import GuestProtocol
from actors.nurseries import open_collapsing_nursery
from actors.schemas.oci import Mount
from actors.schemas.rpcs import RPCS
from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec, ResourceSpec, TerminalSize
from actors.words import Dialect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from actors.agents.kata.rpclink import RpcLink
    from actors.conformance.findings import Findings
    from actors.conformance.subject import Roots
    from actors.schemas.oci import Spec
    from actors.seams import Ids
    from transports.base import Dialer

__all__ = ["Kata", "KataTarget"]

# 1.x's exec helper looks for cgroups in the container, and panics without
_GROUPS = Mount(
    destination="/sys/fs/cgroup",
    type="cgroup",
    source="cgroup",
    options=("nosuid", "noexec", "nodev", "relatime", "ro"),
)
_ALSO: Mapping[GuestProtocol, tuple[Mount, ...]] = {GuestProtocol.GRPC: (_GROUPS,)}
# the init's program where it does not matter
IDLE = ("sleep", "100000")
SIGKILL = 9
# for clean-up: a killed init has ended by then
GONE_SECONDS = 3.0
# a call that needs only the agent's lock, while others contend for it
ANSWERED_SECONDS = 7.0
# identify the agent, and retry the sandbox, before the first case
PREPARED_SECONDS = 10.0
# per request to a newly started agent: it has no sandbox, and little depends on the answers
NEW_ASKED_SECONDS = 3.0
# texts in a refusal where a root is missing or has no shell
_MISSING = ("no such ", "enoent", "not a directory", "executable file not found")
# cases write only here: some agents give all containers the same root
_SCRATCH = Mount(
    destination="/tmp", type="tmpfs", source="tmpfs", options=("nosuid", "nodev", "mode=1777", "size=65536k")
)


@dataclass
class KataTarget:
    """See `actors.conformance.subject.Target`.

    Args:
        rootfs: a directory, as a path in the guest, with `/bin/sh` and the usual tools.
        roots: copies it for each case; None: all share it.
        slow: factor on every time limit.
        start_seconds: how long it may take to start.
        new: it was started for this run, so it has no sandbox unless it says so.
        rootfs_unverified: the user named a root that is not visible here, and need not be: try it with a container.
    """

    dialer: Dialer
    rootfs: str
    ids: Ids
    protocol: GuestProtocol = GuestProtocol.TTRPC
    roots: Roots | None = None
    slow: float = 1.0
    start_seconds: float = REACHED_SECONDS
    new: bool = False
    rootfs_unverified: bool = False
    # its own text, once asked
    version: str = field(default="", init=False)
    notes: list[str] = field(default_factory=list[str], init=False)
    # True also if it already had one
    made_sandbox: bool = field(default=False, init=False)
    _control: RpcLink | None = field(default=None, init=False)
    # the liveness check: needs what other calls need, and was not found to hang by itself
    _asked_of_nobody: str = field(default="StatsContainer", init=False)

    @asynccontextmanager
    async def open_target(self) -> AsyncGenerator[None]:
        """Open a link for clean-up, and create the sandbox unless there is one.

        Raises: InvalidArgument: according to the agent the root does not exist.
        """
        async with open_collapsing_nursery() as nursery:
            self._control = self.link(self.start_seconds)
            await nursery.start(self._control.run)
            with reaching():
                # an agent that hangs is detected by the cases
                note = await self.make_sandbox()
            self.notes.extend(filter(None, [note]))
            if self.rootfs_unverified:
                await self._try_root()
            yield
            nursery.cancel_scope.cancel()

    async def _asked_who(self) -> tuple[Identity, str]:
        """Who it is, and what it did not answer. Raises: KatrioError if it can't be reached."""
        client = KataClient(self.control, timeout=None)
        seconds = (NEW_ASKED_SECONDS if self.new else PREPARED_SECONDS) * self.slow
        try:
            return await identify(client, seconds=seconds), ""
        except Expired as error:
            if "StatsContainer" in error.message:
                self._asked_of_nobody = "SignalProcess"
            return Identity(AgentKind.OTHER), str(error.__cause__ or error)
        except KatrioError as error:
            # refusals are for the cases to report
            if is_loss(error) or isinstance(error, AgentProtocolError):
                raise
            return Identity(AgentKind.OTHER), ""

    async def make_sandbox(self) -> str:
        """Create one unless there is one, as far as can be told: a second may destroy what is in the first.

        Returns why there may be none, for display: every case that needs one fails then. Raises: KatrioError, when the
        link is lost.
        """
        who, silent = await self._asked_who()
        self.version = who.version[:SHOWN_BYTES]
        if who.sandbox:
            return ""
        if not self.new and (silent or (who.sandbox is None and who.second_sandbox_destroys)):
            why = silent or f"{who.kind} that does not tell"
            return f"{why}: it is not known whether it has a sandbox, and none was made"
        return await self._create_sandbox()

    async def _create_sandbox(self) -> str:
        rpc = RPCS["CreateSandbox"]
        request = rpc.request(sandbox_id=self.ids.fresh("conformance"), hostname="conformance")
        seconds = PREPARED_SECONDS * self.slow
        with trio.move_on_after(seconds):
            try:
                await self.control.call(rpc, request)
            except AlreadyExists:
                return ""
            except KatrioError as error:
                if is_loss(error) or isinstance(error, AgentProtocolError):
                    raise
                return (
                    f"CreateSandbox was refused, there may be no sandbox: {error.code}: {error.message[:SHOWN_BYTES]}"
                )
            self.made_sandbox = True
            return ""
        return f"CreateSandbox: no answer within {seconds:g} s, there may be no sandbox"

    async def _try_root(self) -> None:
        """Run a container in it. Other refusals, and missing replies, are for the cases to report.

        Raises: InvalidArgument: it does not exist. AgentUnreachable: the agent was lost in the attempt.
        """
        seconds = PREPARED_SECONDS * self.slow
        deadline = trio.current_time() + seconds
        with trio.move_on_at(deadline):
            try:
                async with self.open_subject(deadline) as kata:
                    try:
                        await kata.run("sh", "-c", "true")
                    finally:
                        with trio.move_on_after(seconds, shield=True), suppress(KatrioError, FallsShort):
                            await kata.clean()
            except KatrioError as error:
                if is_loss(error):
                    raise AgentUnreachable(f"the agent was lost in a trial of its root: {error.message}") from error
                if _says_missing(error, self.rootfs):
                    said = f"{error.code}: {error.message[:SHOWN_BYTES]}"
                    raise InvalidArgument(
                        f"--rootfs {self.rootfs}: there is no /bin/sh in it on this machine, nor where the agent runs, "
                        f"which says: {said}",
                        field="rootfs",
                    ) from error

    @property
    def control(self) -> RpcLink:
        """The link that belongs to no case, for clean-up."""
        assert self._control is not None, "the target is open"
        return self._control

    def link(self, start_seconds: float = REACHED_SECONDS) -> RpcLink:
        """A link that is not running yet."""
        return open_rpc_link(self.dialer, target_limits(self.slow, start_seconds), Dialect(self.protocol.value))

    @asynccontextmanager
    async def open_subject(self, deadline: float) -> AsyncGenerator[Kata]:
        """See `Target`. Hides a nursery for the links."""
        rootfs = self.rootfs if self.roots is None else await trio.to_thread.run_sync(self.roots.copy, self.rootfs)
        async with open_collapsing_nursery() as nursery:
            link = self.link()
            await nursery.start(link.run)
            yield Kata(link, self.ids, self, nursery, rootfs, deadline=deadline, slow=self.slow)
            nursery.cancel_scope.cancel()

    async def check_alive(self) -> None:
        """See `Target`. Even a hung agent answers its health check: make a call that needs what other calls need."""
        async with open_collapsing_nursery() as nursery:
            link = self.link()
            await nursery.start(link.run)
            await link.call(RPCS["Check"], RPCS["Check"].request())
            await self._ask_of_nobody(link)
            nursery.cancel_scope.cancel()

    async def _ask_of_nobody(self, link: RpcLink) -> None:
        """Ask about a container that does not exist: any answer will do."""
        rpc = RPCS[self._asked_of_nobody]
        with trio.move_on_after(ANSWERED_SECONDS * self.slow) as bound:
            try:
                await link.call(rpc, rpc.request(container_id=self.ids.fresh("nobody")))
            except KatrioError as error:
                if is_loss(error):
                    raise
        if bound.cancelled_caught:
            raise Hung(f"no answer to {rpc.method}, while its health is told")


@dataclass
class Kata(KataCalls):
    """The interface for a kata case."""

    target: KataTarget
    nursery: trio.Nursery
    rootfs: str
    _made: dict[str, None] = field(default_factory=dict[str, None])

    @property
    def findings(self) -> Findings:
        """See `Subject`."""
        return self

    @property
    def dial(self) -> Dialer:
        """For cases that send raw bytes."""
        return self.target.dialer

    async def open_link(self) -> RpcLink:
        """Open another link, until the case ends."""
        link = self.target.link()
        await self.nursery.start(link.run)
        return link

    # containers

    def spec(
        self,
        *args: str,
        tty: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        user: str = "",
        size: TerminalSize | None = None,
        resources: ResourceSpec | None = None,
        mounts: tuple[MountSpec, ...] = (),
        readonly: bool = False,
    ) -> Spec:
        """A container specification accepted by any Kata agent."""
        process = ProcessSpec(args=args or IDLE, tty=tty, env=dict(env or {}), cwd=cwd, user=user, size=size)
        wanted = ContainerSpec(process=process, resources=resources or ResourceSpec(), mounts=mounts, readonly=readonly)
        spec = oci_spec(wanted, self.rootfs)
        return self.with_mounts(spec, _SCRATCH, *_ALSO.get(self.target.protocol, ()))

    def with_mounts(self, spec: Spec, *mounts: Mount) -> Spec:
        """The same with additional mounts."""
        return msgspec.structs.replace(spec, mounts=(*spec.mounts, *mounts))

    async def create(self, spec: Spec, *, named: str = "") -> Container:
        """Create a container, without starting it."""
        tty = spec.process is not None and spec.process.terminal
        container = self.container_of(named or self.fresh(), tty=tty)
        await self.call("CreateContainer", container_id=container.id, exec_id=container.id, OCI=spec)
        return container

    def container_of(self, name: str, *, tty: bool = False) -> Container:
        """A container by its id; removed after the case if it exists."""
        self._made[name] = None
        return Container(self, name, tty)

    async def run(self, *args: str, **options: Any) -> Container:
        """Create and start a container; `options` as in `spec`."""
        container = await self.create(self.spec(*args, **options))
        await container.start()
        return container

    async def shell(self, script: str, **options: Any) -> Container:
        """A container whose init is `sh -c SCRIPT`."""
        return await self.run("sh", "-c", script, **options)

    async def ticking(self, **options: Any) -> Container:
        """A container whose init prints tick-1, tick-2 and so on, ten times a second."""
        return await self.shell("i=0; while true; do i=$((i+1)); echo tick-$i; sleep 0.1; done", **options)

    # concurrency

    def together(self) -> AbstractAsyncContextManager[trio.Nursery]:
        """A nursery for concurrent calls of a case."""
        return trio.open_nursery()

    def start_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Run in the background until the case ends."""
        self.nursery.start_soon(function, *args)

    # clean-up

    async def clean(self) -> None:
        """See `Subject`: kill and remove, whatever the state."""
        async with open_collapsing_nursery() as nursery:
            for container in () if self.agent_ended else self._made:
                nursery.start_soon(self._remove, container)
        if self.target.roots is not None:
            await trio.to_thread.run_sync(self.target.roots.remove, self.rootfs)

    async def _remove(self, container: str) -> None:
        """1.x removes only ended containers, and a frozen process may die only once thawed."""
        killed = await self._clean_up_call("SignalProcess", container, exec_id="", signal=SIGKILL)
        # otherwise no resume is sent: an agent is judged only by the calls of the case
        if container in self.may_be_paused or not killed:
            await self._clean_up_call("ResumeContainer", container)
        await self._clean_up_call("WaitProcess", container, exec_id=container)
        rpc = RPCS["RemoveContainer"]
        try:
            with self.asking(f"{rpc.method} {container}"):
                await self.target.control.call(rpc, rpc.request(container_id=container))
        except NotFound:
            return
        except KatrioError as error:
            if is_loss(error):
                raise
            # Rust's agent has no code for "no such container" here; then stats fails too
            if await _is_known(self.target.control, container):
                raise FallsShort(
                    "what a case made can be removed after it", f"{error.code}: {error.message}"
                ) from error

    async def _clean_up_call(self, method: str, container: str, **fields: Any) -> bool:
        """Whether it was answered in time. Whether that matters shows in the removal: an agent that forgets ended processes has none
        to wait for."""
        rpc = RPCS[method]
        with (
            trio.move_on_after(GONE_SECONDS * self.slow) as bound,
            suppress(KatrioError),
            self.asking(f"{method} {container}"),
        ):
            await self.target.control.call(rpc, rpc.request(container_id=container, **fields))
        return not bound.cancelled_caught


def _says_missing(error: KatrioError, root: str) -> bool:
    """Codes and texts differ between agents."""
    said = error.message.lower()
    return (
        isinstance(error, NotFound) or root.lower() in said or any(words in said for words in _MISSING)
    ) and not isinstance(error, Unsupported)


async def _is_known(link: RpcLink, container: str) -> bool:
    rpc = RPCS["StatsContainer"]
    try:
        await link.call(rpc, rpc.request(container_id=container))
    except KatrioError:
        return False
    return True
