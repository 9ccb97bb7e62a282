"""The bodies of hyperstart's commands: the fields of API 4244, in the order that its parser requires.

The guest's parser walks tokens in order: `container` must precede `process`, and an unknown key fails the command or
shifts what follows. So fields are written in declaration order, and defaults are omitted. Ids become guest paths and
go, unescaped, into the guest's own JSON: only plain ones are written.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from transports.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "Container",
    "EnvironmentVariable",
    "Exec",
    "File",
    "Finished",
    "Kill",
    "Pod",
    "Process",
    "Remove",
    "SignalProcess",
    "WinSize",
    "decode_finished",
    "decode_json",
    "decode_version",
    "encode_json",
]

T = TypeVar("T", bound=msgspec.Struct)

_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class EnvironmentVariable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One variable."""

    env: str
    value: str


class Process(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A process. `stdio` and `stderr` are stream sequences; `terminal` is always written: the guest takes anything but false as true."""

    id: str
    terminal: bool
    stdio: int
    stderr: int = 0
    args: tuple[str, ...]
    envs: tuple[EnvironmentVariable, ...] = ()
    workdir: str = ""
    user: str = ""
    group: str = ""


class Pod(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """STARTPOD. Without a hostname the guest's init crashes."""

    hostname: str
    shareDir: str = ""  # name fixed by the protocol


class Container(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """NEWCONTAINER: create and start in one."""

    id: str
    rootfs: str
    image: str
    fstype: str = ""
    process: Process
    readOnly: bool = False  # name fixed by the protocol


class Exec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """EXECCMD."""

    container: str
    process: Process


class WinSize(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """WINSIZE."""

    container: str
    process: str
    row: int
    column: int


class Kill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """KILLCONTAINER."""

    container: str
    signal: int


class SignalProcess(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """SIGNALPROCESS: signals the whole process group."""

    container: str
    process: str
    signal: int


class Remove(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """REMOVECONTAINER."""

    container: str


class File(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """READFILE, and the header of WRITEFILE."""

    container: str
    file: str


class Finished(msgspec.Struct, frozen=True):
    """PROCESSASYNCEVENT: a process has ended. Death by a signal is reported as status 0, like success."""

    container: str
    process: str
    event: str
    status: int


def encode_json(body: Pod | Container | Exec | WinSize | Kill | SignalProcess | Remove | File) -> bytes:
    """The body in the form that the guest's parser accepts.

    Raises:
        LocalProtocolError: known to kill a guest: an id that is not plain, no arguments, no sequence.
    """
    for name in ("id", "container"):
        _check_id(name, getattr(body, name, None))
    process = getattr(body, "process", None)
    if isinstance(process, Process):
        _check_process(process)
    else:
        _check_id("process", process)
    if isinstance(body, Pod) and not body.hostname:
        raise LocalProtocolError("hostname is empty: the guest's init crashes without one")
    return msgspec.json.encode(body)


def decode_json(payload: bytes, body: type[T]) -> T:
    """A host's command body. Raises: RemoteProtocolError, also for a key unknown to the guest."""
    try:
        return msgspec.json.decode(payload, type=body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"{body.__name__}: {error}") from None


def decode_finished(payload: bytes) -> Finished:
    """A PROCESSASYNCEVENT body. Raises: RemoteProtocolError."""
    try:
        finished = msgspec.json.decode(payload, type=Finished)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"an event that can't be read: {error}") from None
    if finished.event != "finished" or not 0 <= finished.status <= 255:
        raise RemoteProtocolError(f"an event {finished.event[:40]!r} with status {finished.status}")
    return finished


def decode_version(payload: bytes) -> int:
    """A GETVERSION reply. Raises: RemoteProtocolError."""
    if len(payload) != 4:
        raise RemoteProtocolError(f"a version of {len(payload)} bytes; expected 4")
    return int.from_bytes(payload)


def _check_process(process: Process) -> None:
    _check_id("process.id", process.id)
    if not process.args:
        raise LocalProtocolError("process.args is empty: the guest never answers, nor serves anyone again")
    for name, value in (("stdio", process.stdio), ("stderr", process.stderr)):
        required = name == "stdio" or not process.terminal
        if not (1 if required else 0) <= value < 2**63:
            raise LocalProtocolError(f"process.{name} is {value}: expected a sequence from 1 to 2**63 - 1")


def _check_id(field: str, value: object) -> None:
    if value is not None and (not isinstance(value, str) or not _PLAIN_ID.fullmatch(value)):
        raise LocalProtocolError(f"{field} {str(value)[:80]!r}: expected a plain id of at most 63 characters")
