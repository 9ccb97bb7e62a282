"""What a person leaves out of a request and means all the same, and shorthands for what is long to write.

For `arguments`. A default is what kata's own clients send: an init named after its container, a whole specification for an
image or a bundle, the time that it is now. `--no-defaults` sends what was written and nothing else. Not for verbs of actors.
"""

from __future__ import annotations

import base64
import binascii
import shlex
import shutil
import signal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.agents.kata.spec import oci_process, oci_spec, string_user
from actors.errors import InvalidArgument
from actors.images.store import check_reference
from actors.node.named_files import read_named
from actors.schemas.jsonform import request_to_json
from actors.schemas.oci import Spec, spec_from_json
from actors.schemas.rpcs import RPCS, SchemaError
from actors.wire.spec import ContainerSpec, ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.schemas.rpcs import Rpc
    from actors.seams import Seams

__all__ = ["SHORTHANDS", "completed"]

_PROCESS = {
    "args": "the command, as a shell would split it: args='sleep 100'",
    "env": "environment, as a shell would split it: env='A=1 B=2'",
    "cwd": "the working directory",
    "user": "uid, uid:gid, name or name:group",
    "tty": "true: with a terminal",
}
# names that are no fields of the request, with what they are for
SHORTHANDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "CreateContainer": {
            "bundle": "a directory with config.json and its root",
            "image": "busybox, dir:/PATH, oci:/PATH[:TAG] or docker-archive:/PATH: a whole specification for it",
            **_PROCESS,
        },
        "ExecProcess": _PROCESS,
    }
)
# of an embedded guest or a VM: more is never in one piece
_READ_BYTES = 64 * 1024
_RANDOM_BYTES = 64
_CONFIG_BYTES = 4 * 1024 * 1024


def completed(rpc: Rpc, fields: dict[str, Any], shorthands: Mapping[str, str], seams: Seams, *, defaults: bool) -> None:
    """Put into `fields` what the shorthands say and, with `defaults`, what was left out. Raises: InvalidArgument."""
    if rpc.method == "CreateContainer":
        _specification(fields, shorthands)
    elif rpc.method == "ExecProcess" and shorthands:
        spec = _process_spec(shorthands)
        told = RPCS["ExecProcess"].request(process=oci_process(spec), string_user=string_user(spec))
        for name, value in request_to_json(rpc, told).items():
            fields.setdefault(name, value)
    if isinstance(fields.get("signal"), str):
        fields["signal"] = _signal(fields["signal"])
    if defaults and rpc.method in _DEFAULTS:
        _DEFAULTS[rpc.method](fields, seams)


def _process_spec(shorthands: Mapping[str, str]) -> ProcessSpec:
    env = [word.partition("=") for word in _split("env", shorthands.get("env", ""))]
    tty = shorthands.get("tty", "false").lower()
    if tty not in ("true", "false"):
        raise InvalidArgument(f"tty: found {tty[:20]!r}, expected true or false", field="tty", found=tty[:20])
    return ProcessSpec(
        args=tuple(_split("args", shorthands.get("args", ""))) or ("sh",),
        env={name: value for name, _, value in env},
        cwd=shorthands.get("cwd", "/"),
        user=shorthands.get("user", ""),
        tty=tty == "true",
    )


def _split(name: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"{name}: found {text[:60]!r}: {error}", field=name, found=text[:60]) from None


def _specification(fields: dict[str, Any], shorthands: Mapping[str, str]) -> None:
    if not shorthands:
        return
    if "OCI" in fields or ("bundle" in shorthands) == ("image" in shorthands):
        raise InvalidArgument(
            "CreateContainer: expected one of OCI (a whole specification), bundle=DIR and image=NAME; "
            "args, env, cwd, user and tty go with image=NAME",
            field="OCI",
        )
    if "bundle" in shorthands:
        if set(shorthands) != {"bundle"}:
            raise InvalidArgument("bundle: its config.json says what runs; leave the others out", field="bundle")
        spec, user = _bundle(Path(shorthands["bundle"])), None
    else:
        process = _process_spec(shorthands)
        # what is there as it is; all else is unpacked when the call is made (`fitting`)
        root = check_reference(shorthands["image"])
        spec = oci_spec(ContainerSpec(process=process), str(root or shorthands["image"]))
        user = string_user(process)
    rpc = RPCS["CreateContainer"]
    for name, value in request_to_json(rpc, rpc.request(OCI=spec, string_user=user)).items():
        fields.setdefault(name, value)


