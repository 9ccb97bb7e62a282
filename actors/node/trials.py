"""The engine that is taken where none is named: the faster runtime where a trial showed that it works, else as `choose_engine` says.

Theory of operation. A runtime that is installed may not work: built without what this kernel needs, too old for its control groups,
kept by a sandbox from what it wants. So the faster one is tried once, in a process of its own (`actors.guest.trial`): a container
is created, started and deleted as a guest would. The result is kept, with what it depends on: the program's file and version, the
boot, the control groups, and katrio itself; any other of those, and it is tried anew. One process tries at a time, and the others
wait for its result. A trial that hangs is killed with all that it started: its processes are in a pid namespace that dies with it, and its
control group is swept, here or by the next sweep. A trial that fails costs a warning and nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from actors import VERSION
from actors.errors import KatrioError
from actors.node.busybox import INSTALL, end_of_child
from actors.node.cgroups import read_layout, sandbox_group, sweep_group
from actors.node.facts import Facts, choose_engine, missing_for, read_facts
from actors.node.locks import lock_file
from actors.node.places import OWN_ADVICE, default_place, make_own
from actors.words import AUTO, FASTER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["find_engine", "kept_result", "run_trial", "tried"]

_log = logging.getLogger("katrio")

# it takes 0.2 s, ends itself after 5 s (`actors.guest.trial`), and is killed when it does not
TRIAL_SECONDS = 10.0
# of one result, and of what a trial says
_RESULT_BYTES = 4096
_MODULE, _WORKING = "actors.guest.trial", "works"


def find_engine(wanted: str = AUTO) -> tuple[str, str]:
    """See `choose_engine`; may take as long as a trial, once. Raises: as `choose_engine`."""
    facts = read_facts()
    if wanted == AUTO:
        facts = tried(facts)
    return choose_engine(facts, wanted)


def tried(facts: Facts, *, anew: bool = False) -> Facts:
    """The facts with the trial's result, if there is anything to try; `anew`: whatever was found before.

    The logger says once that it failed, but to who wants it tried anew.
    """
    tool = facts.tool(FASTER)
    if tool is None or missing_for(facts, FASTER):
        return facts
    if facts.busybox is None:
        return facts._replace(trial=f"there is nothing to run in it; {INSTALL}")
    place = default_place(os.environ, os.geteuid(), "trials")
    busybox = facts.busybox
    try:
        make_own(place, 0o700, "the results of trials", OWN_ADVICE)
        found = os.stat(tool.path)
        of: dict[str, str | int] = {
            "program": os.path.realpath(tool.path),
            "version": tool.version,
            "modified": found.st_mtime_ns,
            "bytes": found.st_size,
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "cgroups": str(facts.cgroups),
            "katrio": VERSION,
        }
        failed, new = kept_result(place, of, lambda: run_trial(tool.path, busybox, place / "scratch"), anew=anew)
    except (KatrioError, OSError) as error:
        return facts._replace(trial=f"it can't be tried: {error}")
    if failed and new and not anew:
        _log.warning("%s is here and failed its trial: %s", FASTER, failed)
    return facts._replace(trial=failed)


def kept_result(
    place: Path, of: Mapping[str, str | int], trial: Callable[[], str], *, anew: bool = False
) -> tuple[str, bool]:
    """Why the trial of `of` failed, empty if it did not, and whether that was found out just now.

    Args:
        place: a directory of ours, for results and the lock.
        of: all that the result depends on.

    Raises: OSError.
    """
    result = place / f"{FASTER}.json"
    kept = None if anew else _read(result, of)
    if kept is not None:
        return kept, False
    lock = lock_file(place / "lock", wait=True)
    assert lock is not None, "it was waited for"
    try:
        # somebody else may have tried meanwhile
        kept = None if anew else _read(result, of)
        if kept is not None:
            return kept, False
        failed = trial()
        written = result.with_suffix(".new")
        written.write_text(json.dumps({"of": of, "failed": failed}))
        written.replace(result)
        return failed, True
    finally:
        os.close(lock)


def _read(result: Path, of: Mapping[str, str | int]) -> str | None:
    try:
        with result.open(encoding="utf-8") as file:
            kept = json.loads(file.read(_RESULT_BYTES))
        return str(kept["failed"]) if kept["of"] == of else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def run_trial(
    program: str, busybox: str, scratch: Path, *, module: str = _MODULE, seconds: float = TRIAL_SECONDS
) -> str:
    """Why a trial of the runtime failed, in one line; empty if it works. Nothing of it is left.

    Args:
        scratch: a directory of the trial's own, made and removed; what an earlier one left there is removed first.

    Raises: OSError: no process can be started, or the directory can't be made.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    try:
        return _told(program, busybox, scratch, module, seconds)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _told(program: str, busybox: str, scratch: Path, module: str, seconds: float) -> str:
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    directory = f"trial-{os.urandom(8).hex()}"
    argv = [sys.executable, "-P", "-m", module, program, busybox, str(scratch), directory]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, write_end, 1),
        (os.POSIX_SPAWN_DUP2, write_end, 2),
    ]
    try:
        # a session of its own: ^C is for us, and we end it
        pid = os.posix_spawn(
            argv[0], argv, dict(os.environ), file_actions=actions, setsid=True, setsigdef=(signal.SIGCHLD,)
        )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    ended = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        in_time = bool(poll.poll(seconds * 1000))
    finally:
        # gone at once when it has ended, where SIGCHLD is ignored
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(ended, signal.SIGKILL)
        os.close(ended)
        status = end_of_child(pid)
        with open(read_end, "rb", closefd=True) as file:
            # it is dead, and what it has started may hold the other end
            os.set_blocking(read_end, False)
            said = file.read(_RESULT_BYTES // 2) or b""
    if not in_time:
        # as it was killed before it could
        sweep_group(read_layout(), sandbox_group(directory))
        return f"it did not end within {seconds:g} s"
    lines = [line.strip() for line in said.decode("utf-8", "replace").split("\n") if line.strip()]
    # its word and not its status, which is lost where SIGCHLD is ignored
    if lines and lines[-1] == _WORKING:
        return ""
    return lines[-1] if lines else f"it ended with status {status} and without a word"
