"""The agent interface: what one actor can ask of the guest, over its own connection.

A base class between actors and agents: an agent (`noop`, `kata`, `hyperstart`) derives from `SandboxAgent` and
defines what its guest can do; the rest answers `unsupported`. Lifecycle rules are checked by the actor
before it calls, and again by the guest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, TypeVar

import trio

from actors.errors import Unsupported
from actors.wire.reports import Capabilities, ContainerStats, GuestDetails
from actors.wire.sandbox_verbs import Checked, Interfaces, Routes
from actors.wire.spec import ExitStatus

if TYPE_CHECKING:
    from actors.lifecycle.container import ContainerState
    from actors.limits import Limits
    from actors.wire.reports import Interface
    from actors.wire.sandbox_verbs import CopyFile, OnlineCpuMem, ReseedRandom, SetGuestTime, UpdateInterface
    from actors.wire.spec import ContainerSpec, ProcessSpec, SandboxSpec, TerminalSize
    from actors.wire.verbs import Update
    from transports.base import Dialer

__all__ = ["AgentConnection", "AgentFactory", "Channels", "Polls", "SandboxAgent"]

R = TypeVar("R")


class Channels(NamedTuple):
    """How to dial a guest's agent. `streams`: hyperstart's second channel; None for agents with one connection."""

    agent: Dialer
    streams: Dialer | None = None


class Polls(Enum):
    """How often `AgentConnection.poll_process` may be called."""

    NEVER = "it is of no use, or not needed"
    SELDOM = "an end at the same instant may cost the last output, or the code"
    OFTEN = "it changes nothing"


class AgentConnection:
    """One actor's live link to the guest; methods not overridden raise `Unsupported`.

    A process is identified by its container's id and its own; a container's init has the container's id.
    Every method may raise, besides its own errors:
        AgentUnreachable: the link is down and could not be restored in time; nothing was sent.
        OutcomeUnknown: the link broke after a call that changes state was sent.
        AgentError: the agent refused, with a status that maps to no error of ours.
        AgentProtocolError: the agent violated its protocol.
        Unsupported: this agent can't do it.
    Calls that change nothing pass the caller's remaining time to the guest; the others run to completion.
    """

    # names the guest in an Unsupported message
    guest: ClassVar[str] = "this agent's guest"

    async def _without(self, verb: str, zero: R) -> R:
        """The result of a call that the subclass does not implement; `zero` is virtcontainers' noop result for it."""
        await trio.lowlevel.checkpoint()
        raise Unsupported(f"{verb}: {self.guest} can't do it", verb=verb)

    @property
    def follows_processes(self) -> bool:
        """Whether its processes really run, and can end by themselves; False only for noop."""
        return True

    @property
    def keeps_output_after_wait(self) -> bool:
        """Whether output can still be read after `wait_process` has returned.

        A real Kata agent closes a process's streams then; our guest keeps them until the container is removed.
        """
        return True

    @property
    def polls(self) -> Polls:
        """Whether a process's end can be polled while its output is open. Needed where output is lost after a wait."""
        return Polls.NEVER

    @property
    def tells_ended(self) -> bool:
        """Whether a refusal says if its reason is that the process, or the container, has ended: only our guest's does."""
        return True

    @property
    def isolates_processes(self) -> bool:
        """Whether `ps` in a container shows only that container's processes.

        The containers of a real hyperstart guest share one pid namespace.
        """
        return True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Dial and maintain the link until cancelled; redials a broken link, with backoff.

        Reports started once the first link is up. Raises AgentUnreachable if that takes too long.
        """
        task_status.started()
        await trio.sleep_forever()

    async def check(self) -> Checked:
        """The agent's health check, and its version."""
        return await self._without("check", Checked(serving=True, agent_version=""))

    async def disconnect(self) -> None:
        """Close the link; calls in flight fail at once, and the next call redials. Idempotent."""
        await self._without("disconnect", None)

    async def capabilities(self) -> Capabilities:
        """What the agent supports."""
        return await self._without("capabilities", Capabilities())

    async def get_guest_details(self) -> GuestDetails:
        """Properties of the guest."""
        return await self._without("get_guest_details", GuestDetails(agent_version=""))

    async def create_sandbox(self, sandbox: str, spec: SandboxSpec) -> None:
        """Set up the guest for one sandbox. Raises AlreadyExists."""
        await self._without("create_sandbox", None)

    async def destroy_sandbox(self) -> None:
        """End every container and the sandbox; idempotent."""
        await self._without("destroy_sandbox", None)

    async def create_container(self, container: str, spec: ContainerSpec, rootfs: str) -> None:
        """Create a container whose init waits for its start; `rootfs` is an unpacked root, as a path in the guest.

        Raises: AlreadyExists, InvalidArgument, NotFound.
        """
        await self._without("create_container", None)

    async def start_container(self, container: str) -> None:
        """Start the init's program. Raises: NotFound, InvalidTransition."""
        await self._without("start", None)

    async def remove_container(self, container: str) -> None:
        """Kill the container's processes and forget it. Raises: NotFound."""
        await self._without("remove", None)

    async def exec_process(self, container: str, process: str, spec: ProcessSpec) -> None:
        """Start another process. Raises: NotFound, AlreadyExists, InvalidTransition, InvalidArgument."""
        await self._without("exec", None)

    async def signal_process(self, container: str, process: str, signum: int) -> None:
        """Signal one process; a no-op if it has ended.

        Raises: NotFound; with `process` in the details if the process existed and has ended.
        """
        await self._without("signal", None)

    async def kill_all(self, container: str) -> None:
        """SIGKILL every process of the container, frozen ones included. Raises: NotFound."""
        await self._without("signal", None)

    async def winsize_process(self, container: str, process: str, size: TerminalSize) -> None:
        """Resize its terminal. Raises: NotFound; InvalidTransition without a terminal."""
        await self._without("winsize", None)

    async def write_stdin(self, container: str, process: str, data: bytes) -> int:
        """Write, waiting for room; returns the bytes written, 0 if stdin was closed. `data` is not empty."""
        return await self._without("write_stdin", 0)

    async def close_stdin(self, container: str, process: str) -> None:
        """Close stdin; idempotent, and a no-op for a terminal."""
        await self._without("close_stdin", None)

    async def read_stdout(self, container: str, process: str, limit: int) -> bytes:
        """At least one byte of stdout, at most `limit`; empty at end of file."""
        return await self._without("read_stdout", b"")

    async def read_stderr(self, container: str, process: str, limit: int) -> bytes:
        """Like `read_stdout`; always at end of file for a process with a terminal."""
        return await self._without("read_stderr", b"")

    async def wait_process(self, container: str, process: str) -> ExitStatus:
        """Wait for its exit status; returns the same result every time until the container is removed."""
        return await self._without("wait", ExitStatus(0))

    async def poll_process(self, container: str, process: str) -> ExitStatus | None:
        """Its exit status if it has ended, even if others hold its output: returns soon. Unread output may be lost then.

        None: it has not ended, or that can't be determined.
        """
        await trio.lowlevel.checkpoint()
        return None

    async def pause_container(self, container: str) -> None:
        """Freeze every process. Raises: InvalidTransition."""
        await self._without("pause", None)

    async def resume_container(self, container: str) -> None:
        """Thaw. Raises: InvalidTransition."""
        await self._without("resume", None)

    async def container_state(self, container: str) -> ContainerState | None:
        """The container's state in the guest; None if the agent can't tell. Raises: NotFound."""
        await trio.lowlevel.checkpoint()
        return None

    async def update_container(self, container: str, args: Update) -> None:
        """Change limits, all or none. Raises: NotFound, InvalidArgument, Unsupported (the field)."""
        await self._without("update", None)

    async def stats_container(self, container: str) -> ContainerStats:
        """Resource usage. Raises: NotFound; Unsupported where it is not measured."""
        return await self._without("stats", ContainerStats())

    async def list_pids(self, container: str) -> tuple[int, ...]:
        """The pids of all its processes. Raises: NotFound; Unsupported: the actor then runs `ps` in it."""
        return await self._without("list_processes", ())

    async def list_table(self, container: str, args: tuple[str, ...]) -> str:
        """The output of `ps ARGS` for its processes. Raises: like `list_pids`, and InvalidArgument."""
        return await self._without("list_processes", "")

    async def next_oom(self) -> str:
        """Wait for the next OOM kill; returns the container's id. Each goes to a single caller."""
        return await self._without("oom events", "")

    async def online_cpu_mem(self, args: OnlineCpuMem) -> None:
        """Bring hotplugged CPUs and memory online. Raises: Unsupported outside a VM."""
        await self._without("online_cpu_mem", None)

    async def set_guest_time(self, args: SetGuestTime) -> None:
        """Set the guest's clock. Raises: Unsupported outside a VM."""
        await self._without("set_guest_time", None)

    async def reseed_random(self, args: ReseedRandom) -> None:
        """Mix bytes into the kernel's entropy pool."""
        await self._without("reseed_random", None)

    async def copy_file(self, args: CopyFile) -> None:
        """One piece of a file. Raises: InvalidArgument, PermissionDenied, ResourceExhausted."""
        await self._without("copy_file", None)

    async def list_interfaces(self) -> Interfaces:
        """The sandbox's network interfaces. Raises: Unsupported without a network namespace of its own."""
        return await self._without("list_interfaces", Interfaces())

    async def update_interface(self, args: UpdateInterface) -> Interface:
        """Change an interface; returns its new state. Raises: NotFound, InvalidArgument, Unsupported."""
        return await self._without("update_interface", args.interface)

    async def list_routes(self) -> Routes:
        """The sandbox's routes. Raises: Unsupported without a network namespace of its own."""
        return await self._without("list_routes", Routes())

    async def update_routes(self, args: Routes) -> Routes:
        """Replace all routes; returns the new ones. Raises: InvalidArgument, Unsupported."""
        return await self._without("update_routes", args)


class SandboxAgent(AgentConnection, ABC):
    """The sandbox's own connection, which leases connections to its containers."""

    @property
    def spoils_roots(self) -> bool:
        """Whether the agent may write into or remove a root that it is given: all but our own guest; known once it runs."""
        return True

    @abstractmethod
    def lease(self) -> AgentConnection:
        """A connection for a container's actor, which runs it. A separate link if the agent accepts several."""

    async def wait_lost(self) -> str:
        """Wait until the guest can't be reached any more, for good; returns the reason, for display.

        Never returns for an agent whose links are redialled: there the launcher reports the guest's end.
        """
        await trio.sleep_forever()
        raise AssertionError("unreachable")


class AgentFactory(Protocol):
    """Makes one sandbox's agent; nothing is dialled before its `run`."""

    def __call__(self, channels: Channels, limits: Limits) -> SandboxAgent: ...
