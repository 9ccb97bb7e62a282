"""Records who listens at an agent's address, so that others can tell later whether it is gone.

For data that belongs to a foreign agent, and is left over when that dies. Checking sends nothing; a local socket is
connected to and closed, unless it may be a serial channel, which has one peer. In doubt it counts as alive.
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
    """A listener, alive or not.

    `socket` is the path of its local socket (`@` and a name: abstract), None if it has none; `file` is that file's
    device and inode number, which differ for a later socket at the same path, None if there is no file.
    """

    boot: str
    address: str
    socket: str | None
    file: tuple[int, int] | None


def listener_at(address: str, path: str | None) -> Listener:
    """The current listener there."""
    return Listener(_boot(), address, path, _file(path))


def listener_lives(listener: Listener) -> bool:
    """Whether it may still be alive: not after a reboot, or when its socket was replaced or refuses connections."""
    if listener.boot != _boot():
        return False
    if listener.socket is None:
        return True
    if listener.file is not None and _file(listener.socket) != listener.file:
        return False
    return listener.address.startswith("serial:") or _answers(listener.socket)


def read_listener(path: Path) -> Listener | None:
    """None if it is missing or unreadable."""
    with suppress(OSError, msgspec.DecodeError), path.open("rb") as file:
        return msgspec.json.decode(file.read(_FILE_BYTES), type=Listener)
    return None


def write_listener(path: Path, listener: Listener) -> None:
    """Write atomically. Raises: OSError."""
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
