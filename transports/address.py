"""Socket addresses, parsed once into a frozen value; one table of schemes.

Two kinds are never interchangeable: where an agent listens (`unix://`, `vsock://`, `hvsock://`, `remote:`, `serial:`)
and where a katrio takes requests (`ipc://`, `inproc://`). Opening them is in `transports.agent_sockets` and
`transports.schemes`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from transports.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "AGENT_PORT",
    "ANY_CID",
    "HYPERSTART_CONTROL_PORT",
    "HYPERSTART_STREAMS_PORT",
    "SCHEMES",
    "SOCKET_PATH_BYTES",
    "Address",
    "Kind",
    "check_socket_path",
    "parse_address",
    "parse_agent_address",
    "parse_dialled_address",
    "parse_mailbox_address",
    "streams_address",
]

# sun_path on Linux holds 108 bytes; a path ends with NUL, an abstract name starts with one
SOCKET_PATH_BYTES = 107
# nng's own limit is 128, scheme included
INPROC_NAME_BYTES = 100

# where the agents listen in a VM
AGENT_PORT = 1024
HYPERSTART_CONTROL_PORT = 2718
HYPERSTART_STREAMS_PORT = 2719

# VMADDR_CID_ANY: every address of this machine; only valid for listening
ANY_CID = 0xFFFF_FFFF
# one more is VMADDR_PORT_ANY, which lets the kernel choose: nobody could dial that
MOST_PORT = 0xFFFF_FFFE


class Kind(StrEnum):
    """Who listens at an address."""

    AGENT = "agent"
    MAILBOX = "mailbox"


class Address(NamedTuple):
    """One parsed address.

    Attributes:
        scheme: a key of the table of schemes.
        target: an absolute path, `@` and an abstract name, a name, or a context id.
        port: only for `vsock` and `hvsock`.
    """

    scheme: str
    target: str
    port: int | None = None

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{SCHEMES[self.scheme].prefixes[0]}{self.target}{port}"

    @property
    def kind(self) -> Kind:
        """Who listens there."""
        return SCHEMES[self.scheme].kind

    @property
    def cid(self) -> int:
        """The context id of a vsock address. Raises: ValueError for any other."""
        number = int(self.target)
        return ANY_CID if number == -1 else number


def check_socket_path(path: str) -> None:
    """Reject a path that no unix socket can have.

    Raises:
        AddressError: relative, over 107 bytes, or contains NUL.
    """
    if not path.startswith("/"):
        raise AddressError(f"socket path {path!r} is not absolute; write it like /run/katrio/agent.sock")
    if "\0" in path:
        raise AddressError(f"socket path {path!r} has a NUL byte in it")
    if path.endswith("/"):
        raise AddressError(f"socket path {path!r} names a directory; write it like /run/katrio/agent.sock")
    _check_length("socket path", path, "use a shorter directory")


def _check_length(what: str, path: str, advice: str) -> None:
    try:
        length = len(path.encode(errors="surrogateescape"))
    except UnicodeEncodeError as error:
        # a lone surrogate, which JSON can express
        raise AddressError(f"{what} {path!r} has a character that no file name can have") from error
    if length > SOCKET_PATH_BYTES:
        raise AddressError(f"{what} {path!r} has {length} bytes and Linux allows {SOCKET_PATH_BYTES}; {advice}")


def _path(scheme: str, text: str) -> Address:
    if text.startswith("//"):
        # unix:////run/x is the same file: normalise to one spelling
        text = "/" + text.lstrip("/")
    check_socket_path(text)
    return Address(scheme, text)


def _unix(scheme: str, text: str) -> Address:
    if not text.startswith("@"):
        return _path(scheme, text)
    if text == "@" or "\0" in text:
        raise AddressError(f"abstract name {text!r} must have a name and no NUL byte in it")
    _check_length("abstract name", text, "use a shorter name")
    return Address(scheme, text)


def _vsock(scheme: str, text: str) -> Address:
    found = re.fullmatch(r"(-1|\d{1,10}):(\d{1,10})", text, re.ASCII)
    if found is None or int(found[1]) > ANY_CID:
        raise AddressError(f"{text!r} is no context id and port")
    cid = int(found[1])
    return Address(scheme, "-1" if cid == ANY_CID else str(cid), _port(found[2]))


def _hvsock(scheme: str, text: str) -> Address:
    path, separator, port = text.rpartition(":")
    if not separator or not re.fullmatch(r"\d{1,10}", port, re.ASCII):
        raise AddressError(f"{text!r} has no port behind its path")
    return Address(scheme, _path(scheme, path).target, _port(port))


def _port(text: str) -> int:
    port = int(text)
    if port > MOST_PORT:
        raise AddressError(f"port {port} is over {MOST_PORT}")
    return port


def _inproc(scheme: str, text: str) -> Address:
    if not text.isprintable() or not 0 < len(text.encode()) <= INPROC_NAME_BYTES:
        raise AddressError(f"name {text!r} must have 1 to {INPROC_NAME_BYTES} printable bytes")
    return Address(scheme, text)


class Scheme(NamedTuple):
    """One row: its prefixes (the first is the usual one), who listens there, an example, how it is parsed."""

    prefixes: tuple[str, ...]
    kind: Kind
    form: str
    parse: Callable[[str, str], Address]


_PORTS = f"{AGENT_PORT} is the kata agent's port, {HYPERSTART_CONTROL_PORT} and {HYPERSTART_STREAMS_PORT} hyperstart's"

SCHEMES: Mapping[str, Scheme] = {
    "unix": Scheme(("unix://", "unix:"), Kind.AGENT, "unix:///run/x/agent.sock or unix://@name", _unix),
    "vsock": Scheme(("vsock://",), Kind.AGENT, f"vsock://CID:PORT, as vsock://3:{AGENT_PORT} ({_PORTS})", _vsock),
    "hvsock": Scheme(
        ("hvsock://",), Kind.AGENT, f"hvsock:///PATH:PORT, as hvsock:///run/x/vm.sock:{AGENT_PORT} ({_PORTS})", _hvsock
    ),
    "remote": Scheme(("remote:", "remote://"), Kind.AGENT, "remote:/run/x/proxy.sock", _path),
    "serial": Scheme(("serial:", "serial://"), Kind.AGENT, "serial:/dev/ttyS1 or serial:/run/x/chardev.sock", _path),
    "ipc": Scheme(("ipc://",), Kind.MAILBOX, "ipc:///run/katrio/server", _path),
    "inproc": Scheme(("inproc://",), Kind.MAILBOX, "inproc://name", _inproc),
}


def parse_address(text: str) -> Address:
    """Parse an address of either kind; a bare absolute path means `unix`.

    Raises:
        AddressError: unknown scheme, or unusable target; the message shows the right form.
    """
    if text.startswith("/"):
        return _path("unix", text)
    scheme = text.partition(":")[0]
    row = SCHEMES.get(scheme)
    if row is None:
        raise AddressError(f"{_shown(text)} has no scheme that is known; known are {_forms(*Kind)}")
    for prefix in sorted(row.prefixes, key=len, reverse=True):
        if text.startswith(prefix):
            try:
                return row.parse(scheme, text.removeprefix(prefix))
            except AddressError as error:
                raise AddressError(f"{_shown(text)}: {error}; expected {row.form}") from None
    raise AddressError(f"{_shown(text)}: expected {row.form}")


def parse_agent_address(text: str) -> Address:
    """Where an agent listens. Raises: AddressError, also for a mailbox address."""
    return _parse_as(Kind.AGENT, text, "is where a katrio takes requests, for --world attached; an agent's address is")


def parse_dialled_address(text: str) -> Address:
    """An agent address that can be dialled. Raises: AddressError, also for a listen-only address."""
    address = parse_agent_address(text)
    if address.scheme == "vsock" and address.target == "-1":
        raise AddressError(
            f"{_shown(text)} is every address of this machine, to listen on alone; dial a machine's own number: "
            f"{SCHEMES['vsock'].form}"
        )
    return address


def parse_mailbox_address(text: str) -> Address:
    """Where a katrio takes requests. Raises: AddressError, also for an agent address."""
    if text.partition("://")[0] in {"tcp", "tcp4", "tcp6", "tls+tcp", "ws", "wss"}:
        raise AddressError(f"{_shown(text)}: tcp needs mutual TLS, which is not there yet; use {_forms(Kind.MAILBOX)}")
    return _parse_as(Kind.MAILBOX, text, "is where an agent listens; a katrio takes requests at")


def _parse_as(kind: Kind, text: str, otherwise: str) -> Address:
    address = parse_address(text)
    if address.kind is not kind:
        raise AddressError(f"{_shown(text)} {otherwise} {_forms(kind)}")
    return address


def streams_address(control: Address) -> Address:
    """The conventional address of hyperstart's stream channel, given its control channel's.

    Raises:
        AddressError: `control` does not follow the naming convention.
    """
    if control.port == HYPERSTART_CONTROL_PORT:
        return Address(control.scheme, control.target, HYPERSTART_STREAMS_PORT)
    directory, _, name = control.target.rpartition("/")
    if control.port is None and name == "hyper.sock":
        path = f"{directory}/tty.sock"
        check_socket_path(path)
        return Address(control.scheme, path)
    raise AddressError(
        f"{control}: which address has the stream channel? it is known for .../hyper.sock (tty.sock beside it) and port "
        f"{HYPERSTART_CONTROL_PORT} (port {HYPERSTART_STREAMS_PORT}); name it by --tty-address"
    )


def _forms(*kinds: Kind) -> str:
    return ", ".join(f"{row.prefixes[0]}" for row in SCHEMES.values() if row.kind in kinds)


def _shown(text: str) -> str:
    # pasted by mistake, it may be anything: truncate
    return repr(text if len(text) <= 200 else text[:200] + "...")
