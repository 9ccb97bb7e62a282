"""Containers as plain processes: own sessions, stopped and continued by signals, without any isolation.

For machines without an OCI runtime or root, and for fast tests. They see this machine's files and network;
rlimits are applied, and what can't be applied is refused (`enforced`). Which processes belong to a container, and
which can escape: `membership`. A process that was stopped by job control is continued by resume.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import trio

from actors.errors import AgentError, InvalidArgument, Unsupported
from actors.guest.engines.enforced import refuse_unenforced
from actors.guest.engines.executables import cannot_run, check_format
from actors.guest.engines.membership import Membership
from actors.guest.engines.oci_config import Document, process_document
from actors.guest.engines.process import RealProcess, Stdio
from actors.guest.engines.pstable import ps_table
from actors.guest.engines.resources import plan_resources
from actors.guest.engines.rlimits import check_rlimits, numbered_rlimits, refuse_raising
from actors.guest.engines.rootfs import Root
from actors.guest.engines.streams import open_pipes, set_terminal_size, terminal_ends
from actors.node.cgroups import container_group
from actors.node.exhaustion import is_exhaustion, raise_if_exhausted, told_when_exhausted
from actors.node.marks import CONTAINER_VARIABLE, TOKEN_VARIABLE, descendants, signal_exactly
from actors.node.users import run_as
from actors.schemas.oci import LinuxResources
from actors.wire.spec import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from actors.guest.descriptors import Descriptors
    from actors.guest.engines.reaper import Reaped, Reaper
    from actors.node.marks import ProcessFact
    from actors.schemas.oci import Process, Spec
    from actors.schemas.stats import CgroupStats

__all__ = ["ProcessEngine"]

_GATES = Path("gates")
_STOP_SECONDS = 5.0
_KILL_SECONDS = 10.0
_POLL_SECONDS = 0.002
_RELEASE_LOOKS = 10
_IDS_IN_A_WORD = 10_000
# restores the guest's initial limit of descriptors, waits at the gate, opens the terminal, which makes it the session's
# controlling terminal, and executes the program
_SHIM = (
    'ulimit -S -n "$1"; gate=$2 tty=$3; shift 3; [ -z "$gate" ] || read -r _ <"$gate" || exit 137; '
    '[ -z "$tty" ] || exec 0<>"$tty"; exec "$@"'
)
# the same with what a shell can't do: rlimits and a change of user, who could open neither the gate, in a directory of
# ours, nor the terminal, so both are opened before. Python's start-up ignores two signals
_CHANGING = """
import os, resource, signal, sys
limit, gate, tty, limits, score, words = sys.argv[1:7]
identity, command = sys.argv[7 : 7 + int(words)], sys.argv[7 + int(words) :]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for number in signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ:
    signal.signal(number, signal.SIG_DFL)
if gate and not open(gate).readline():
    sys.exit(137)
uid, gid, *groups = [int(number) for word in identity for number in word.split()] or [-1, -1]
if tty:
    terminal = os.open(tty, os.O_RDWR)
    os.fchown(terminal, uid, -1)
    os.dup2(terminal, 0)
if score:
    open("/proc/self/oom_score_adj", "w").write(score)
for word in limits.split():
    number, soft, hard = map(int, word.split(":"))
    resource.setrlimit(number, (soft, hard))
if identity:
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
try:
    os.execv("/bin/sh", ["sh", "-c", 'exec "$@"', "sh", *command])
except (OSError, MemoryError):
    os._exit(126)
