"""Containers run by an OCI runtime: runc, crun, or any program with the same commands.

The runtime is called only to create, start, exec and delete; freezing, thawing and killing are our own file writes and
signals (0.4 ms against 7), and exits are seen by pidfd. Whether a verb is allowed is decided in the model;
documents are made in `oci_config`. Needs root, a freezer, and a working directory that is the guest's own tmpfs.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
from contextlib import nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import trio

from actors.errors import AgentError, NotFound, Unsupported
from actors.guest.engines.checks import check_container_users, check_image_users, check_mounts, checked_process
from actors.guest.engines.counters import read_counters
from actors.guest.engines.crun import open_hold
from actors.guest.engines.enforced import refuse_unenforced
from actors.guest.engines.executables import cannot_run, check_format
from actors.guest.engines.memory import MemoryLimit
from actors.guest.engines.oci_config import Document, bundle_config
from actors.guest.engines.oom import OomWatch
from actors.guest.engines.pids import PidsLimit
from actors.guest.engines.process import RealProcess, Stdio
from actors.guest.engines.pstable import ps_table
from actors.guest.engines.reaper import name_of
from actors.guest.engines.refusals import raise_as_told
from actors.guest.engines.resources import apply_resources, blame_resources
from actors.guest.engines.rlimits import numbered_rlimits
from actors.guest.engines.rootfs import Layers, Root
from actors.guest.engines.runtime import Runtime, RuntimeFailed
from actors.guest.engines.streams import open_pipes, receive_terminal
from actors.limits import LARGEST_ID
from actors.node import cgroups
from actors.node.cgroups import FreezerState
from actors.node.exhaustion import is_exhaustion, told_when_exhausted
from actors.node.marks import read_process, signal_exactly

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from actors.guest.descriptors import Descriptors
    from actors.guest.engines.reaper import Reaped, Reaper
    from actors.limits import Limits
    from actors.node.cgroups import CgroupLayout
    from actors.schemas.oci import LinuxResources, Process, Spec
    from actors.schemas.stats import CgroupStats
    from actors.seams import Threads

__all__ = ["OciEngine"]

_BUNDLES, _STATE, _CALLS = Path("bundles"), Path("runtime"), Path("calls")
# a process in uninterruptible sleep can't be frozen; then the container is thawed again
_FREEZE_SECONDS = 5.0
_KILL_SECONDS = 10.0
_POLL_SECONDS = 0.001
# on a busy machine, from the runtime's exit to the program's execve
_EXECUTED_SECONDS = 2.0
_PID_CHARACTERS = 20
# runc rejects larger ids, for 32-bit kernels
_LARGEST_IDS = {"runc": 2**31 - 1}
# runtimes that look up each user themselves, as a process of the container, with no time-out
_LOOKS_USERS_UP = frozenset({"runc"})
_SIZES_LATE = frozenset({"crun"})
_REFREEZE_POLLS = 100


class _Own(NamedTuple):
    """The runtime's own process in a container: its comm, and its executable; observed in inits that wait for start."""

    name: str
    program: str


