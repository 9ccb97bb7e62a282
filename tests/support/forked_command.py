"""`katrio` in a fork of a process that has imported all of it: what a command does, without the half second of Python's own start.

A server, one for each process that runs tests, started with the first command. It has one thread and no loop, imports what the
commands import, and forks for each request: the child gets the caller's environment, folder and standard streams, and goes through
the command's `main` and Python's end as any other. It knows nothing of tests. Not for what happens before `main`, nor for who has
to be signalled: those are started as they are typed.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

__all__ = ["ROOT", "forked", "server_of_commands"]

ROOT = Path(__file__).resolve().parents[2]
_REQUEST_BYTES = 128 * 1024
_one_at_a_time = threading.Lock()
# what commands import for their work, beside their own declarations
_COMMANDS = (
    *("call.command", "completion", "conformance", "diff", "doctor", "files", "guest", "record", "run", "seeds", "sweep", "verbs"),
)  # fmt: skip


def _serve(requests: socket.socket) -> None:
    """Until nobody can ask any more. Returns in each child as well, which is a command from then on."""
    from actors.cli.commands import COMMANDS

    for command in COMMANDS.values():
        command.load()
    for name in _COMMANDS:
        importlib.import_module(f"actors.cli.{name}")
    assert len(os.listdir("/proc/self/task")) == 1, "a child would have one thread, and what the others hold"
    # what a child does not touch is not copied for it
    gc.collect()
    gc.freeze()
    while True:
        data, streams, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, 3)
        if not data:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            requests.close()
            asked = json.loads(data)
            for target, stream in enumerate(streams):
                os.dup2(stream, target)
            os.closerange(3, max(streams) + 1)
            os.environ.clear()
            os.environ.update(asked["environment"])
            os.chdir(asked["directory"])
            sys.argv = asked["argv"]
            return
        for stream in streams:
            os.close(stream)
        requests.send(pid.to_bytes(8))
        _, status = os.waitpid(pid, 0)
        requests.send(os.waitstatus_to_exitcode(status).to_bytes(8, signed=True))


@cache
def server_of_commands() -> socket.socket:
    """Where its requests are sent to; who looks for processes that are left has it started before."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(its.fileno())],
        cwd=ROOT,
        pass_fds=[its.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    its.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def forked(argv: list[str], directory: Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with `capture_output` and no input. Raises: subprocess.TimeoutExpired, with the command killed."""
    server, until = server_of_commands(), time.monotonic() + timeout
    asked = {"argv": argv, "directory": str(directory), "environment": dict(os.environ)}
    with _one_at_a_time, open(os.devnull) as nothing, DefaultSelector() as selector, ExitStack() as stack:
        streams: list[int] = []
        read: dict[int, bytearray] = {}
        for _ in ("output", "errors"):
            end, its = os.pipe()
            stack.callback(os.close, end)
            selector.register(end, EVENT_READ)
            read[end] = bytearray()
            streams.append(its)
        socket.send_fds(server, [json.dumps(asked).encode()], [nothing.fileno(), *streams])
        for its in streams:
            os.close(its)
        pid = int.from_bytes(_told(server))
        while selector.get_map():
            ready = selector.select(max(0, until - time.monotonic()))
            if not ready:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                _told(server)
                raise subprocess.TimeoutExpired(argv, timeout, *map(bytes, read.values()))
            for key, _ in ready:
                piece = os.read(key.fd, 65536)
                read[key.fd] += piece
                if not piece:
                    selector.unregister(key.fd)
        code = int.from_bytes(_told(server), signed=True)
    return subprocess.CompletedProcess(argv, code, *(text.decode() for text in read.values()))


def _told(server: socket.socket) -> bytes:
    """A number of the server's."""
    told = server.recv(8)
    assert told, "the server of commands has ended"
    return told


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _requests:
        _serve(_requests)
    from actors.cli.start import main

    sys.exit(main())
