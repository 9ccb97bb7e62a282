"""A hyperstart guest under test: raw commands of its API, and containers that are killed after a case.

Such a guest has one pair of channels for its life, so all cases share one link, and once that has ended the guest is
lost for the remaining ones. Cases that need channels of their own dial them (`HyperstartTarget.dial_*`).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import trio

from actors.agents.hyperstart.link import HyperstartLink
from actors.agents.hyperstart.pod import PodContainer, container_body, exec_body, refusal_text
from actors.conformance.case import FallsShort, Hung
from actors.conformance.expect import shown
from actors.conformance.findings import Findings
from actors.conformance.kata_container import ALIVE, Finished, at_most, check_alive_output
from actors.conformance.subject import reaching, target_limits
from actors.conformance.tap import ControlTap, StreamTap, tapped
from actors.errors import AgentError, KatrioError, OutcomeUnknown
from actors.node.protocols import GuestProtocol
from actors.nurseries import open_collapsing_nursery
from actors.wire.spec import ContainerSpec, ProcessSpec
from transports.hyperstart import messages
from transports.hyperstart.codec import Code, command_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from actors.agents.hyperstart.process import RunningProcess
    from actors.conformance.subject import Roots
    from actors.limits import Limits
    from actors.seams import Ids
    from transports.base import Dialer
    from transports.hyperstart.control import Answered

__all__ = ["Container", "Hyperstart", "HyperstartTarget", "Process"]

IDLE = ("sleep", "100000")
SIGKILL = 9
READ_BYTES = 32 * 1024
# a command can't be cancelled, so this is also the limit of a case that hangs in one
COMMAND_SECONDS = 8.0
# for the guest's READY, within the same limit as the dial
READY_SECONDS = 5.0
# for clean-up: killed processes have ended by then
GONE_SECONDS = 5.0


@dataclass
class HyperstartTarget:
    """See `actors.conformance.subject.Target`.

    Args:
        share: the guest's directory below which roots are.
        rootfs: below `share`: a root with `/bin/sh` and the usual tools.
        tag: the mount tag of the share; empty: it is mounted already.
        roots: copies the root for each case; None: all share it.
        slow: factor on every time limit.
        start_seconds: how long it may take to start.
    """

    dial_control: Dialer
    dial_streams: Dialer
    rootfs: str
    share: str
    ids: Ids
    tag: str = ""
    roots: Roots | None = None
    protocol: GuestProtocol = field(default=GuestProtocol.HYPERSTART, init=False)
    slow: float = 1.0
    start_seconds: float = READY_SECONDS
    version: str = field(default="", init=False)
    notes: tuple[str, ...] = field(default=(), init=False)
    control_tap: ControlTap = field(default_factory=ControlTap, init=False)
    streams_tap: StreamTap = field(default_factory=StreamTap, init=False)
    _link: HyperstartLink | None = field(default=None, init=False)

    @property
    def limits(self) -> Limits:
        limits = target_limits(self.slow, self.start_seconds)
        return replace(limits, mutate_seconds=COMMAND_SECONDS * self.slow)

    @property
    def link(self) -> HyperstartLink:
        """The one pair of channels."""
        assert self._link is not None, "the target is open"
        return self._link

    @asynccontextmanager
    async def open_target(self) -> AsyncGenerator[None]:
        """Open the link, and start the pod."""
        async with open_collapsing_nursery() as nursery:
            control, streams = tapped(self.dial_control, self.control_tap), tapped(self.dial_streams, self.streams_tap)
            self._link = HyperstartLink(control, streams, self.limits)
            with reaching():
                await nursery.start(self._link.run)
                self.version = f"API {self._link.version}"
                await self.start_pod()
            yield
            nursery.cancel_scope.cancel()

    async def start_pod(self) -> None:
        """A running pod refuses another, which is as good."""
        pod = messages.Pod(hostname="conformance", shareDir=self.tag)
        await self.link.command(Code.STARTPOD, messages.encode_json(pod))

    @asynccontextmanager
    async def open_subject(self, deadline: float) -> AsyncGenerator[Hyperstart]:
        """See `Target`. Hides a nursery for concurrent tasks of a case."""
        rootfs = f"{self.share.rstrip('/')}/{self.rootfs.strip('/')}"
        if self.roots is not None:
            rootfs = await trio.to_thread.run_sync(self.roots.copy, rootfs)
        async with open_collapsing_nursery() as nursery:
            yield Hyperstart(self, nursery, rootfs, deadline=deadline, slow=self.slow)
            nursery.cancel_scope.cancel()

    async def check_alive(self) -> None:
        """See `Target`: over the existing link, as there can't be another."""
        await bounded_command(self.link, Code.PING, b"", self.limits)


