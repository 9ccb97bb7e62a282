"""The implementation of each system call: one function per call, in one table.

For the kernel, which executes them and retries those that block. Not for scheduling.
"""

from __future__ import annotations

import posixpath
import signal
from types import MappingProxyType
from typing import TYPE_CHECKING

from actors.simulation.box.kernel import calls
from actors.simulation.box.kernel.files import PIPE_BYTES, BrokenPipe, PlainFile, new_pipe
from actors.simulation.box.kernel.process import Launch
from actors.simulation.box.kernel.terminal import Terminal

if TYPE_CHECKING:
    from actors.simulation.box.kernel.files import OpenFile
    from actors.simulation.box.kernel.kernel import CallTable, Kernel
    from actors.simulation.box.kernel.process import Process

__all__ = ["CALLS"]

_DESCRIPTORS = 1024
# a simulated machine is slow: bytes that each process can write or read per second. A `yes` that is never stopped must
# not cost a real minute per virtual one
_BYTES_PER_SECOND = 64 * 1024 * 1024


def _file(process: Process, fd: int) -> OpenFile:
    file = process.files.get(fd)
    if file is None:
        raise calls.CallFailed("Bad file descriptor")
    return file


def _install(process: Process, file: OpenFile, lowest: int = calls.PRIVATE_FD) -> int:
    fd = lowest
    while fd in process.files:
        fd += 1
    if fd >= _DESCRIPTORS:
        raise calls.CallFailed("Too many open files")
    file.opened()
    process.files[fd] = file
    return fd


def _path(process: Process, path: str) -> str:
    return posixpath.normpath(posixpath.join(process.cwd, path))


def _read(kernel: Kernel, process: Process, call: calls.Read) -> object:
    file = _file(process, call.fd)
    data = file.read(call.size)
    if data is None:
        process.waits_at = file.readable
        file.readable.add(process)
        return calls.WAITS
    kernel.work(process, len(data) / _BYTES_PER_SECOND)
    return data


def _write(kernel: Kernel, process: Process, call: calls.Write) -> object:
    file = _file(process, call.fd)
    size = len(call.data)
    while True:
        done = process.progress
        try:
            taken = file.write(memoryview(call.data)[done:] if done else call.data)
        except BrokenPipe:
            kernel.signal(process, signal.SIGPIPE, inside=True)
            raise
        if taken is None:
            process.waits_at = file.writable
            file.writable.add(process)
            return calls.WAITS
        kernel.work(process, taken / _BYTES_PER_SECOND)
        process.progress = done + taken
        if process.progress >= size:
            return size


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
    return _install(process, process.container.tree.open(_path(process, call.path), call.how))


def _open_text(kernel: Kernel, process: Process, call: calls.OpenText) -> object:
    return _install(process, PlainFile(bytearray(call.text), "r", lambda _: False))


def _duplicate(kernel: Kernel, process: Process, call: calls.Duplicate) -> object:
    file = _file(process, call.fd)
    if call.to is None:
        return _install(process, file)
    if call.to == call.fd:
        return call.to
    if not 0 <= call.to < _DESCRIPTORS:
        raise calls.CallFailed("Bad file descriptor")
    file.opened()
    before = process.files.get(call.to)
    process.files[call.to] = file
    if before is not None:
        before.closed()
    return call.to


def _pipe(kernel: Kernel, process: Process, call: calls.Pipe) -> object:
    reading, writing = new_pipe(PIPE_BYTES)
    return _install(process, reading), _install(process, writing)


def _remove(kernel: Kernel, process: Process, call: calls.Remove) -> object:
    process.container.tree.remove(_path(process, call.path))
    return None


def _make_directory(kernel: Kernel, process: Process, call: calls.MakeDirectory) -> object:
    process.container.tree.make_directory(_path(process, call.path))
    return None


def _list_directory(kernel: Kernel, process: Process, call: calls.ListDirectory) -> object:
    return process.container.tree.names(_path(process, call.path))


def _status(kernel: Kernel, process: Process, call: calls.Status) -> object:
    return process.container.tree.status(_path(process, call.path))


def _change_mode(kernel: Kernel, process: Process, call: calls.ChangeMode) -> object:
    process.container.tree.change_mode(_path(process, call.path), call.mode)
    return None


def _change_directory(kernel: Kernel, process: Process, call: calls.ChangeDirectory) -> object:
    path = _path(process, call.path)
    if not process.container.tree.is_directory(path):
        raise calls.CallFailed(
            "Not a directory" if process.container.tree.status(path) else "No such file or directory"
        )
    process.cwd = path
    return path


def _sleep(kernel: Kernel, process: Process, call: calls.Sleep) -> object:
    # the call is retried when the timer expires
    if process.progress:
        return None
    process.progress = 1
    kernel.sleep(process, call.seconds)
    return calls.WAITS


