"""Checks in advance whether the kernel would execute a container's program, and if not, why.

A runtime finds a missing interpreter only after it has become the process: its error message then looks like the
program's stderr, and its exit code 1 like the program's. So a file's first bytes are examined here as execve(2) does:
`#!` and its interpreter, ELF and its loader. Only certain failures are reported: permissions, mounts and registered
formats are left to the kernel, and `process` detects a failed execve. Finding the file is in `rootfs`.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument
from actors.node.exhaustion import raise_if_exhausted

if TYPE_CHECKING:
    from actors.guest.engines.rootfs import Root

__all__ = ["cannot_run", "check_format"]

# the kernel's own limits: bytes examined, and nesting of interpreters
_HEAD_BYTES, _DEPTH = 256, 5
_PATH_BYTES, _PROGRAM_HEADERS, _PT_INTERP = 4096, 256, 3
_REGISTERED = Path("/proc/sys/fs/binfmt_misc")
# ELF machines that a machine can also run: x86-64 i386, aarch64 arm
_ALSO_RUN = {62: 3, 183: 40}


def check_format(root: Root, program: str, environment: list[str], cwd: str) -> None:
    """For an existing program. Raises: InvalidArgument (`args`), OSError (no file descriptor is left)."""
    path = root.find_program(program, environment, cwd)
    reason = "" if path is None else _why_not(root, path, cwd, _DEPTH)
    if reason:
        raise cannot_run(program, reason)


def cannot_run(program: str, reason: str) -> InvalidArgument:
    """The error for a program that can't be executed; its only form."""
    return InvalidArgument(f"program {program!r}: {reason}", field="args")


def _why_not(root: Root, path: str, cwd: str, depth: int) -> str:
    """Empty if the kernel would run it, or if that can't be determined."""
    try:
        with root.opened(path, os.O_RDONLY | os.O_NONBLOCK) as file:
            head = os.pread(file, _HEAD_BYTES, 0)
            if head.startswith(b"\x7fELF"):
                return _why_not_elf(root, file, head, cwd)
    except OSError as error:
        raise_if_exhausted(error)
        return ""
    if not head.startswith(b"#!"):
        return "" if _formats_are_registered() else "no format that the kernel knows (exec format error)"
    words = head[2:].partition(b"\n")[0].split(maxsplit=1)
    if not words:
        return "its first line names no interpreter"
    interpreter = os.path.join(cwd, os.fsdecode(words[0]))
    if not depth:
        return "its interpreter is a script, and that one's too, over and over"
    if not root.is_executable(interpreter):
        return f"its interpreter {interpreter!r} is no executable in the container"
    below = _why_not(root, interpreter, cwd, depth - 1)
    return f"its interpreter {interpreter!r}: {below}" if below else ""


def _why_not_elf(root: Root, file: int, head: bytes, cwd: str) -> str:
    try:
        machine, loader = _read_elf(file, head)
    except (struct.error, ValueError):
        return "a broken ELF file (exec format error)"
    own = _own_machine()
    if machine not in (own, _ALSO_RUN.get(own, own)) and not _formats_are_registered():
        return f"an ELF file for another kind of machine ({machine}, and this is {own})"
    if loader and not root.is_executable(os.path.join(cwd, loader)):
        return f"its loader {loader!r} is no executable in the container"
    return ""


def _read_elf(file: int, head: bytes) -> tuple[int, str]:
    """The machine, and the loader's path, empty without one. Raises: struct.error, ValueError."""
    if len(head) < 6 or head[4] not in (1, 2):
        raise ValueError("class")
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    (machine,) = struct.unpack_from(f"{order}H", head, 18)
    table, size, count = (
        (*struct.unpack_from(f"{order}Q", head, 32), *struct.unpack_from(f"{order}HH", head, 54))
        if wide
        else (*struct.unpack_from(f"{order}I", head, 28), *struct.unpack_from(f"{order}HH", head, 42))
    )
    if not 0 < count <= _PROGRAM_HEADERS or size != (56 if wide else 32):
        raise ValueError("program headers")
    headers = os.pread(file, size * count, table)
    for number in range(count):
        form = f"{order}IIQQQQ" if wide else f"{order}IIIII"
        fields = struct.unpack_from(form, headers, number * size)
        kind, offset, length = fields[0], fields[2 if wide else 1], fields[5 if wide else 4]
        if kind == _PT_INTERP:
            if not 1 < length <= _PATH_BYTES:
                raise ValueError("loader")
            return machine, os.fsdecode(os.pread(file, length, offset).partition(b"\0")[0])
    return machine, ""


def _own_machine() -> int:
    with open("/proc/self/exe", "rb") as file:
        head = file.read(20)
    return int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")


def _formats_are_registered() -> bool:
    """Whether binfmt_misc has registered formats, by which the kernel runs other files."""
    try:
        return bool(set(os.listdir(_REGISTERED)) - {"register", "status"})
    except OSError as error:
        raise_if_exhausted(error)
        return False
