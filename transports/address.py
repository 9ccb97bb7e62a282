"""Addresses of sockets, parsed once into a frozen value.

For everything that a person or a file may write where a peer listens: `unix:///run/x.sock`, a bare
absolute path, `ipc:///run/x.sock`, `inproc://name`. Not for opening them, nor for deciding
which transport serves a scheme: that is `transports.schemes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from transports.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SOCKET_PATH_BYTES", "Address", "check_socket_path", "parse_address"]

# sun_path of Linux holds 108 bytes, the last one a NUL
SOCKET_PATH_BYTES = 107
INPROC_NAME_BYTES = 100


@dataclass(frozen=True, slots=True)
class Address:
    """One parsed address.

    Attributes:
        scheme: a key of the table of schemes.
        target: what the scheme points at: an absolute path (`unix`, `ipc`) or a name (`inproc`).
    """

    scheme: str
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.target}"


def check_socket_path(path: str) -> None:
    """Refuse a path that no unix socket can have.

    Raises:
        AddressError: relative, over 107 bytes, or with a NUL in it.
    """
    if not path.startswith("/"):
        raise AddressError(f"socket path {path!r} is not absolute; write it like /run/katrio/agent.sock")
    if "\0" in path:
        raise AddressError(f"socket path {path!r} has a NUL byte in it")
    if path.endswith("/"):
        raise AddressError(f"socket path {path!r} names a directory; write it like /run/katrio/agent.sock")
    length = len(path.encode(errors="surrogateescape"))
    if length > SOCKET_PATH_BYTES:
        raise AddressError(
            f"socket path {path!r} has {length} bytes and Linux allows {SOCKET_PATH_BYTES}; use a shorter directory"
        )


def _check_inproc_name(name: str) -> None:
    if not name.isprintable() or not 0 < len(name.encode()) <= INPROC_NAME_BYTES:
        raise AddressError(
            f"inproc name {name!r} is not usable; write inproc://name with 1 to {INPROC_NAME_BYTES} printable bytes"
        )


_SCHEMES: Mapping[str, Callable[[str], None]] = {
    "unix": check_socket_path,
    "ipc": check_socket_path,
    "inproc": _check_inproc_name,
}


def parse_address(text: str) -> Address:
    """Parse `scheme://target`; a bare absolute path means `unix`.

    Raises:
        AddressError: the scheme is not in the table, or its target can't be used; the message shows the right form.
    """
    scheme, separator, target = text.partition("://")
    if not separator:
        scheme, target = "unix", text
    check = _SCHEMES.get(scheme)
    if check is None:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise AddressError(f"address {text!r} has an unknown scheme; known are {known} and a bare absolute path")
    check(target)
    return Address(scheme, target)
