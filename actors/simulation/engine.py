"""The simulated engine: containers of simulated processes behind the engine interface, driven by Trio's clock.

For the simulated world, and for tests that need an engine without a kernel: with a virtual clock it is determined by
its randomness. From outside it behaves like the OCI engine: same exit codes, same error fields, same
streams. One task follows the clock. Programs are in `box.programs`, the kernel in `box.kernel`.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import trio

from actors.errors import InvalidArgument, NotFound
from actors.guest.engines.enforced import refuse_unenforced
from actors.guest.engines.pids import refuse_if_full
from actors.node.users import home_of, run_as
from actors.simulation.box.kernel.execution import CALLS
from actors.simulation.box.kernel.files import new_pipe
from actors.simulation.box.kernel.kernel import Kernel
from actors.simulation.box.kernel.process import Container, Identity, Launch
from actors.simulation.box.kernel.terminal import Terminal
from actors.simulation.box.programs.lookup import find_in_tree, interpreter_of
from actors.simulation.box.programs.shell.state import Missing
from actors.simulation.engine_process import (
    SimulatedProcess,
    Streams,
    read_pipe,
    read_terminal,
    write_pipe,
    write_terminal,
)
from actors.simulation.engine_reports import MACHINE_BYTES, container_stats, process_table, set_limits
from actors.simulation.image import busybox_tree
from actors.wire.spec import DEFAULT_PATH

if TYPE_CHECKING:
    from actors.schemas.oci import LinuxResources, Process, Spec
    from actors.schemas.stats import CgroupStats
    from actors.seams import Rng
    from actors.simulation.box.kernel.files import OpenFile
    from actors.simulation.box.kernel.tree import Tree

__all__ = ["SimulatedEngine"]

# duration of a runtime's call, drawn from this range: measured on runc (see docs/simulated-programs.md)
_CREATE_SECONDS = (0.02, 0.06)
_START_SECONDS = (0.004, 0.012)
_EXEC_SECONDS = (0.01, 0.04)
_FREEZE_SECONDS = (0.0003, 0.002)
_DELETE_SECONDS = (0.004, 0.012)
# capacity of the guest's pipes to and from processes, as in the real engines
_PIPE_BYTES = 1024 * 1024


class _Running:
    def __init__(self, container: Container) -> None:
        self.container = container
        self.init: SimulatedProcess | None = None


class SimulatedEngine:
    """See `Engine`.

    Args:
        rng: for all randomness: duration of the engine's own work, and each process's speed.
        hostname: as seen by programs.
    """

    def __init__(self, rng: Rng, *, hostname: str = "simulated") -> None:
        self.kernel = Kernel(rng.random, CALLS)
        self._rng = rng
        self._hostname = hostname
        self._containers: dict[str, _Running] = {}
        self._alarm: trio.CancelScope | None = None
        # at most one entry per container
        self._unreported_kills: dict[str, None] = {}
        self._oom_kills = trio.lowlevel.ParkingLot()

    @property
    def name(self) -> str:
        return "simulated"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            self.kernel.run(trio.current_time())
            with trio.CancelScope(deadline=self.kernel.next_time()) as self._alarm:
                await trio.sleep_forever()

    def set_hostname(self, name: str) -> None:
        """Set the hostname for programs of later containers."""
        self._hostname = name

    def settle(self) -> None:
        """See `Driver`: lets processes run at once, and tells the task when to look again."""
        self.kernel.run(trio.current_time())
        if self._alarm is not None:
            self._alarm.deadline = self.kernel.next_time()

    async def _takes(self, seconds: tuple[float, float]) -> None:
        """Spend the duration of the engine's own work."""
        await trio.sleep(self._rng.uniform(*seconds))

    # create, start, exec

    async def create(self, container: str, spec: Spec) -> SimulatedProcess:
        await self._takes(_CREATE_SECONDS)
        assert spec.process is not None, "the service has checked it"
        refuse_unenforced(self.name, container, msgspec.to_builtins(spec))
        tree = busybox_tree(readonly=bool(spec.root and spec.root.readonly))
        for mount in spec.mounts:
            if mount.type == "tmpfs":
                tree.mount_memory(mount.destination)
        made = Container(container, tree, hostname=self._hostname)
        made.memory_limit = MACHINE_BYTES
        set_limits(made, spec.linux.resources if spec.linux else None)
        made.on_oom = lambda: self._killed_for_memory(container)
        running = _Running(made)
        running.init = self._spawn(made, spec.process, started=False)
        self._containers[container] = running
        return running.init

    async def start(self, container: str) -> None:
        await self._takes(_START_SECONDS)
        init = self._containers[container].init
        assert init is not None
        self.kernel.start(init.process)
        self.settle()

    async def exec(self, container: str, process: Process) -> SimulatedProcess:
        await self._takes(_EXEC_SECONDS)
        found = self._containers[container].container
        if not found.processes:
            raise NotFound(f"container {container!r}: it has ended")
        refuse_unenforced(self.name, container, {"process": msgspec.to_builtins(process)})
        refuse_if_full(container, len(found.processes), found.process_limit)
        return self._spawn(found, process, started=True)

    def _spawn(self, container: Container, asked: Process, *, started: bool) -> SimulatedProcess:
        launch = _checked(container.tree, asked)
        self.kernel.run(trio.current_time())
        if asked.terminal:
            size = asked.console_size
            terminal = Terminal(size.height, size.width) if size is not None else Terminal(0, 0)
            files: dict[int, OpenFile] = dict.fromkeys((0, 1, 2), terminal)
            streams: Streams = write_terminal(self, terminal), read_terminal(self, terminal), None
        else:
            terminal = None
            (their_in, our_in), (our_out, their_out), (our_err, their_err) = (new_pipe(_PIPE_BYTES) for _ in range(3))
            files = {0: their_in, 1: their_out, 2: their_err}
            streams = write_pipe(self, our_in), read_pipe(self, our_out), read_pipe(self, our_err)
        process = self.kernel.spawn(container, replace(launch, files=files, terminal=terminal), started=started)
        running = SimulatedProcess(self, process, streams, terminal)
        self.settle()
        return running

    # freeze, thaw, kill, delete

    async def pause(self, container: str) -> None:
        await self._takes(_FREEZE_SECONDS)
        self.kernel.run(trio.current_time())
        self.kernel.freeze(self._containers[container].container)

    async def resume(self, container: str) -> None:
        self.kernel.thaw(self._containers[container].container)
        self.settle()
        await trio.lowlevel.checkpoint()

    async def kill_all(self, container: str) -> None:
        found = self._containers.get(container)
        if found is not None:
            self.kernel.kill_all(found.container)
            self.settle()
        await trio.lowlevel.checkpoint()

    async def delete(self, container: str) -> None:
        if container not in self._containers:
            await trio.lowlevel.checkpoint()
            return
        await self._takes(_DELETE_SECONDS)
        self.kernel.kill_all(self._containers.pop(container).container)
        self.settle()
        self._unreported_kills.pop(container, None)

    # counters and limits

    async def update(self, container: str, resources: LinuxResources) -> None:
        set_limits(self._containers[container].container, resources)
        await trio.lowlevel.checkpoint()

    async def stats(self, container: str) -> CgroupStats:
        self.settle()
        await trio.lowlevel.checkpoint()
        return container_stats(self._containers[container].container)

    async def list_pids(self, container: str) -> tuple[int, ...]:
        self.settle()
        await trio.lowlevel.checkpoint()
        return tuple(sorted(each.number for each in self._containers[container].container.processes.values()))

    async def list_table(self, container: str, arguments: tuple[str, ...]) -> str:
        self.settle()
        await trio.lowlevel.checkpoint()
        return process_table(self._containers[container].container, arguments)

    async def read_text(self, container: str, path: str, most_bytes: int) -> str:
        await trio.lowlevel.checkpoint()
        return self._containers[container].container.tree.text(path).encode()[:most_bytes].decode("utf-8", "replace")

    async def next_oom(self) -> str:
        await trio.lowlevel.checkpoint()
        while not self._unreported_kills:
            await self._oom_kills.park()
        container = next(iter(self._unreported_kills))
        del self._unreported_kills[container]
        return container

    def _killed_for_memory(self, container: str) -> None:
        self._unreported_kills[container] = None
        self._oom_kills.unpark()

    # for probes that bypass the guest

    def count_processes(self, container: str) -> int:
        """The number of its processes; 0 if there is no such container."""
        self.settle()
        found = self._containers.get(container)
        return 0 if found is None else len(found.container.processes)

    def is_frozen(self, container: str) -> bool:
        """The state that a cgroup freezer would report. Raises: NotFound."""
        found = self._containers.get(container)
        if found is None:
            raise NotFound(f"container {container!r}: the simulated machine has no such control group")
        return found.container.frozen


