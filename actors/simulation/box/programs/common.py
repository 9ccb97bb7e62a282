"""What the programs share: error messages, block-wise reading, option parsing. What makes system calls is a generator of them."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, TypeAlias

from actors.simulation.box.kernel.calls import Call, CallFailed, Close, Open, Read, Write
from actors.simulation.box.programs.formatting import encoded

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.simulation.box.kernel.process import Process

__all__ = ["BLOCK_BYTES", "Steps", "UsageFault", "complain", "each_block", "name_of", "number", "options", "say"]

# of one read or write: what busybox takes, and few steps for much output
BLOCK_BYTES = 64 * 1024

Steps: TypeAlias = "Generator[Call, Any, int]"


class UsageFault(Exception):
    """A usage error, which is printed on stderr."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def name_of(process: Process) -> str:
    """What the program was called."""
    return posixpath.basename(process.argv[0])


def say(text: str | bytes) -> Steps:
    """On stdout."""
    yield Write(1, text if isinstance(text, bytes) else encoded(text))
    return 0


def complain(process: Process, message: str) -> Steps:
    """On stderr, with the program's name before it; 1."""
    yield Write(2, encoded(f"{name_of(process)}: {message}\n"))
    return 1


def options(process: Process, flags: str, valued: str = "") -> tuple[dict[str, str], list[str]]:
    """Short options and what follows them. Raises: UsageFault for any other."""
    found: dict[str, str] = {}
    words = list(process.argv[1:])
    while words and words[0].startswith("-") and len(words[0]) > 1:
        word = words.pop(0)
        if word == "--":
            break
        at = 1
        while at < len(word):
            flag = word[at]
            at += 1
            if flag in valued:
                value = word[at:] or (words.pop(0) if words else None)
                if value is None:
                    raise UsageFault(f"option requires an argument -- '{flag}'")
                found[flag] = value
                break
            if flag not in flags:
                raise UsageFault(f"option -{flag} is not supported by the simulated program")
            found[flag] = ""
    return found, words


_SUFFIXES = {"": 1, "b": 512, "k": 1024, "K": 1024, "kD": 1000, "m": 1024**2, "M": 1024**2, "G": 1024**3, "MD": 10**6}


def number(text: str) -> int:
    """With a suffix, as busybox reads sizes. Raises: UsageFault."""
    digits = text.rstrip("bkKmMGD")
    if not digits.isdecimal() or text[len(digits) :] not in _SUFFIXES:
        raise UsageFault(f"invalid number '{text}'")
    return int(digits) * _SUFFIXES[text[len(digits) :]]


def each_block(
    process: Process, paths: list[str], verb: str = "can't open"
) -> Generator[Call, Any, tuple[list[tuple[str, int]], int]]:
    """Open files, `-` and none being stdin: ((name, descriptor) of each that could be, 1 if one could not)."""
    opened: list[tuple[str, int]] = []
    status = 0
    for path in paths or ["-"]:
        if path == "-":
            opened.append((path, 0))
            continue
        try:
            fd = yield Open(path, "r")
        except CallFailed as failed:
            message = f"{verb} '{path}': {failed.error}" if verb else f"{path}: {failed.error}"
            status = yield from complain(process, message)
            continue
        opened.append((path, fd))
    return opened, status


def read_all(fd: int, most: int = 64 * 1024 * 1024) -> Generator[Call, Any, bytes]:
    """Everything, up to `most` bytes."""
    pieces: list[bytes] = []
    size = 0
    while size < most and (data := (yield Read(fd, BLOCK_BYTES))):
        pieces.append(data)
        size += len(data)
    if fd > 2:
        yield Close(fd)
    return b"".join(pieces)