def _work(kernel: Kernel, process: Process, call: calls.Work) -> object:
    kernel.work(process, call.seconds)
    return None


def _now(kernel: Kernel, process: Process, call: calls.Now) -> object:
    return kernel.now + process.lag


def _allocate(kernel: Kernel, process: Process, call: calls.Allocate) -> object:
    kernel.allocate(process, call.size)
    return None


def _spawn(kernel: Kernel, process: Process, call: calls.Spawn) -> object:
    container = process.container
    if container.process_limit is not None and len(container.processes) >= container.process_limit:
        raise calls.CallFailed("Resource temporarily unavailable")
    if call.files is None:
        files = {fd: file for fd, file in process.files.items() if fd < calls.PRIVATE_FD}
    else:
        files = {fd: _file(process, ours) for fd, ours in call.files.items()}
    terminal = None if call.own_session else process.terminal
    launch = Launch(
        call.program, call.argv, call.environment, process.cwd, files, process.identity, terminal, call.loaded
    )
    child = kernel.spawn(container, launch, parent=process)
    if call.background:
        for signum in (signal.SIGINT, signal.SIGQUIT):
            child.dispositions[signum] = calls.Disposition.IGNORE
    return child.pid


def _exec(kernel: Kernel, process: Process, call: calls.Exec) -> object:
    for fd in [fd for fd in process.files if fd >= calls.PRIVATE_FD]:
        process.files.pop(fd).closed()
    kernel.load(process, call)
    return None


def _wait(kernel: Kernel, process: Process, call: calls.Wait) -> object:
    if call.pid is None:
        for pid in [pid for pid, child in process.children.items() if child.status is not None]:
            del process.children[pid]
        return calls.WAITS if process.children else calls.Ended(0)
    child = process.children.get(call.pid)
    if child is None:
        raise calls.CallFailed("No child processes")
    if child.status is None:
        return calls.WAITS
    del process.children[call.pid]
    return calls.Ended(child.status, child.killed_by)


def _kill(kernel: Kernel, process: Process, call: calls.Kill) -> object:
    if call.pid == -1:
        targets = [each for each in process.container.processes.values() if each is not process and not each.is_init]
    else:
        targets = [each for each in (process.container.processes.get(call.pid),) if each is not None]
    if not targets:
        raise calls.CallFailed("No such process")
    if not 0 <= call.signum <= signal.SIGRTMAX:
        raise calls.CallFailed("Invalid argument")
    if call.signum:
        for target in targets:
            kernel.signal(target, call.signum, inside=True)
    return None


def _handle(kernel: Kernel, process: Process, call: calls.Handle) -> object:
    if call.disposition is None:
        process.dispositions.pop(call.signum, None)
    else:
        process.dispositions[call.signum] = call.disposition
    return None


def _list_processes(kernel: Kernel, process: Process, call: calls.ListProcesses) -> object:
    return tuple(process.container.processes.values())


def _terminal(process: Process, fd: int) -> Terminal:
    file = _file(process, fd)
    if not isinstance(file, Terminal):
        raise calls.CallFailed("Inappropriate ioctl for device")
    return file


def _window_size(kernel: Kernel, process: Process, call: calls.WindowSize) -> object:
    terminal = _terminal(process, call.fd)
    return terminal.rows, terminal.columns


def _set_terminal(kernel: Kernel, process: Process, call: calls.SetTerminal) -> object:
    terminal = _terminal(process, call.fd)
    terminal.echo = terminal.echo if call.echo is None else call.echo
    terminal.lines = terminal.lines if call.lines is None else call.lines
    terminal.resize(
        terminal.rows if call.rows is None else call.rows, terminal.columns if call.columns is None else call.columns
    )
    return None


CALLS: CallTable = MappingProxyType(
    {
        calls.Read: _read,
        calls.Write: _write,
        calls.Close: _close,
        calls.Open: _open,
        calls.OpenText: _open_text,
        calls.Duplicate: _duplicate,
        calls.Pipe: _pipe,
        calls.Remove: _remove,
        calls.MakeDirectory: _make_directory,
        calls.ListDirectory: _list_directory,
        calls.Status: _status,
        calls.ChangeMode: _change_mode,
        calls.ChangeDirectory: _change_directory,
        calls.Sleep: _sleep,
        calls.Work: _work,
        calls.Now: _now,
        calls.Allocate: _allocate,
        calls.Spawn: _spawn,
        calls.Exec: _exec,
        calls.Wait: _wait,
        calls.Kill: _kill,
        calls.Handle: _handle,
        calls.ListProcesses: _list_processes,
        calls.WindowSize: _window_size,
        calls.SetTerminal: _set_terminal,
    }
)