async def bounded_command(link: HyperstartLink, code: int, body: bytes, limits: Limits) -> Answered:
    """Send one command. Raises: Hung if it was not answered; GuestDied, OutcomeUnknown if the link has ended."""
    began = trio.current_time()
    try:
        return await link.command(code, body)
    except OutcomeUnknown as error:
        if trio.current_time() - began >= limits.mutate_seconds:
            raise Hung(f"after {limits.mutate_seconds:g} s no answer to {command_name(code)}") from error
        raise


@dataclass
class Hyperstart(Findings):
    """The interface for a hyperstart case."""

    target: HyperstartTarget
    nursery: trio.Nursery
    rootfs: str
    _made: list[Container] = field(default_factory=list["Container"])

    @property
    def findings(self) -> Findings:
        """See `Subject`."""
        return self

    @property
    def link(self) -> HyperstartLink:
        return self.target.link

    def fresh(self, prefix: str = "cf") -> str:
        """A unique id."""
        return self.target.ids.fresh(prefix)

    async def ask(self, code: int, body: bytes = b"") -> Answered:
        """Send one command; returns its answer, accepted or not."""
        with self.asking(command_name(code)):
            return await bounded_command(self.link, code, body, self.target.limits)

    async def command(self, code: int, body: bytes = b"") -> bytes:
        """The same for a command that must be accepted; returns the answer's payload. Raises: AgentError if the guest refuses."""
        answer = await self.ask(code, body)
        if not answer.accepted:
            why = refusal_text(answer.payload)
            raise AgentError(f"{command_name(code)}: the guest refused{': ' + why if why else ''}", status="refused")
        return answer.payload

    async def run(self, *args: str, named: str = "", tty: bool = False, **options: Any) -> Container:
        """Create and start a container, which is one command. `options` as in `ProcessSpec`."""
        container = Container(self, named or self.fresh())
        process = self.link.open_process(container.id, "", terminal=tty)
        container.processes.append(Process(self, process))
        self._made.append(container)
        spec = ContainerSpec(process=_spec(args or IDLE, tty=tty, **options))
        pod = PodContainer(container.id, spec, self.rootfs)
        try:
            await self.command(Code.NEWCONTAINER, container_body(pod, process, self.target.share))
        except AgentError:
            # it does not run, and a live container with the same id must not be killed for it
            self.link.forget(process)
            self._made.remove(container)
            raise
        return container

    async def shell(self, script: str, **options: Any) -> Container:
        """A container whose init is `sh -c SCRIPT`."""
        return await self.run("sh", "-c", script, **options)

    async def clean(self) -> None:
        """See `Subject`: killing the init removes the container and its other processes."""
        for container in () if self.agent_ended else self._made:
            try:
                await container.kill(SIGKILL)
            except AgentError:
                continue
            finally:
                with trio.move_on_after(GONE_SECONDS * self.slow):
                    await container.init.running.wait_ended()
                for process in container.processes:
                    self.link.forget(process.running)
        if self.target.roots is not None:
            await trio.to_thread.run_sync(self.target.roots.remove, self.rootfs)