def _bundle(directory: Path) -> Spec:
    """Its config.json, the root's path made absolute: the agent has a working directory of its own."""
    try:
        spec = spec_from_json(read_named(directory / "config.json", _CONFIG_BYTES))
    except OSError as error:
        raise InvalidArgument(f"bundle: {directory}/config.json: {error.strerror}", field="bundle") from None
    except SchemaError as error:
        raise InvalidArgument(f"bundle: {directory}/config.json: {error.why}", field="bundle") from None
    if spec.root is None:
        return spec
    root = (directory.absolute() / spec.root.path).resolve()
    return msgspec.structs.replace(spec, root=msgspec.structs.replace(spec.root, path=str(root)))


def _signal(text: str) -> object:
    """SIGTERM, TERM or 15 as a number; what is none of them is told by the reading of the whole."""
    name = text.upper().removeprefix("SIG")
    try:
        return int(text) if text.isdecimal() else int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise InvalidArgument(
            f"signal: found {text[:40]!r}, expected a number or a name such as SIGTERM", field="signal", found=text[:40]
        ) from None


def _init(fields: dict[str, Any], _: Seams) -> None:
    if "container_id" in fields:
        fields.setdefault("exec_id", fields["container_id"])


def _create(fields: dict[str, Any], seams: Seams) -> None:
    _init(fields, seams)
    if "OCI" not in fields:
        raise InvalidArgument(
            "CreateContainer.OCI: it is missing, expected bundle=DIR, image=NAME or OCI itself", field="OCI"
        )


def _exec(fields: dict[str, Any], seams: Seams) -> None:
    if "process" not in fields:
        raise InvalidArgument(
            "ExecProcess.process: it is missing, expected args='the command' or process itself", field="process"
        )
    fields.setdefault("exec_id", seams.ids.fresh("exec"))


def _send_signal(fields: dict[str, Any], seams: Seams) -> None:
    _init(fields, seams)
    if "signal" not in fields:
        raise InvalidArgument(
            "SignalProcess.signal: it is missing, expected a number or a name such as SIGTERM", field="signal"
        )


def _read(fields: dict[str, Any], seams: Seams) -> None:
    _init(fields, seams)
    fields.setdefault("len", _READ_BYTES)


def _window(fields: dict[str, Any], seams: Seams) -> None:
    _init(fields, seams)
    size = shutil.get_terminal_size()
    fields.setdefault("row", size.lines)
    fields.setdefault("column", size.columns)


def _sandbox(fields: dict[str, Any], seams: Seams) -> None:
    fields.setdefault("sandbox_id", seams.ids.fresh("sandbox"))
    fields.setdefault("hostname", fields["sandbox_id"])


def _clock(fields: dict[str, Any], seams: Seams) -> None:
    if "Sec" not in fields and "Usec" not in fields:
        seconds = seams.clock.wall()
        fields["Sec"], fields["Usec"] = int(seconds), int(seconds % 1 * 1e6)


def _random(fields: dict[str, Any], seams: Seams) -> None:
    if "data" not in fields:
        data = seams.rng.getrandbits(8 * _RANDOM_BYTES).to_bytes(_RANDOM_BYTES)
        fields["data"] = {"base64": base64.b64encode(data).decode()}


def _file(fields: dict[str, Any], _: Seams) -> None:
    data = fields.get("data", "")
    offset = fields.get("offset", 0)
    size = _size(data)
    if size is not None and isinstance(offset, int):
        fields.setdefault("file_size", offset + size)
    fields.setdefault("file_mode", 0o644)
    fields.setdefault("dir_mode", 0o755)


def _size(data: object) -> int | None:
    """Of a field's bytes as JSON says them; None for what is none, which the reading of the whole tells."""
    if isinstance(data, str):
        return len(data.encode("utf-8", "surrogateescape"))
    encoded = cast("dict[str, object]", data).get("base64") if isinstance(data, dict) else None
    try:
        return len(base64.b64decode(encoded)) if isinstance(encoded, str) else None
    except binascii.Error:
        return None


def _diagnostic(fields: dict[str, Any], _: Seams) -> None:
    fields.setdefault("log_type", "termination_log")


_DEFAULTS: Mapping[str, Callable[[dict[str, Any], Seams], None]] = MappingProxyType(
    {
        "CreateContainer": _create,
        "ExecProcess": _exec,
        "SignalProcess": _send_signal,
        "WaitProcess": _init,
        "WriteStdin": _init,
        "ReadStdout": _read,
        "ReadStderr": _read,
        "CloseStdin": _init,
        "TtyWinResize": _window,
        "CreateSandbox": _sandbox,
        "SetGuestDateTime": _clock,
        "ReseedRandomDev": _random,
        "CopyFile": _file,
        "GetDiagnosticData": _diagnostic,
    }
)
