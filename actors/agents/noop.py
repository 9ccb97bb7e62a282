"""The noop agent: every verb succeeds at once with a zero result, and nothing is contacted.

For measuring the actors without a guest, and for callers that need an agent which can't fail; the zero
results are virtcontainers' own (a wait answers 0, a read is at its end). Not a simulation: it remembers
nothing, so a paused container of it has never run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.agents.base import Polls
from actors.wire.reports import Capabilities, ContainerStats, GuestDetails, Interface, Route
from actors.wire.spec import ContainerSpec, ExitStatus, ProcessSpec, ResourceSpec, SandboxSpec, TerminalSize
from actors.wire.verbs import Checked, CopyFile, OnlineCpuMem, SetGuestTime

if TYPE_CHECKING:
    from actors.agents.base import Channels
    from actors.lifecycle.container import ContainerState
    from actors.limits import Limits

__all__ = ["NoopAgent", "connect_noop"]


class NoopAgent:
    """See `actors.agents.base.AgentConnection`."""

    follows_processes = False
    isolates_processes = True
    keeps_output_after_wait = True
    polls = Polls.NEVER
    tells_ended = True
    spoils_roots = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    def lease(self) -> NoopAgent:
        """See `actors.agents.base.SandboxAgent`."""
        return NoopAgent()

    async def wait_lost(self) -> str:
        # what is not there is not lost
        await trio.sleep_forever()
        raise AssertionError

    async def check(self) -> Checked:
        await trio.lowlevel.checkpoint()
        return Checked(serving=True, agent_version="noop")

    async def disconnect(self) -> None:
        await trio.lowlevel.checkpoint()

    async def capabilities(self) -> Capabilities:
        await trio.lowlevel.checkpoint()
        return Capabilities()

    async def get_guest_details(self) -> GuestDetails:
        await trio.lowlevel.checkpoint()
        return GuestDetails(agent_version="noop")

    async def create_sandbox(self, sandbox: str, spec: SandboxSpec) -> None:
        await trio.lowlevel.checkpoint()

    async def destroy_sandbox(self) -> None:
        await trio.lowlevel.checkpoint()

    async def create_container(self, container: str, spec: ContainerSpec, rootfs: str) -> None:
        await trio.lowlevel.checkpoint()

    async def start_container(self, container: str) -> None:
        await trio.lowlevel.checkpoint()

    async def remove_container(self, container: str) -> None:
        await trio.lowlevel.checkpoint()

    async def exec_process(self, container: str, process: str, spec: ProcessSpec) -> None:
        await trio.lowlevel.checkpoint()

    async def signal_process(self, container: str, process: str, signum: int) -> None:
        await trio.lowlevel.checkpoint()

    async def kill_all(self, container: str) -> None:
        await trio.lowlevel.checkpoint()

    async def winsize_process(self, container: str, process: str, size: TerminalSize) -> None:
        await trio.lowlevel.checkpoint()

    async def write_stdin(self, container: str, process: str, data: bytes) -> int:
        await trio.lowlevel.checkpoint()
        return 0

    async def close_stdin(self, container: str, process: str) -> None:
        await trio.lowlevel.checkpoint()

    async def read_stdout(self, container: str, process: str, limit: int) -> bytes:
        await trio.lowlevel.checkpoint()
        return b""

    async def read_stderr(self, container: str, process: str, limit: int) -> bytes:
        await trio.lowlevel.checkpoint()
        return b""

    async def wait_process(self, container: str, process: str) -> ExitStatus:
        await trio.lowlevel.checkpoint()
        return ExitStatus(0)

    async def poll_process(self, container: str, process: str) -> ExitStatus | None:
        await trio.lowlevel.checkpoint()
        return None

    async def pause_container(self, container: str) -> None:
        await trio.lowlevel.checkpoint()

    async def resume_container(self, container: str) -> None:
        await trio.lowlevel.checkpoint()

    async def container_state(self, container: str) -> ContainerState | None:
        await trio.lowlevel.checkpoint()
        return None

    async def update_container(self, container: str, resources: ResourceSpec) -> None:
        await trio.lowlevel.checkpoint()

    async def stats_container(self, container: str) -> ContainerStats:
        await trio.lowlevel.checkpoint()
        return ContainerStats()

    async def list_pids(self, container: str) -> tuple[int, ...]:
        await trio.lowlevel.checkpoint()
        return ()

    async def list_table(self, container: str, args: tuple[str, ...]) -> str:
        await trio.lowlevel.checkpoint()
        return ""

    async def next_oom(self) -> str:
        # what never runs is never killed
        await trio.sleep_forever()
        raise AssertionError

    async def online_cpu_mem(self, args: OnlineCpuMem) -> None:
        await trio.lowlevel.checkpoint()

    async def set_guest_time(self, args: SetGuestTime) -> None:
        await trio.lowlevel.checkpoint()

    async def reseed_random(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def copy_file(self, args: CopyFile) -> None:
        await trio.lowlevel.checkpoint()

    async def list_interfaces(self) -> tuple[Interface, ...]:
        await trio.lowlevel.checkpoint()
        return ()

    async def update_interface(self, interface: Interface) -> Interface:
        await trio.lowlevel.checkpoint()
        return interface

    async def list_routes(self) -> tuple[Route, ...]:
        await trio.lowlevel.checkpoint()
        return ()

    async def update_routes(self, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        await trio.lowlevel.checkpoint()
        return routes


def connect_noop(channels: Channels, limits: Limits) -> NoopAgent:
    """The factory that the agents table names; both arguments are unused, nothing is dialled."""
    return NoopAgent()
