"""What each call does: one function for each, in one table.

For the kernel, which performs them and tries those again that have to wait. Not for scheduling.
"""

from __future__ import annotations

import signal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from actors.simulation.kernel import calls
from actors.simulation.kernel.files import PIPE_BYTES, BrokenPipe, new_pipe
from actors.simulation.kernel.process import Disposition
from actors.simulation.kernel.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.simulation.kernel.files import OpenFile
    from actors.simulation.kernel.kernel import Kernel
    from actors.simulation.kernel.process import Process

__all__ = ["CALLS", "WAITS"]

# the answer of a call that has to wait
WAITS = object()
# a simulated machine is slow: what its processes can write or read in a second, each
_BYTES_PER_SECOND = 32 * 1024 * 1024


def _file(process: Process, fd: int) -> OpenFile:
    file = process.files.get(fd)
    if file is None:
        raise calls.CallFailed("Bad file descriptor")
    return file


def _free(process: Process) -> int:
    fd = 3
    while fd in process.files:
        fd += 1
    return fd


def _install(process: Process, file: OpenFile) -> int:
    fd = _free(process)
    file.opened()
    process.files[fd] = file
    return fd


def _wait_at(process: Process, file: OpenFile) -> object:
    process.waits_at = file.waiters()
    if process.waits_at is not None:
        process.waits_at.add(process)
    return WAITS


def _read(kernel: Kernel, process: Process, call: calls.Read) -> object:
    file = _file(process, call.fd)
    data = file.read(call.size)
    if data is None:
        return _wait_at(process, file)
    kernel.work(process, len(data) / _BYTES_PER_SECOND)
    return data


def _write(kernel: Kernel, process: Process, call: calls.Write) -> object:
    file = _file(process, call.fd)
    while process.written < len(call.data):
        try:
            taken = file.write(call.data[process.written :] if process.written else call.data)
        except BrokenPipe:
            kernel.signal(process, signal.SIGPIPE, inside=True)
            raise
        if taken is None:
            return _wait_at(process, file)
        process.written += taken
        kernel.work(process, taken / _BYTES_PER_SECOND)
    return len(call.data)


def _close(kernel: Kernel, process: Process, call: calls.Close) -> object:
    file = process.files.pop(call.fd, None)
    if file is not None:
        file.closed()
    return None


def _open(kernel: Kernel, process: Process, call: calls.Open) -> object:
    if call.path == "/dev/tty":
        if process.terminal is None:
            raise calls.CallFailed("No such device or address")
        return _install(process, process.terminal)
    return _install(process, process.container.tree.open(_absolute(process, call.path), call.how))


def _remove(kernel: Kernel, process: Process, call: calls.Remove) -> object:
    process.container.tree.remove(_absolute(process, call.path))
    return None


def _absolute(process: Process, path: str) -> str:
    return path if path.startswith("/") else f"{process.cwd.rstrip('/')}/{path}"


def _pipe(kernel: Kernel, process: Process, call: calls.Pipe) -> object:
    reading, writing = new_pipe(PIPE_BYTES)
    return _install(process, reading), _install(process, writing)


def _sleep(kernel: Kernel, process: Process, call: calls.Sleep) -> object:
    # the timer's end tries again: the answer is there by then
    if process.written:
        process.written = 0
        return None
    process.written = 1
    kernel.sleep(process, call.seconds)
    return WAITS


def _work(kernel: Kernel, process: Process, call: calls.Work) -> object:
    kernel.work(process, call.seconds)
    return None


def _allocate(kernel: Kernel, process: Process, call: calls.Allocate) -> object:
    kernel.allocate(process, call.size)
    return None


def _spawn(kernel: Kernel, process: Process, call: calls.Spawn) -> object:
    container = process.container
    if container.process_limit is not None and len(container.processes) >= container.process_limit:
        raise calls.CallFailed("Resource temporarily unavailable")
    files = {fd: _file(process, ours) for fd, ours in call.files.items()}
    child = kernel.spawn(
        container, call.program, call.argv, call.environment, process.cwd, files,
        parent=process, terminal=process.terminal, loaded=call.loaded,
    )  # fmt: skip
    if call.background:
        for signum in (signal.SIGINT, signal.SIGQUIT):
            child.dispositions[signum] = Disposition.IGNORE
    return child.pid


def _exec(kernel: Kernel, process: Process, call: calls.Exec) -> object:
    kernel.load(process, call)
    return None


def _wait(kernel: Kernel, process: Process, call: calls.Wait) -> object:
    if call.pid is None:
        for pid in [pid for pid, child in process.children.items() if child.status is not None]:
            del process.children[pid]
        return WAITS if process.children else 0
    child = process.children.get(call.pid)
    if child is None:
        raise calls.CallFailed("No child processes")
    if child.status is None:
        return WAITS
    del process.children[call.pid]
    return child.status


def _kill(kernel: Kernel, process: Process, call: calls.Kill) -> object:
    target = process.container.processes.get(call.pid)
    if target is None:
        raise calls.CallFailed("No such process")
    if call.signum:
        kernel.signal(target, call.signum, inside=True)
    return None


def _window_size(kernel: Kernel, process: Process, call: calls.WindowSize) -> object:
    file = _file(process, call.fd)
    if not isinstance(file, Terminal):
        raise calls.CallFailed("Not a tty")
    return file.rows, file.columns


CALLS: Mapping[type[calls.Call], Callable[[Kernel, Process, Any], object]] = MappingProxyType(
    {
        calls.Read: _read,
        calls.Write: _write,
        calls.Close: _close,
        calls.Open: _open,
        calls.Remove: _remove,
        calls.Pipe: _pipe,
        calls.Sleep: _sleep,
        calls.Work: _work,
        calls.Allocate: _allocate,
        calls.Spawn: _spawn,
        calls.Exec: _exec,
        calls.Wait: _wait,
        calls.Kill: _kill,
        calls.WindowSize: _window_size,
    }
)
