"""The launcher: the parent process of a guest, which outlives it for cleaning up.

Theory of operation. The launcher claims the run directory (a lock held for life), unshares a pid namespace and forks the guest as its
pid 1. It then polls three things: a pipe whose other end only the guest holds (end of file: the guest is dead), SIGTERM and
SIGINT, and its standard input, the control socket whose other end the host process holds (end of file: the host is gone). The last
two mean: SIGTERM to the guest, SIGKILL after 10 s. When the guest is dead the launcher thaws its cgroups, as a frozen process keeps the
namespace alive, reaps it, kills what is left and sweeps. If the launcher itself dies, the kernel kills the guest (PDEATHSIG), and with it
its namespace; the lock is then free, and the next `katrio` command sweeps. It is a fork of the template (`template`) and single-threaded:
a process that has unshared its pid namespace can't start threads.

Exit codes: 0 ended on request (SIGTERM, or the host's end) with nothing left; 3 could not start, see the log;
4 the guest ended by itself; 5 something could not be removed, and the next sweep will retry.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from actors.errors import KatrioError
from actors.guest import syscalls
from actors.node import rundir
from actors.node.cgroups import hold_group, read_layout, thaw_tree
from actors.node.marks import kill_descendants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.limits import Limits
    from actors.node.cgroups import CgroupLayout
    from actors.node.protocols import GuestProtocol
    from actors.node.rundir import Owner, RunDirectory

__all__ = ["Kind", "Serve", "launch", "receive", "report"]

DONE, NOT_BEGUN, GUEST_ENDED, NOT_CLEAN = 0, 3, 4, 5
# an orderly shutdown kills and deletes every container first; the host's limit for the whole shutdown is 20 s
_ORDERLY_MS = 10_000
_DEATH_MS = 1_000
_ASKING = (signal.SIGTERM, signal.SIGINT)


class Kind(NamedTuple):
    """What all guests of one template have in common."""

    engine: str
    protocol: GuestProtocol
    limits: Limits


class Serve(Protocol):
    """The guest's main, called in its process; see `actors.guest.serve.serve`."""

    def __call__(
        self,
        directory: RunDirectory,
        engine: str,
        protocol: GuestProtocol,
        limits: Limits,
        /,
        *,
        namespaces: bool,
        token: str,
    ) -> int:
        """Returns the exit code."""
        ...


def report(fact: Mapping[str, int], *descriptors: int) -> None:
    """Tell the host something, with a descriptor that it gets a copy of; ours is closed. A host that is gone is not told."""
    with socket.socket(fileno=os.dup(0)) as control:
        try:
            socket.send_fds(control, [json.dumps(fact).encode()], descriptors)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def receive() -> bytes:
    """What the host sends; nothing at its end."""
    try:
        return os.read(0, 65536)
    except ConnectionResetError:
        return b""  # it was killed before it had read our last report


def launch(sandbox: str, path: str, kind: Kind, serve: Serve) -> int:
    """Run one guest in the run directory `path`, which must not exist; returns the exit code."""
    syscalls.name_process("katrio-launcher")
    try:
        directory = rundir.RunDirectory(Path(path))
        layout = read_layout()
        # `_lock` is held until this process and its fork have exited
        owner, _lock = rundir.claim(directory, layout)
    except (KatrioError, OSError) as error:
        print(f"guest of sandbox {sandbox!r} can't begin: {error}", file=sys.stderr)
        return NOT_BEGUN
    code = NOT_BEGUN
    try:
        # held as long as the lock
        _group = None if kind.engine == "processes" else hold_group(layout, owner.group)
        code = _Launcher(sandbox, kind, directory, owner, layout, serve).run()
    except (KatrioError, OSError) as error:
        print(f"guest of sandbox {sandbox!r} can't begin: {error}", file=sys.stderr)
    swept = rundir.sweep_own(directory, layout, owner)
    # the host reads the log of a guest that ended by itself, and removes it; without a host nobody will
    if code == DONE or select.select((0,), (), (), 0)[0]:
        directory.log.unlink(missing_ok=True)
    return code if swept.clean else NOT_CLEAN