"""


class _Container:
    def __init__(self, mark: str, gate: Path) -> None:
        self.members = Membership(mark)
        self.gate = gate
        self.init: RealProcess | None = None


class ProcessEngine:
    """See `Engine`. The working directory is the guest's own, and must not change during its lifetime."""

    def __init__(self, *, sandbox_directory: str, reaper: Reaper, token: str, descriptors: Descriptors) -> None:
        """`token` marks every process for the sweep; empty where a pid namespace makes that needless."""
        self._sandbox = sandbox_directory
        self._reaper = reaper
        self._token = token
        self._descriptors = descriptors
        self._containers: dict[str, _Container] = {}

    @property
    def name(self) -> str:
        return "processes"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        os.makedirs(_GATES, mode=0o700, exist_ok=True)
        await self._reaper.run(task_status=task_status)

    async def create(self, container: str, spec: Spec) -> RealProcess:
        resources = (spec.linux and spec.linux.resources) or LinuxResources()
        # every client of a runtime sends device rules, which grant as much as they deny
        _refuse_limits(container, msgspec.structs.replace(resources, devices=()))
        document: Document = msgspec.to_builtins(spec)
        refuse_unenforced(self.name, container, document)
        found = _Container(container_group(self._sandbox, container), (_GATES / container).absolute())
        os.mkfifo(found.gate, 0o600)
        self._containers[container] = found
        try:
            found.init = await self._spawn(container, document.get("process") or {}, found.gate)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.delete(container)
            raise
        return found.init

    async def start(self, container: str) -> None:
        found = self._containers[container]
        assert found.init is not None
        while found.init.reaped.status is None:
            try:
                # no reader yet: the shim has not reached its gate
                gate = os.open(found.gate, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                raise_if_exhausted(error)
                await trio.sleep(_POLL_SECONDS)
                continue
            os.write(gate, b"\n")
            os.close(gate)
            return

    async def exec(self, container: str, process: Process) -> RealProcess:
        document: Document = msgspec.to_builtins(process)
        refuse_unenforced(self.name, container, {"process": document})
        return await self._spawn(container, document, None)

    async def _spawn(self, container: str, asked: Document, gate: Path | None) -> RealProcess:
        found = self._containers[container]
        document = process_document(asked, {})
        argv = _command(document, asked.get("user") or {})
        mark = container_group(self._sandbox, container)
        environment = dict(entry.partition("=")[::2] for entry in document["env"])
        environment |= {CONTAINER_VARIABLE: mark} | ({TOKEN_VARIABLE: self._token} if self._token else {})
        with told_when_exhausted(f"a process of container {container!r}"), _open_stdio(asked) as (stdio, children, tty):
            try:
                with self._reaper.spawning():
                    process = await trio.lowlevel.open_process(
                        argv(str(self._descriptors.inherited), str(gate or ""), tty),
                        cwd=document["cwd"],
                        stdin=children[0],
                        stdout=children[1],
                        stderr=children[2],
                        env=environment,
                        start_new_session=True,
                    )
                    reaped = await self._watched(process)
            except OSError as error:
                if is_exhaustion(error):
                    raise
                if error.errno == errno.E2BIG:
                    raise cannot_run(document["args"][0], "argument list too long") from error
                raise Unsupported(f"a process of container {container!r} can't be run as asked: {error}") from error
        found.members.add(process.pid)
        return RealProcess(reaped, stdio)

    async def _watched(self, process: trio.Process) -> Reaped:
        """Raises: OSError, and then the process is gone."""
        try:
            return self._reaper.spawned(process)
        except BaseException:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            raise

    async def pause(self, container: str) -> None:
        members = self._containers[container].members
        try:
            with trio.move_on_after(_STOP_SECONDS):
                # two consecutive scans must see every process stopped: then none can have forked in between
                for look in itertools.count(1):
                    facts = members.look()
                    moving = [fact for fact in facts if not fact.stopped]
                    if not moving:
                        return
                    if look % _RELEASE_LOOKS == 0:
                        _release(facts)
                    for fact in moving:
                        signal_exactly(fact, signal.SIGSTOP)
                    await trio.sleep(_POLL_SECONDS)
        except BaseException:
            self._signal_members(container, signal.SIGCONT)
            raise
        self._signal_members(container, signal.SIGCONT)
        raise AgentError(f"pause of container {container!r}: a process of it would not stop", status="not stopped")

    async def resume(self, container: str) -> None:
        with self._descriptors.reserve():
            self._signal_members(container, signal.SIGCONT)
        await trio.lowlevel.checkpoint()

    def _signal_members(self, container: str, signum: int) -> int:
        return sum(signal_exactly(fact, signum) for fact in self._containers[container].members.look())

    async def kill_all(self, container: str) -> None:
        if container not in self._containers:
            await trio.lowlevel.checkpoint()
            return
        with trio.move_on_after(_KILL_SECONDS), self._descriptors.reserve():
            while True:
                if self._signal_members(container, signal.SIGKILL) == 0:
                    return
                await trio.sleep(_POLL_SECONDS)
        raise AgentError(f"kill of container {container!r}: processes are left", status="not killed")

    async def delete(self, container: str) -> None:
        await self.kill_all(container)
        found = self._containers.pop(container, None)
        if found is not None:
            found.gate.unlink(missing_ok=True)
        await self._kill_strays()

    async def _kill_strays(self) -> None:
        """A process that left its container (see `Membership`) is still the guest's child; killed when no container is left."""
        # the guest's own helpers stay in its session, which a container's process can't join
        own = os.getsid(0)
        with trio.move_on_after(_KILL_SECONDS), self._descriptors.reserve():
            while not self._containers:
                strays = [fact for fact in descendants(os.getpid()) if fact.session != own]
                if not strays:
                    return
                for fact in strays:
                    signal_exactly(fact, signal.SIGKILL)
                await trio.sleep(_POLL_SECONDS)

    async def update(self, container: str, resources: LinuxResources) -> None:
        await trio.lowlevel.checkpoint()
        _refuse_limits(container, resources)

    async def stats(self, container: str) -> CgroupStats:
        await trio.lowlevel.checkpoint()
        raise Unsupported(
            f"stats of container {container!r}: plain processes have no control group to count; use the runc engine"
        )

    async def list_pids(self, container: str) -> tuple[int, ...]:
        await trio.lowlevel.checkpoint()
        return tuple(fact.pid for fact in self._containers[container].members.look())

    async def list_table(self, container: str, arguments: tuple[str, ...]) -> str:
        return await ps_table(arguments, await self.list_pids(container))

    async def read_text(self, container: str, path: str, most_bytes: int) -> str:
        await trio.lowlevel.checkpoint()
        raise Unsupported(f"container {container!r}: plain processes have no root of their own to read from")

    async def next_oom(self) -> str:
        await trio.sleep_forever()
        raise AssertionError("never")


def _refuse_limits(container: str, resources: LinuxResources) -> None:
    """Only unlimited values are possible. Raises: Unsupported, naming the field."""
    for write in plan_resources(resources, version=1):
        if write.text not in ("-1", "max"):
            raise Unsupported(
                f"container {container!r}: plain processes have no control group, so that resources.{write.field} has no "
                "effect; use the runc engine, or leave it out",
                field=write.field,
            )


def _release(facts: list[ProcessFact]) -> None:
    """Continue briefly those whose parent waits for their execve (vfork): while they are stopped, the parent can't
    stop either."""
    waiting = {fact.pid for fact in facts if fact.state == "D"}
    for fact in facts:
        if fact.stopped and fact.parent in waiting:
            signal_exactly(fact, signal.SIGCONT)


def _command(document: Document, user: Document) -> Callable[[str, str, str], list[str]]:
    """The command as a function of descriptor limit, gate path and terminal; validated so that errors name a field.

    Raises: InvalidArgument, Unsupported.
    """
    if not document.get("args"):
        raise InvalidArgument("the process has no program to run: args is empty", field="args")
    cwd = document["cwd"]
    if not os.path.isabs(cwd) or not os.path.isdir(cwd):
        raise InvalidArgument(f"cwd {cwd!r}: no such directory", field="cwd")
    path = next(entry[5:] for entry in document["env"] if entry.startswith("PATH="))
    program: str = document["args"][0]
    found_program = shutil.which(os.path.join(cwd, program) if "/" in program else program, path=path)
    if found_program is None:
        raise cannot_run(program, "no such executable on this machine")
    # else the shell at the gate would run a file of unknown format as a script
    check_format(Root("/"), found_program, [], cwd)
    found = run_as(user, lambda file: Path(file).read_text())
    uid, gid, groups = found.uid, found.gid, found.groups
    if not _may_execute(found_program, uid, {gid, *groups}):
        raise cannot_run(program, f"permission denied for uid {uid}")
    # keeping our own identity needs no privileges
    stays = (uid, gid) in ((0, 0), (os.geteuid(), os.getegid())) and not groups
    if not stays and os.geteuid() != 0:
        raise Unsupported(f"user {uid}:{gid}: only root can run a process as somebody else", field="user")
    check_rlimits(document)
    refuse_raising(document)
    limits = " ".join("{}:{}:{}".format(*limit) for limit in numbered_rlimits(document))
    score = str(document.get("oomScoreAdj") or "")
    if stays and not limits and not score:
        return lambda limit, gate, tty: ["/bin/sh", "-c", _SHIM, "sh", limit, gate, tty, *document["args"]]
    ids = () if stays else (uid, gid, *groups)
    # the kernel accepts long command lines, but no single argument over 128 KiB
    identity = [" ".join(map(str, ids[at : at + _IDS_IN_A_WORD])) for at in range(0, len(ids), _IDS_IN_A_WORD)]
    last = (limits, score, str(len(identity)), *identity, *document["args"])
    changing = [sys.executable, "-IS", "-c", _CHANGING]
    return lambda limit, gate, tty: [*changing, limit, gate, tty, *last]


def _may_execute(path: str, uid: int, groups: set[int]) -> bool:
    status = os.stat(path)
    own = 0o100 if status.st_uid == uid else 0o010 if status.st_gid in groups else 0o001
    return bool(status.st_mode & (0o111 if uid == 0 else own))


@contextmanager
def _open_stdio(asked: Document) -> Generator[tuple[Stdio, tuple[int, int, int], str]]:
    """Our ends, the process's, and its terminal's name; the process's are closed on exit, ours on failure."""
    if not asked.get("terminal"):
        with open_pipes() as (ours, theirs):
            yield Stdio(*ours, terminal=False), theirs, ""
        return
    master, slave = os.openpty()
    with ExitStack() as stack:
        stack.callback(os.close, slave)
        stdin, stdout = terminal_ends(master)
        stdio = Stdio(stdin, stdout, None, terminal=True)
        with ExitStack() as ours:
            ours.callback(stdio.close)
            if size := asked.get("consoleSize"):
                set_terminal_size(master, TerminalSize(int(size["height"]), int(size["width"])))
            yield stdio, (slave, slave, slave), os.ttyname(slave)
            ours.pop_all()
