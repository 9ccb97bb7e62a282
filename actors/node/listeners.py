"""Who listens at an agent's address, kept in a file, so that others can tell later that this one is gone.

For what belongs to an agent that is not ours, and is left when that dies. Nothing is sent to it; a socket of this host is
connected to and closed, unless it may be a serial channel, which has one peer. What can't be told counts as alive. Not for
speaking with agents.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from transports.socket_files import answers

__all__ = ["Listener", "listener_at", "listener_lives", "read_listener", "write_listener"]

_FILE_BYTES = 16 * 1024
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Listener(Struct, frozen=True):
    """One that listens, or did.

    `socket` is the path of its socket on this host (`@` and a name: abstract), None when it has none; `file` is that file's device and
    number, which another that is bound there later does not have, None when there is no file.
    """

    boot: str
    address: str
    socket: str | None
    file: tuple[int, int] | None


def listener_at(address: str, path: str | None) -> Listener:
    """Whoever is there now."""
    return Listener(_boot(), address, path, _file(path))


def listener_lives(listener: Listener) -> bool:
    """Whether it may still be there: not when this host was started anew, its socket is another's, or takes nobody."""
    if listener.boot != _boot():
        return False
    if listener.socket is None:
        return True
    if listener.file is not None and _file(listener.socket) != listener.file:
        return False
    return listener.address.startswith("serial:") or _answers(listener.socket)


def read_listener(path: Path) -> Listener | None:
    """None when there is none, or it can't be read."""
    with suppress(OSError, msgspec.DecodeError), path.open("rb") as file:
        return msgspec.json.decode(file.read(_FILE_BYTES), type=Listener)
    return None


def write_listener(path: Path, listener: Listener) -> None:
    """It appears whole. Raises: OSError."""
    half = path.with_name(f".{path.name}-{os.getpid()}")
    half.write_bytes(msgspec.json.encode(listener))
    half.rename(path)


def _boot() -> str:
    return _BOOT.read_text().strip()


def _file(path: str | None) -> tuple[int, int] | None:
    if path is None or path.startswith("@"):
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _answers(path: str) -> bool:
    with suppress(OSError):
        return answers(f"\0{path[1:]}" if path.startswith("@") else path)
    return True