def _leave_namespaces(engine: str) -> bool:
    """Make the next fork pid 1 of a new pid namespace; False where that is refused but not required."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        if uid == 0:
            syscalls.unshare(syscalls.CLONE_NEWPID)
        else:
            syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWPID)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        if engine != "processes":
            raise
        print(f"no namespaces for the guest ({error}): its processes see this machine's", file=sys.stderr)
        return False
    return True


def _heed_signals() -> None:
    """Signals that the host ignores (e.g. SIGHUP under nohup) must not be ignored in containers too."""
    # Python's own two are restored whenever a program is started
    for signum in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)


class _Launcher:
    def __init__(
        self, sandbox: str, kind: Kind, directory: RunDirectory, owner: Owner, layout: CgroupLayout, serve: Serve
    ) -> None:
        self._sandbox = sandbox
        self._kind = kind
        self._directory = directory
        self._owner = owner
        self._layout = layout
        self._serve = serve

    def run(self) -> int:
        """Fork the guest, wait for its end, and for its namespace's."""
        _heed_signals()
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write)
        for signum in _ASKING:
            signal.signal(signum, lambda _signum, _frame: None)
        namespaces = _leave_namespaces(self._kind.engine)
        # each side keeps one end of each pipe: its death is end of file on the other side
        launcher_alive, launcher_end = os.pipe2(os.O_CLOEXEC)
        guest_alive, guest_end = os.pipe2(os.O_CLOEXEC)
        # a signal between the fork and the guest's own handlers stays pending
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
        guest = os.fork()
        if guest == 0:
            os.close(launcher_end)
            os.close(guest_alive)
            os.close(wake_read)
            signal.set_wakeup_fd(-1)
            os.close(wake_write)
            self._become_guest(launcher_alive, guest_end, namespaces=namespaces)
        if not namespaces:
            # processes that outlive the guest become our children, whatever they did to their environment
            syscalls.become_subreaper()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKING)
        os.close(launcher_alive)
        os.close(guest_end)
        report({"guest": guest}, os.pidfd_open(guest))
        return self._watch(guest, guest_alive, wake_read)

    def _become_guest(self, launcher_alive: int, guest_end: int, *, namespaces: bool) -> None:
        """Never returns."""
        code = 70
        try:
            syscalls.die_with_parent(signal.SIGKILL)
            syscalls.name_process("katrio-guest")
            if select.select([launcher_alive], (), (), 0)[0]:
                os._exit(code)  # the launcher died before PR_SET_PDEATHSIG took effect
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.close(null)
            if namespaces:
                _furnish(self._directory.state)
            else:
                syscalls.become_subreaper()
            os.chdir(self._directory.state)
            code = self._serve(self._directory, *self._kind, namespaces=namespaces, token=self._owner.token)
        except BaseException as error:
            print(f"the guest of sandbox {self._sandbox!r} failed: {error!r}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            del guest_end
            os._exit(code)

    def _watch(self, guest: int, guest_alive: int, wake: int) -> int:
        """Wait until the guest has ended. Its pidfd alone is not enough: a frozen container delays the exit of a killed pid 1,
        while its end of the pipe is closed at once."""
        pidfd = os.pidfd_open(guest)
        poll = select.poll()
        poll.register(guest_alive, select.POLLIN)
        poll.register(wake, select.POLLIN)
        poll.register(0, select.POLLIN)
        asked = False
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(_ORDERLY_MS if asked else None)}
            if guest_alive in ready:
                break
            if not ready:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                asked = True
                continue
            if wake in ready:
                os.read(wake, 64)
            elif 0 in ready and receive():
                continue  # the host says nothing more: only its end counts
            if 0 in ready:
                poll.unregister(0)
            if not asked:
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            asked = True
        return self._reap(guest, pidfd, asked=asked)

    def _reap(self, guest: int, pidfd: int, *, asked: bool) -> int:
        """Thaw first: a frozen process keeps the namespace, and so the guest's zombie, alive."""
        thaw_tree(self._layout, self._owner.group)
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        while not ended.poll(_DEATH_MS):
            thaw_tree(self._layout, self._owner.group)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        _, status = os.waitpid(guest, 0)
        # only needed without a pid namespace
        kill_descendants(os.getpid())
        if os.waitstatus_to_exitcode(status) != 0:
            print(
                f"the guest of sandbox {self._sandbox!r} ended with {os.waitstatus_to_exitcode(status)}",
                file=sys.stderr,
            )
            return GUEST_ENDED
        return DONE if asked else GUEST_ENDED


def _furnish(state: Path) -> None:
    """The guest's own namespaces and mounts: /proc for its pids, a private tmpfs, a loopback device."""
    syscalls.enter_namespaces()
    syscalls.mount("tmpfs", str(state), "tmpfs", syscalls.MS_NOSUID, "mode=0700")
    syscalls.loopback_up()
