"""What runtimes' words mean, row by row, by messages that runc 1.1.5 and crun 1.8.1 gave; `engine_refusals` asks the real ones."""

from __future__ import annotations

import re
from typing import Any

import pytest

from actors.errors import AgentError, KatrioError
from actors.guest.engines.refusals import ROWS, raise_as_told
from actors.guest.engines.runtime import RuntimeFailed

RUNC = "runc create: runc create failed: unable to start container process: error during container init: "
RUNC_EXEC = "runc exec: exec failed: unable to start container process: "
CRUN = "crun create: "
MOUNTS = [
    {"destination": "/good", "source": "/here", "type": "bind", "options": ["rbind"]},
    {"destination": "/mnt", "source": "/nope", "type": "bind", "options": ["rbind", "ro"]},
    {"destination": "/etc/passwd/x/", "source": "/dir", "type": "bind", "options": ["rbind"]},
    {"destination": "/proc/x", "source": "/dir", "type": "bind", "options": ["bind"]},
    {"destination": "/temp", "source": "tmpfs", "type": "tmpfs", "options": ["size=abc", "ro"]},
    {"destination": "/fs", "source": "x", "type": "nosuchfs"},
]
CONFIG: dict[str, Any] = {
    "mounts": MOUNTS,
    "linux": {"maskedPaths": ["/etc/shadow/x"], "readonlyPaths": ["/etc/group/x"]},
}

# words of the runtime; the code, the field (or state) and words of what its client hears
TOLD = (
    (RUNC + 'error mounting "/nope" to rootfs at "/mnt": stat /nope: no such file or directory',
     "invalid_argument", "mounts", "mount of '/nope' on '/mnt': source: no such file or directory"),
    (RUNC + 'error mounting "/dir" to rootfs at "/etc/passwd/x/": open o_path procfd: open /b/rootfs/etc/passwd/x: not a directory',
     "invalid_argument", "mounts", "'/etc/passwd/x/': destination: not a directory"),
    (RUNC + 'error mounting "/dir" to rootfs at "/proc/x": "/b/rootfs/proc/x" cannot be mounted because it is inside /proc',
     "invalid_argument", "mounts", "destination: cannot be mounted because it is inside /proc"),
    (RUNC + 'error mounting "/nope" to rootfs at "/mnt": mount /nope:/mnt (via /proc/self/fd/6), flags: 0x5000: not a directory',
     "invalid_argument", "mounts", "mount of '/nope' on '/mnt': not a directory"),
    (RUNC + 'error mounting "x" to rootfs at "/fs": mount x:/fs (via /proc/self/fd/6): no such device',
     "invalid_argument", "mounts", "no file system 'nosuchfs'"),
    (RUNC + 'error mounting "tmpfs" to rootfs at "/temp": mount tmpfs:/temp (via /proc/self/fd/6), data: size=abc: invalid argument',
     "invalid_argument", "mounts", "refuses its options 'size=abc,ro'"),
    (CRUN + "error stat'ing file `/nope`: No such file or directory",
     "invalid_argument", "mounts", "mount of '/nope' on '/mnt': source: no such file or directory"),
    (CRUN + "mount `x` to `fs`: No such device", "invalid_argument", "mounts", "no file system 'nosuchfs'"),
    (CRUN + "mount `tmpfs` to `temp`: Invalid argument", "invalid_argument", "mounts", "refuses its options 'size=abc,ro'"),
    (CRUN + "invalid mount type for `/fs`", "invalid_argument", "mounts", "on '/fs': its type is unknown"),
    (CRUN + "mkdir `/etc/passwd`: Not a directory", "invalid_argument", "mounts", "'/etc/passwd/x/': destination: not a directory"),
    (RUNC_EXEC + "unable to setup user: unable to find user 0: bufio.Scanner: token too long",
     "invalid_transition", "no users", "its own /etc/passwd or /etc/group can't be read (bufio.Scanner: token too long)"),
    (RUNC_EXEC + "unable to setup user: unable to find user 7: read /etc/passwd: input/output error",
     "invalid_transition", "no users", "(read /etc/passwd: input/output error)"),
    (RUNC_EXEC + "unable to setup user: setenv: invalid argument", "invalid_transition", "no users", "(setenv: invalid argument)"),
    (RUNC_EXEC + "error setting rlimits for process: error setting rlimit type 7: operation not permitted",
     "invalid_argument", "process.rlimits", "operation not permitted"),
    ("crun exec: setrlimit `RLIMIT_NOFILE`: Operation not permitted", "invalid_argument", "process.rlimits", "operation not permitted"),
    (CRUN + "write to /proc/self/oom_score_adj: Permission denied", "permission_denied", "process.oomScoreAdj", "permission denied"),
    (RUNC + "can't mask path /etc/shadow/x: mount tmpfs:/etc/shadow/x, flags: 0x1: not a directory",
     "invalid_argument", "linux.maskedPaths", "'/etc/shadow/x': not a directory"),
    (CRUN + "open `etc/shadow/x`: Not a directory", "invalid_argument", "linux.maskedPaths", "not a directory"),
    (CRUN + "open `etc/group/x`: Not a directory", "invalid_argument", "linux.readonlyPaths", "not a directory"),
    (RUNC + 'can\'t make "/etc/group/x" read-only: not a directory',
     "invalid_argument", "linux.readonlyPaths", "'/etc/group/x': not a directory"),
    (RUNC + "error creating device nodes: mkdir /b/rootfs/etc/passwd: not a directory",
     "invalid_argument", "linux.devices", "not a directory"),
    (CRUN + "mknod `/etc/passwd/q`: Not a directory", "invalid_argument", "linux.devices", "not a directory"),
)  # fmt: skip
# about what the client did not ask for, or what nobody has seen
UNTOLD = (
    CRUN + "mount `proc` to `proc`: Operation not permitted",
    CRUN + "mkdir `/dev/pts`: No space left on device",
    CRUN + "open `etc/hosts`: Permission denied",
    RUNC + 'error mounting "proc" to rootfs at "/proc": permission denied',
    RUNC_EXEC + "read init-p: connection reset by peer (possibly OOM-killed)",
    "crun exec: exit code 255 without a message",
    "crun exec: did not end within 30 s and was killed, with what it had started",
)


def told(message: str) -> KatrioError:
    with pytest.raises(KatrioError) as error:
        raise_as_told(RuntimeFailed(message, status=1), "c1", CONFIG)
    return error.value


@pytest.mark.parametrize(("message", "code", "about", "words"), TOLD)
def test_a_row(message: str, code: str, about: str, words: str) -> None:
    error = told(message)
    assert error.code == code
    assert about in (error.details.get("field"), error.details.get("state"))
    assert words in error.message
    assert isinstance(error.__cause__, RuntimeFailed), "the runtime's own words are not lost to who debugs"


@pytest.mark.parametrize("message", UNTOLD)
def test_what_no_row_knows_stays_as_it_was(message: str) -> None:
    error = told(message)
    assert isinstance(error, AgentError)
    assert error.message == message
    assert error.details == {"status": 1}


def test_every_row_has_a_message() -> None:
    """One that no recorded message needs is dead, or hides a later one."""
    for row in ROWS:
        assert any(re.search(row.pattern, message, re.DOTALL) for message, *_ in TOLD), row.pattern