class OciEngine:
    """See `Engine`. The working directory must not change during its lifetime."""

    def __init__(
        self,
        program: str,
        *,
        name: str,
        sandbox_directory: str,
        layout: CgroupLayout,
        reaper: Reaper,
        descriptors: Descriptors,
        limits: Limits,
        threads: Threads,
    ) -> None:
        self._name = name
        self._largest_id = _LARGEST_IDS.get(name, LARGEST_ID)
        self._sandbox = sandbox_directory
        self._layout = layout
        self._reaper = reaper
        self._descriptors = descriptors
        self._runtime = Runtime(program, _STATE, _CALLS, descriptors)
        self._oom = OomWatch(layout)
        self._layers = Layers(limits, threads)
        self._inits: dict[str, RealProcess] = {}
        # by container: the program of its init
        self._programs: dict[str, str] = {}
        self._own = _Own("", "")

    @property
    def name(self) -> str:
        return self._name

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        for path in (_BUNDLES, _STATE, _CALLS):
            os.makedirs(path, mode=0o700, exist_ok=True)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._reaper.run)
            await nursery.start(self._oom.run)
            task_status.started()

    # create, start, exec

    async def create(self, container: str, spec: Spec) -> RealProcess:
        document: Document = msgspec.to_builtins(spec)
        refuse_unenforced(self._name, container, document)
        bundle = _BUNDLES / container
        try:
            with told_when_exhausted(f"create of container {container!r}"):
                bundle.mkdir(mode=0o700)
                limits = spec.linux.resources if spec.linux else None
                process = await self._create(container, document, bundle, limits)
                try:
                    self._oom.watch(container, self._group(container))
                except BaseException:
                    process.close()
                    raise
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.kill_all(container)
                await self.delete(container)
            raise
        self._inits[container] = process
        self._programs[container] = document["process"]["args"][0]
        return process

    async def _create(
        self, container: str, document: Document, bundle: Path, resources: LinuxResources | None
    ) -> RealProcess:
        given: Document = document.get("root") or {}
        mounts: list[Document] = document.get("mounts") or []
        check_mounts(mounts)
        await self._layers.lay(container, given.get("path", ""), bundle)
        root = Root(str(bundle / "rootfs"))
        check_image_users(root)
        process = checked_process(document.get("process") or {}, root, mounts=mounts, most=self._largest_id)
        config = bundle_config(document, process, rootfs="rootfs", group=self._group(container))
        (bundle / "config.json").write_bytes(msgspec.json.encode(config))
        try:
            init = await self._spawn("create", container, process, root, "--bundle", str(bundle))
        except RuntimeFailed as error:
            if resources is not None:
                blame_resources(self._layout, self._group(container), resources)
            raise_as_told(error, container, config)
        try:
            # through the waiting init, whose root has every mount
            self._check_format(Root(f"/proc/{init.reaped.pid}/root"), process)
        except BaseException:
            init.close()
            raise
        return init

    def _check_format(self, root: Root, process: Document) -> None:
        program = process["args"][0]
        # /proc paths differ for each process that looks
        if not program.startswith("/proc/"):
            check_format(root, program, process["env"], process["cwd"])

    async def start(self, container: str) -> None:
        process = self._inits[container]
        init = process.reaped
        try:
            await self._runtime.call("start", container)
        except RuntimeFailed:
            # if it ended before its start, its exit status says so
            if init.status is None:
                raise
        # the runtime returns before its process has executed the program; a signal that still hits that process ends it
        # with an exit code of the runtime's (runc, SIGTERM: 2)
        await self._until_it_runs(process, self._programs[container])

    async def _until_it_runs(self, process: RealProcess, program: str) -> None:
        """Wait until execve has replaced the runtime. Raises: InvalidArgument (`args`) if the kernel would not execute the program."""
        with trio.move_on_after(_EXECUTED_SECONDS):
            while process.reaped.status is None:
                if _program_of(process.reaped.pid) not in ("", self._own.program):
                    break
                await trio.sleep(_POLL_SECONDS)
        if process.reaped.status is None:
            process.runs()
        elif process.failure:
            raise cannot_run(program, process.failure)

    async def exec(self, container: str, process: Process) -> RealProcess:
        with told_when_exhausted(f"exec in container {container!r}"):
            return await self._exec(container, process)

    async def _exec(self, container: str, process: Process) -> RealProcess:
        # looked up through the init, to see mounts made at create
        root = Root(f"/proc/{self._inits[container].reaped.pid}/root")
        _still_there(container, root)
        if self._name in _LOOKS_USERS_UP:
            check_container_users(container, root)
        asked: Document = msgspec.to_builtins(process)
        refuse_unenforced(self._name, container, {"process": asked})
        document = checked_process(asked, root, mounts=[], most=self._largest_id)
        PidsLimit(self._layout, container, self._group(container)).check()
        memory = MemoryLimit(self._layout, container, self._group(container))
        self._check_format(root, document)
        file = self._runtime.scratch("json")
        file.write_bytes(msgspec.json.encode(document))
        try:
            found = await self._spawn("exec", container, document, root, "--detach", "--process", str(file))
        except RuntimeFailed as error:
            memory.blame()
            raise_as_told(error, container, {"process": document})
        finally:
            file.unlink(missing_ok=True)
        try:
            await self._until_it_runs(found, document["args"][0])
            if found.killed_early:
                memory.blame()
        except BaseException:
            # cancelled meanwhile: nobody would know of it
            found.signal(signal.SIGKILL)
            found.close()
            with trio.move_on_after(_KILL_SECONDS, shield=True):
                await found.reaped.wait()
            raise
        return found

    async def _spawn(self, verb: str, container: str, process: Document, root: Root, *arguments: str) -> RealProcess:
        pid_file = self._runtime.scratch("pid")
        arguments = (*arguments, "--pid-file", str(pid_file.absolute()))
        pids = PidsLimit(self._layout, container, self._group(container))
        try:
            with self._reaper.spawning():
                stdio: Stdio | None = None
                try:
                    if process.get("terminal"):
                        async with self._until_sized(verb, process, root):
                            stdio = await self._with_terminal(verb, container, *arguments)
                    else:
                        stdio = await self._with_pipes(verb, container, *arguments)
                    reaped = self._adopt(verb, pid_file)
                except BaseException:
                    if stdio is not None:
                        stdio.close()
                    with trio.CancelScope(shield=True):
                        await self._end_unclaimed(container)
                    raise
                _set_what_runtimes_do_not(reaped.pid, process)
                if verb == "create":
                    self._own = _Own(name_of(reaped.pid), _program_of(reaped.pid))
        except RuntimeFailed:
            _still_there(container, root)
            pids.blame()
            program = process["args"][0]
            if root.find_program(program, process["env"], process["cwd"]) is None:
                raise cannot_run(program, "no such executable in the container") from None
            raise
        finally:
            pid_file.unlink(missing_ok=True)
        return RealProcess(reaped, stdio, runtime=self._own.name)

    def _until_sized(self, verb: str, process: Document, root: Root) -> AbstractAsyncContextManager[None]:
        """Within the block, hold back the execve of an exec's program whose runtime sizes its terminal too late."""
        if verb != "exec" or self._name not in _SIZES_LATE or not process.get("consoleSize"):
            return nullcontext()
        program = root.find_program(process["args"][0], process["env"], process["cwd"])
        return nullcontext() if program is None else open_hold(root, program)

    async def _end_unclaimed(self, container: str) -> None:
        """After a failed runtime call: a process that it forked into the container would continue unlisted, though its
        exec was reported as failed. The container's own processes are never our children: its init adopts them.

        Raises:
            AgentError: a process could not be killed.
        """
        with trio.move_on_after(_KILL_SECONDS), self._descriptors.reserve():
            while True:
                facts = map(read_process, cgroups.members(self._layout, self._group(container)))
                unclaimed = [fact for fact in facts if fact is not None and self._reaper.is_unclaimed(fact)]
                if not unclaimed:
                    return
                for fact in unclaimed:
                    signal_exactly(fact, signal.SIGKILL)
                await trio.sleep(_POLL_SECONDS)
        raise AgentError(
            f"container {container!r}: what a failed {self._name} has started in it can't be killed; it may still run",
            status="not killed",
        )

    def _adopt(self, verb: str, pid_file: Path) -> Reaped:
        """Start watching the process that the runtime left us; uses the descriptor reserve, or it would run unknown.

        Raises: RuntimeFailed (no pid file), OSError (even the reserve is used up).
        """
        with self._descriptors.reserve():
            try:
                pid = int(pid_file.read_text()[:_PID_CHARACTERS])
                if pid <= 1:
                    raise ValueError(pid)
                os.kill(pid, 0)
            except (ValueError, OverflowError, FileNotFoundError, ProcessLookupError) as error:
                raise RuntimeFailed(
                    f"{self._name} {verb}: it named no process of its own ({error})", status=0
                ) from error
            return self._reaper.adopt(pid)

    async def _with_pipes(self, verb: str, container: str, *arguments: str) -> Stdio:
        with open_pipes() as (ours, theirs):
            await self._runtime.call(verb, *arguments, container, stdio=theirs)
        return Stdio(*ours, terminal=False)

    async def _with_terminal(self, verb: str, container: str, *arguments: str) -> Stdio:
        """The runtime connects to our console socket and sends the terminal's master; it waits in the backlog."""
        path = self._runtime.scratch("sock")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listener.bind(str(path))
            listener.listen(1)
            # a create changes into the bundle before connecting; an absolute path may exceed a socket's 107 bytes
            seen = Path("../..", path) if verb == "create" else path
            await self._runtime.call(verb, "--console-socket", str(seen), *arguments, container)
            stdin, stdout = receive_terminal(listener)
            return Stdio(stdin, stdout, None, terminal=True)
        finally:
            listener.close()
            path.unlink(missing_ok=True)

    # freeze, thaw, kill, delete

    def _group(self, container: str) -> str:
        return cgroups.container_group(self._sandbox, container)

    async def pause(self, container: str) -> None:
        group = self._group(container)
        try:
            cgroups.set_frozen(self._layout, group, frozen=True)
            with trio.move_on_after(_FREEZE_SECONDS):
                # freezing may fail for a process that is forking or waits for a frozen one; retry
                for poll in count(1):
                    if poll % _REFREEZE_POLLS == 0:
                        cgroups.set_frozen(self._layout, group, frozen=False)
                        await trio.sleep(_POLL_SECONDS)
                        cgroups.set_frozen(self._layout, group, frozen=True)
                    if cgroups.freezer_state(self._layout, group) is FreezerState.FROZEN:
                        return
                    await trio.sleep(_POLL_SECONDS)
        except OSError as error:
            if is_exhaustion(error):
                with self._descriptors.reserve():
                    cgroups.thaw_tree(self._layout, group)
                raise
            raise Unsupported(f"pause of container {container!r}: {error}") from error
        except BaseException:
            cgroups.thaw_tree(self._layout, group)
            raise
        cgroups.thaw_tree(self._layout, group)
        raise AgentError(
            f"pause of container {container!r}: a process of it would not freeze within {_FREEZE_SECONDS:.0f} s",
            status="not frozen",
        )

    async def resume(self, container: str) -> None:
        try:
            with self._descriptors.reserve():
                cgroups.set_frozen(self._layout, self._group(container), frozen=False)
        except OSError as error:
            raise AgentError(f"resume of container {container!r}: {error}", status="no freezer") from error
        await trio.lowlevel.checkpoint()

    async def kill_all(self, container: str) -> None:
        """Freeze, so that no fork escapes; kill; thaw, as v1 processes don't die while frozen; repeat until none is left."""
        self._layers.give_up(container)
        group = self._group(container)
        with trio.move_on_after(_KILL_SECONDS), self._descriptors.reserve():
            while cgroups.members(self._layout, group):
                try:
                    cgroups.set_frozen(self._layout, group, frozen=True)
                    cgroups.kill_members(self._layout, group)
                except FileNotFoundError:
                    pass  # the cgroup vanished with its last member
                finally:
                    cgroups.thaw_tree(self._layout, group)
                await trio.sleep(_POLL_SECONDS)
            return
        raise AgentError(
            f"kill of container {container!r}: processes are left after {_KILL_SECONDS:.0f} s", status="not killed"
        )

    async def delete(self, container: str) -> None:
        with self._descriptors.reserve():
            await self._delete(container)

    async def _delete(self, container: str) -> None:
        self._inits.pop(container, None)
        self._programs.pop(container, None)
        self._oom.forget(container)
        bundle = _BUNDLES / container
        if not bundle.exists():
            await trio.lowlevel.checkpoint()
            return
        if (_STATE / container).exists():
            await self._runtime.call("delete", "--force", container)
        await self._layers.remove(bundle)
        for _ in range(100):
            if cgroups.remove_group(self._layout, self._group(container)):
                return
            await trio.sleep(_POLL_SECONDS)
        raise AgentError(f"delete of container {container!r}: its control group can't be removed", status="busy")

    # counters and limits

    async def update(self, container: str, resources: LinuxResources) -> None:
        apply_resources(self._layout, self._group(container), resources)
        await trio.lowlevel.checkpoint()

    async def stats(self, container: str) -> CgroupStats:
        found = read_counters(self._layout, self._group(container))
        await trio.lowlevel.checkpoint()
        if found is None:
            raise NotFound(f"stats of container {container!r}: its control group is gone", container=container)
        return found

    async def list_pids(self, container: str) -> tuple[int, ...]:
        await trio.lowlevel.checkpoint()
        return tuple(cgroups.members(self._layout, self._group(container)))

    async def list_table(self, container: str, arguments: tuple[str, ...]) -> str:
        return await ps_table(arguments, await self.list_pids(container))

    async def read_text(self, container: str, path: str, most_bytes: int) -> str:
        await trio.lowlevel.checkpoint()
        bundle = _BUNDLES / container
        mounts = msgspec.json.decode((bundle / "config.json").read_bytes())["mounts"]
        return Root(str(bundle / "rootfs")).text_in_mounts(path, mounts, most_bytes)

    async def next_oom(self) -> str:
        return await self._oom.next()


def _program_of(pid: int) -> str:
    """The executable of a process; empty if it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def _still_there(container: str, root: Root) -> None:
    """A rootfs seen through /proc/PID/root of an ended init has no program or directory. Raises: NotFound."""
    if not root.is_directory("/"):
        raise NotFound(f"container {container!r}: it has ended")


def _set_what_runtimes_do_not(pid: int, process: Document) -> None:
    """Set what runtimes don't. In time for an init, which waits for its start; an exec may already run, for some ms.

    RLIMIT_NOFILE: the Go start-up code of runc in the process may raise it to the hard limit after runc has set it. The
    OOM score adjustment: an exec inherits the init's.
    """
    # it may have ended, or the runtime has set it already
    with suppress(OSError, ValueError):
        for number, soft, hard in numbered_rlimits(process):
            if number == resource.RLIMIT_NOFILE:
                resource.prlimit(pid, number, (soft, hard))
    with suppress(OSError):
        if score := process.get("oomScoreAdj"):
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))