@dataclass
class Process:
    """One process, as seen over both channels."""

    guest: Hyperstart
    running: RunningProcess

    async def read(self, *, stderr: bool = False) -> bytes:
        """The available output; empty at end of file."""
        return await self.running.read(self.running.stderr if stderr else self.running.stdio, READ_BYTES)

    async def until(self, marker: bytes | str) -> bytes:
        """Its output up to and including `marker`. Raises: FallsShort."""
        wanted = marker.encode() if isinstance(marker, str) else marker
        seen = b""
        while wanted not in seen:
            data = await self.read()
            if not data:
                raise FallsShort(f"{shown(wanted)} in its output", f"the end after {shown(seen)}")
            seen = at_most(seen + data)
        return seen

    async def exactly(self, size: int) -> bytes:
        """`size` bytes, or fewer at end of file."""
        seen = b""
        while len(seen) < size:
            data = await self.read()
            if not data:
                break
            seen += data
        return seen

    async def rest(self, *, stderr: bool = False) -> bytes:
        """The rest of its output."""
        seen = bytearray()
        while data := await self.read(stderr=stderr):
            seen += data
            at_most(seen)
        return bytes(seen)

    async def finish(self) -> Finished:
        """Both outputs, and the status reported by the guest: 0 also for death by a signal."""
        stdout = await self.rest()
        stderr = await self.rest(stderr=True)
        return Finished(stdout, stderr, await self.wait())

    async def wait(self) -> int:
        """The status. Raises: OutcomeUnknown if it is 0 after a signal of ours."""
        return (await self.running.wait()).code

    async def write(self, data: bytes) -> None:
        """Write input; empty is end of file."""
        await self.link.write(self.running, data)

    async def close_stdin(self) -> None:
        await self.write(b"")

    async def signal(self, number: int) -> None:
        """Signal its process group."""
        self.running.told_signal(number)
        body = messages.SignalProcess(container=self.running.container, process=self.running.wire_id, signal=number)
        await self.guest.command(Code.SIGNALPROCESS, messages.encode_json(body))

    async def resize(self, rows: int, columns: int) -> None:
        body = messages.WinSize(
            container=self.running.container, process=self.running.wire_id, row=rows, column=columns
        )
        await self.guest.command(Code.WINSIZE, messages.encode_json(body))

    @property
    def link(self) -> HyperstartLink:
        return self.guest.link


@dataclass
class Container:
    """One container; its first process is the init."""

    guest: Hyperstart
    id: str
    processes: list[Process] = field(default_factory=list[Process])

    @property
    def init(self) -> Process:
        return self.processes[0]

    async def exec(self, *args: str, tty: bool = False, **options: Any) -> Process:
        """Start another process."""
        running = self.guest.link.open_process(self.id, self.guest.fresh("ex"), terminal=tty)
        process = Process(self.guest, running)
        try:
            await self.guest.command(Code.EXECCMD, exec_body(running, _spec(args, tty=tty, **options)))
        except KatrioError:
            self.guest.link.forget(running)
            raise
        self.processes.append(process)
        return process

    async def spawn(self, script: str, **options: Any) -> Process:
        """Start `sh -c SCRIPT` in it."""
        return await self.exec("sh", "-c", script, **options)

    async def sh(self, script: str, **options: Any) -> Finished:
        """The same, run to its end."""
        return await (await self.spawn(script, **options)).finish()

    async def check_alive(self) -> None:
        """An exec in it succeeds. Raises: FallsShort."""
        check_alive_output(await self.sh(ALIVE))

    async def kill(self, number: int) -> None:
        """KILLCONTAINER: signals only the init."""
        self.init.running.told_signal(number)
        body = messages.Kill(container=self.id, signal=number)
        await self.guest.command(Code.KILLCONTAINER, messages.encode_json(body))


def _spec(
    args: tuple[str, ...], *, tty: bool, env: Mapping[str, str] | None = None, cwd: str = "/", user: str = ""
) -> ProcessSpec:
    return ProcessSpec(args=args, tty=tty, env=dict(env or {}), cwd=cwd, user=user)
