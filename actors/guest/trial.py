"""`python -m actors.guest.trial PROGRAM BUSYBOX SCRATCH NAME`: whether an OCI runtime works here: a container's life as in a guest.

Theory of operation. This process makes a control group, holds it, and forks a pid 1 with the namespaces of a guest, which calls
the runtime: create, start, delete. The fork ends itself when that takes too long, and its pid namespace with it, whatever hangs in there;
should it not, or should this process be killed, the kernel kills it (PDEATHSIG). The control group is NAME's, and is swept here,
or by whoever killed this process. Standard library only and single-threaded, as the launcher is, so that it costs a tenth of a second.

The last line of the output is `works`, or says why it does not; the exit code is 0 or 1.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import KatrioError
from actors.guest import syscalls
from actors.guest.engines.oci_config import bundle_config, process_document
from actors.guest.engines.unified import hide_unified
from actors.node.cgroups import container_group, hold_group, read_layout, sandbox_group, sweep_group

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

WORKS, FAILS = 0, 1
WORKING = "works"
# three calls of 5 to 40 ms; more than a busy machine makes of that
SECONDS = 5
_CODE = 7
_NAME = "trial"


class _Failed(Exception):
    """The text says why."""


def main(argv: Sequence[str]) -> int:
    """The exit code; says what came of it on standard output."""
    program, busybox, scratch, name = argv
    try:
        _try(program, busybox, Path(scratch), name)
    except (_Failed, KatrioError, OSError) as error:
        print(" ".join(str(error).split())[:1000], flush=True)
        return FAILS
    print(WORKING, flush=True)
    return WORKS


def _try(program: str, busybox: str, scratch: Path, name: str) -> None:
    rootfs = scratch / "rootfs"
    (rootfs / "bin").mkdir(parents=True)
    shutil.copy(busybox, rootfs / "bin/sh")
    layout = read_layout()
    group = sandbox_group(name)
    # until the end of this process and its fork
    held = hold_group(layout, group)
    try:
        syscalls.unshare(syscalls.CLONE_NEWPID)
        told, tell = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            os.close(told)
            _in_namespaces(program, scratch, container_group(name, _NAME), tell)
        os.close(tell)
        # closed by its death as well
        ended = bool(select.select((told,), (), (), SECONDS + 1)[0])
        os.kill(child, signal.SIGKILL)
        with open(told, encoding="utf-8", errors="replace") as file:
            why = file.read(2048) if ended else f"it did not end within {SECONDS} s"
    finally:
        swept = sweep_group(layout, group)
        if held is not None:
            os.close(held)
    os.waitpid(child, 0)
    if why != "ok":
        raise _Failed(why or "its first process was killed")
    if not swept:
        raise _Failed("its control group can't be removed")


def _in_namespaces(program: str, scratch: Path, group: str, tell: int) -> None:
    """Never returns."""

    def late(_signum: int, _frame: object) -> None:
        # all else in this namespace dies with its pid 1
        os.write(tell, f"it did not end within {SECONDS} s".encode())
        os._exit(FAILS)

    why = "ok"
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGALRM, late)
        signal.alarm(SECONDS)
        syscalls.enter_namespaces()
        hide_unified()
        _live(program, scratch, group)
    except BaseException as error:
        why = " ".join(str(error).split())[:1000] or type(error).__name__
    os.write(tell, why.encode(errors="replace"))
    os._exit(WORKS)


def _live(program: str, scratch: Path, group: str) -> None:
    process = process_document({"args": ["/bin/sh", "-c", f"exit {_CODE}"]}, {"uid": 0, "gid": 0}, home="/")
    config = bundle_config({"linux": {"resources": {"pids": {"limit": 64}}}}, process, rootfs="rootfs", group=group)
    (scratch / "config.json").write_text(json.dumps(config))
    pid_file = scratch / "pid"
    _call(program, scratch, "create", "--bundle", str(scratch), "--pid-file", str(pid_file), _NAME)
    init = int(pid_file.read_text())
    _call(program, scratch, "start", _NAME)
    status = os.waitpid(init, 0)[1]
    if os.waitstatus_to_exitcode(status) != _CODE:
        raise _Failed(f"its process should have ended with {_CODE}, and has status {status}")
    _call(program, scratch, "delete", "--force", _NAME)


def _call(program: str, scratch: Path, verb: str, *arguments: str) -> None:
    log = scratch / f"{verb}.log"
    argv = [program, "--root", str(scratch / "state"), "--log", str(log), verb, *arguments]
    actions = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    pid = os.posix_spawn(program, argv, dict(os.environ), file_actions=actions)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        raise _Failed(f"{verb} ended with {code}: {said[-1][:500]}" if said else f"{verb} ended with {code}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
