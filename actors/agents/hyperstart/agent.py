"""The hyperstart agent: the agent interface as commands of API 4244, over a link shared by all actors of a sandbox.

`HyperstartAgent` is the sandbox's; `lease` returns one for a container, over the same link. Methods for which API 4244
has no command, or none that confirms success, are not defined, and so raise Unsupported, unlike in virtcontainers,
which reported success. Channels are in `link`.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import trio

from actors.agents.base import SandboxAgent
from actors.agents.hyperstart.config import HyperConfig
from actors.agents.hyperstart.link import HyperstartLink
from actors.agents.hyperstart.pod import Pod, PodContainer, check_spec, container_body, exec_body, refusal_text
from actors.errors import AgentError, AlreadyExists, GuestDied, InvalidTransition, NotFound, OutcomeUnknown
from actors.node.usertable import read_user_table
from actors.wire.reports import Capabilities, GuestDetails
from actors.wire.sandbox_verbs import Checked
from actors.wire.spec import ContainerSpec, ExitStatus, ProcessSpec, SandboxSpec, TerminalSize
from transports.hyperstart import messages
from transports.hyperstart.codec import Code

if TYPE_CHECKING:
    from actors.agents.base import Channels
    from actors.agents.hyperstart.process import RunningProcess
    from actors.lifecycle.container import ContainerState
    from actors.limits import Limits

__all__ = ["HyperstartAgent", "connect_hyperstart"]

# where a real guest mounts the host's share
SHARE = "/tmp/hyper/shared"  # fixed by the guest
# the kernel's UTS limit
HOSTNAME_BYTES = 64


class HyperstartAgent(SandboxAgent):
    """See `actors.agents.base.AgentConnection`.

    Args:
        share: the guest's directory below which every container's root is.
        tag: the mount tag of the share; empty: it is mounted already.
        own: the guest is known to be katrio's, which looks users up in the container itself; for any other this host does.
    """

    guest = "a hyperstart guest"

    def __init__(
        self, link: HyperstartLink, limits: Limits, *, share: str = SHARE, tag: str = "", own: bool = False
    ) -> None:
        self._link = link
        self._limits = limits
        self._share = share
        self._tag = tag
        self._own = own
        self._pod = Pod()
        self._leased = False

    @property
    def isolates_processes(self) -> bool:
        """See `actors.agents.base.AgentConnection`."""
        return False

    @property
    def tells_ended(self) -> bool:
        """See `actors.agents.base.AgentConnection`: its refusals carry no text, not even our guest's."""
        return False

    @property
    def keeps_output_after_wait(self) -> bool:
        """See `actors.agents.base.AgentConnection`: output received over the link is buffered here."""
        return True

    @property
    def spoils_roots(self) -> bool:
        """See `actors.agents.base.SandboxAgent`: a real one writes into it, and can't be told apart from ours."""
        return True

    def lease(self) -> HyperstartAgent:
        """For one container's actor: uses this agent's link, but neither runs nor closes it."""
        leased = HyperstartAgent(self._link, self._limits, share=self._share, tag=self._tag, own=self._own)
        leased._pod = self._pod
        leased._leased = True
        return leased

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Maintain the link; for a lease: a no-op, until cancelled."""
        if self._leased:
            task_status.started()
            await trio.sleep_forever()
        await self._link.run(task_status=task_status)

    async def wait_lost(self) -> str:
        """See `actors.agents.base.SandboxAgent`: waits for the end of the one link."""
        return await self._link.wait_ended()

    async def disconnect(self) -> None:
        """Refused: the link is shared, and events that the guest sends while nobody is connected may be lost."""
        await self._without("disconnect", None)

    async def check(self) -> Checked:
        await self._command(Code.PING)
        return Checked(serving=True, agent_version=f"hyperstart API {self._link.version}")

    async def capabilities(self) -> Capabilities:
        await trio.lowlevel.checkpoint()
        return Capabilities()

    async def get_guest_details(self) -> GuestDetails:
        return GuestDetails(agent_version=(await self.check()).agent_version)

    async def _command(self, code: Code, body: bytes = b"") -> bytes:
        """Raises: AgentError when the guest refuses; it gives no reason."""
        answer = await self._link.command(code, body)
        if not answer.accepted:
            why = refusal_text(answer.payload) if code == Code.KILLCONTAINER else ""
            raise AgentError(f"{code.name}: the guest refused{': ' + why if why else ''}", status=why or "refused")
        return answer.payload

    # sandbox

    async def create_sandbox(self, sandbox: str, spec: SandboxSpec) -> None:
        hostname = (spec.hostname or sandbox).encode()[:HOSTNAME_BYTES].decode("utf-8", "ignore")
        await self._command(Code.STARTPOD, messages.encode_json(messages.Pod(hostname=hostname, shareDir=self._tag)))

    async def destroy_sandbox(self) -> None:
        # DESTROYPOD is answered once all processes have ended, after SIGTERM only: one that ignores it would hang it
        for container in list(self._pod.containers):
            try:
                await self.remove_container(container)
            except (AgentError, NotFound, GuestDied, OutcomeUnknown):
                continue
        # the guest powers off while it answers
        with contextlib.suppress(GuestDied, OutcomeUnknown):
            await self._command(Code.DESTROYPOD)

    # containers

    async def create_container(self, container: str, spec: ContainerSpec, rootfs: str) -> None:
        await trio.lowlevel.checkpoint()
        if container in self._pod.containers:
            raise AlreadyExists(f"create of container {container!r}: it exists; remove it first", container=container)
        check_spec(container, spec, rootfs, self._share)
        # before the start: later the container could change who a user name is
        made = PodContainer(container, spec, rootfs, None if self._own else read_user_table(rootfs))
        made.fitted(spec.process)
        self._pod.containers[container] = made

    async def start_container(self, container: str) -> None:
        found = self._pod.container(container)
        if found.starting or found.never_ran is not None:
            raise InvalidTransition(
                f"start of container {container!r}: it was started or killed before",
                state=str(found.state),
                verb="start",
            )
        found.starting = True
        process = self._link.open_process(container, "", terminal=found.spec.process.tty)
        try:
            await self._command(Code.NEWCONTAINER, container_body(found, process, self._share))
        except OutcomeUnknown:
            self._took(found, container, process)
            raise
        except BaseException:
            self._link.forget(process)
            found.starting = False
            raise
        self._took(found, container, process)
        if found.spec.process.size is not None:
            await self._first_size(container, container, found.spec.process.size)

    @staticmethod
    def _took(container: PodContainer, name: str, process: RunningProcess) -> None:
        container.processes[name] = process
        container.decided.set()

    async def _first_size(self, container: str, process: str, size: TerminalSize) -> None:
        """Terminals start with 0x0; a process that has already ended needs no size."""
        try:
            await self.winsize_process(container, process, size)
        except (NotFound, InvalidTransition):
            return

    async def remove_container(self, container: str) -> None:
        found = self._pod.container(container)
        await self.kill_all(container)
        with trio.move_on_after(self._limits.mutate_seconds) as bound:
            for process in list(found.processes.values()):
                await process.wait_ended()
        if bound.cancelled_caught:
            raise AgentError(f"remove of container {container!r}: it has not ended", status="not killed")
        # the guest has removed it by itself; a REMOVECONTAINER would be answered with ERROR
        for process in found.processes.values():
            self._link.forget(process)
        self._pod.containers.pop(container, None)

    async def container_state(self, container: str) -> ContainerState | None:
        await trio.lowlevel.checkpoint()
        return self._pod.container(container).state

    # processes

    async def exec_process(self, container: str, process: str, spec: ProcessSpec) -> None:
        found = self._pod.container(container)
        if found.init is None or found.init.finished:
            raise InvalidTransition(
                f"exec in container {container!r}: it is {found.state}", state=str(found.state), verb="exec"
            )
        if process in found.processes:
            raise AlreadyExists(f"exec {process!r} in container {container!r}: the id was used", process=process)
        spec = found.fitted(spec)
        running = self._link.open_process(container, process, terminal=spec.tty)
        found.processes[process] = running
        try:
            await self._command(Code.EXECCMD, exec_body(running, spec))
        except OutcomeUnknown:
            # it may be running: its wait will tell
            raise
        except BaseException as error:
            self._link.forget(running)
            del found.processes[process]
            if isinstance(error, AgentError) and await self._ended_meanwhile(found.init):
                raise InvalidTransition(
                    f"exec in container {container!r}: it has ended", state=str(found.state), verb="exec"
                ) from None
            raise
        if spec.size is not None:
            await self._first_size(container, process, spec.size)

    async def signal_process(self, container: str, process: str, signum: int) -> None:
        found = self._pod.container(container)
        if process == container and found.init is None:
            self._signal_unstarted(found, signum)
            return
        running = self._pod.process(container, process)
        if running.finished:
            return
        running.told_signal(signum)
        try:
            if process == container:
                # to the init alone; the other command signals a whole process group
                await self._command(
                    Code.KILLCONTAINER, messages.encode_json(messages.Kill(container=container, signal=signum))
                )
            else:
                body = messages.SignalProcess(container=container, process=running.wire_id, signal=signum)
                await self._command(Code.SIGNALPROCESS, messages.encode_json(body))
        except AgentError:
            if not await self._ended_meanwhile(running):
                raise

    async def _ended_meanwhile(self, process: RunningProcess) -> bool:
        """Whether a refusal was due to its end: a guest refuses from then on, and reports the end once the rest has ended too."""
        limits = self._limits
        with trio.move_on_after(limits.stop_grace_seconds if process.signalled else limits.answer_grace_seconds):
            await process.wait_finished()
        return process.finished

    def _signal_unstarted(self, container: PodContainer, signum: int) -> None:
        """The guest does not have it yet: killed now, it never runs."""
        if container.never_ran is not None:
            return
        if container.starting or signum not in (signal.SIGTERM, signal.SIGKILL):
            raise InvalidTransition(
                f"signal {signum} to container {container.name!r}: it does not run yet",
                state=str(container.state),
                verb="signal",
            )
        container.never_ran = ExitStatus(128 + signum)
        container.decided.set()

    async def kill_all(self, container: str) -> None:
        found = self._pod.container(container)
        for process in found.processes.values():
            process.told_signal(signal.SIGKILL)
        # the container's other processes end with its init
        await self.signal_process(container, container, signal.SIGKILL)

    async def winsize_process(self, container: str, process: str, size: TerminalSize) -> None:
        running = self._pod.process(container, process)
        if not running.terminal:
            raise InvalidTransition(f"winsize: process {process!r} has no terminal", verb="winsize")
        body = messages.WinSize(container=container, process=running.wire_id, row=size.rows, column=size.columns)
        try:
            await self._command(Code.WINSIZE, messages.encode_json(body))
        except AgentError:
            if await self._ended_meanwhile(running):
                raise NotFound(f"winsize: process {process!r} has ended", process=process) from None
            raise

    async def write_stdin(self, container: str, process: str, data: bytes) -> int:
        running = await self._pod.started(container, process)
        if running is None or running.finished or running.input_closed:
            return 0
        await self._link.write(running, data)
        return len(data)

    async def close_stdin(self, container: str, process: str) -> None:
        running = await self._pod.started(container, process)
        if running is None or running.finished or running.input_closed or running.terminal:
            return
        running.input_closed = True
        await self._link.write(running, b"")

    async def read_stdout(self, container: str, process: str, limit: int) -> bytes:
        running = await self._pod.started(container, process)
        return b"" if running is None else await running.read(running.stdio, limit)

    async def read_stderr(self, container: str, process: str, limit: int) -> bytes:
        running = await self._pod.started(container, process)
        return b"" if running is None else await running.read(running.stderr, limit)

    async def wait_process(self, container: str, process: str) -> ExitStatus:
        """As in the interface; and OutcomeUnknown, see `RunningProcess.wait`."""
        running = await self._pod.started(container, process)
        if running is not None:
            return await running.wait()
        never_ran = self._pod.container(container).never_ran
        assert never_ran is not None
        return never_ran


def connect_hyperstart(channels: Channels, limits: Limits, config: HyperConfig | None = None) -> HyperstartAgent:
    """The factory in the agents table."""
    config = config or HyperConfig()
    assert channels.streams is not None, "a hyperstart guest has two channels"
    link = HyperstartLink(channels.agent, channels.streams, limits)
    # a guest at a configured address may be anybody's, and ours can't be told from a real one
    own = config.addresses() is None
    return HyperstartAgent(link, limits, share=config.share_dir, tag=config.share_tag, own=own)