def _checked(tree: Tree, asked: Process) -> Launch:
    """What to run, without its streams; errors are those of the OCI engine."""
    if not asked.args:
        raise InvalidArgument("the process has no program to run: args is empty", field="args")
    cwd = asked.cwd or "/"
    if not cwd.startswith("/") or not tree.is_directory(cwd):
        raise InvalidArgument(f"cwd {cwd!r}: no such directory in the container", field="cwd")
    identity = _identity(tree, asked)
    pairs = (entry.partition("=") for entry in asked.env)
    environment = {name: value for name, _, value in pairs}
    environment.setdefault("PATH", DEFAULT_PATH)
    environment.setdefault("HOME", home_of(identity.uid, tree.text("/etc/passwd")))
    program = find_in_tree(tree, asked.args[0], environment["PATH"], cwd, by_kernel=True)
    if isinstance(program, Missing):
        raise InvalidArgument(
            f"program {asked.args[0]!r}: {_exec_error(program, tree, asked.args[0], cwd)}", field="args"
        )
    return Launch(program, asked.args, environment, posixpath.normpath(cwd), {}, identity)


def _exec_error(missing: Missing, tree: Tree, name: str, cwd: str) -> str:
    """In the wording of the real engines."""
    if missing is Missing.FORMAT:
        return "no format that the kernel knows (exec format error)"
    words = interpreter_of(tree, posixpath.join(cwd, name)) if "/" in name else None
    return (
        f"its interpreter {words[0]!r} is no executable in the container"
        if words
        else "no such executable in the container"
    )


def _identity(tree: Tree, asked: Process) -> Identity:
    user = asked.user
    if user is None:
        return Identity()
    found = run_as(msgspec.to_builtins(user), tree.text)
    return Identity(found.uid, found.gid, found.groups)
