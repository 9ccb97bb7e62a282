"""The words of one call become its request: JSON, files, standard input, and `field=value` over them.

For the command and the shell, which take the same words. Fields are named as in the .proto, in any case; what is wrong is
told with the field's name before anything is sent. Not for what is left out (`defaults`), nor for the line itself.
"""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from actors.cli.call.defaults import SHORTHANDS, completed
from actors.errors import InvalidArgument
from actors.node.named_files import read_named
from actors.schemas.jsonform import request_from_json, text_to_json, unknown_field
from actors.schemas.naming import find_rpc
from actors.schemas.shapes import request_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.schemas.request import Request
    from actors.schemas.rpcs import Rpc
    from actors.schemas.shapes import Field, Shape
    from actors.seams import Seams

__all__ = ["MAX_ARGUMENT_BYTES", "Call", "parse_call"]

# a message of the agent's protocol has 4 MiB at the most, and JSON writes a byte as six at the worst
MAX_ARGUMENT_BYTES = 32 * 1024 * 1024
_FORMS = "'{json}', @FILE, - (standard input) or field=value"


@dataclass(frozen=True, slots=True)
class Call:
    """One call, ready to be sent."""

    rpc: Rpc
    request: Request[Any]
    # what was left out may be filled in
    defaults: bool = True
    # what its root is unpacked from when it is made: seconds, in which nothing else shall stand still
    image: str = ""


def parse_call(words: Sequence[str], seams: Seams, *, defaults: bool = True, stdin: bool = True) -> Call:
    """The call that `words` say, its name first.

    Args:
        defaults: fill in what is left out.
        stdin: standard input may be an argument: it is not where the words themselves come from.

    Raises: InvalidArgument.
    """
    rpc = find_rpc(words[0])
    given = _Given(rpc, stdin)
    for word in words[1:]:
        given.add(word)
    completed(rpc, given.fields, given.shorthands, seams, defaults=defaults)
    request = request_from_json(rpc, given.fields)
    return Call(rpc, request, defaults, image=given.shorthands.get("image", ""))


@dataclass
class _Given:
    """What has been said so far: `fields` by the .proto's names."""

    rpc: Rpc
    stdin: bool
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    shorthands: dict[str, str] = field(default_factory=dict[str, str])
    # repeated fields that grow: the first `field=value` replaces, the others add
    _growing: set[str] = field(default_factory=set[str])

    @property
    def shape(self) -> Shape:
        return request_shape(self.rpc)

    def add(self, word: str) -> None:
        """Raises: InvalidArgument."""
        bare = word.removeprefix("json://")
        name, equals, text = word.partition("=")
        if bare.startswith("{"):
            self._add_object(bare, "the JSON")
        elif word in ("-", "@-"):
            self._add_object(self._read("-").decode("utf-8", "replace"), "standard input")
        elif word.startswith(("@", "file://")):
            path = word.removeprefix("file://").removeprefix("@")
            self._add_object(self._read(path).decode("utf-8", "replace"), path)
        elif equals and name.replace(".", "").replace("_", "").replace("-", "").isalnum():
            self._assign(name.replace("-", "_"), text)
        else:
            raise InvalidArgument(
                f"{self.rpc.method}: found {word[:80]!r}, expected {_FORMS}", field="arguments", found=word[:80]
            )

    def _add_object(self, text: str, source: str) -> None:
        try:
            value = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(
                f"{self.rpc.method}: {source}: no JSON: {error}", field="request", found=text[:60]
            ) from None
        if not isinstance(value, dict):
            request_from_json(self.rpc, value)
        seen: set[str] = set()
        for name, one in cast("dict[str, Any]", value).items():
            known = self.shape.find(name)
            # one that is not known is told by the reading of the whole
            meant = known.name if known else name
            if meant in seen:
                raise InvalidArgument(f"{self.rpc.method}.{meant}: it is given twice", field=meant)
            seen.add(meant)
            self.fields[meant] = one
            self._growing.discard(meant)

    def _assign(self, name: str, text: str) -> None:
        shorthands = SHORTHANDS.get(self.rpc.method, {})
        if self.shape.find(name) is None and name in shorthands:
            self.shorthands[name] = text
            return
        *parents, last = name.split(".")
        into, shape, path = self.fields, self.shape, ""
        for parent in parents:
            known = self._find(shape, parent, path)
            path += f"{known.name}."
            if known.shape is None or known.form != "one":
                raise InvalidArgument(
                    f"{self.rpc.method}.{path[:-1]}: it is {known.type}, and has no field {last!r}", field=path[:-1]
                )
            inner = into.setdefault(known.name, {})
            if not isinstance(inner, dict):
                raise InvalidArgument(f"{self.rpc.method}.{path[:-1]}: it was given as no object", field=path[:-1])
            into, shape = cast("dict[str, Any]", inner), known.shape
        known = self._find(shape, last, path)
        where = path + known.name
        # a signal may be a name, which is read with the defaults
        value = text if where == "signal" else self._value(known, where, text)
        if known.form == "repeated" and not isinstance(value, list):
            before = into.get(known.name) if where in self._growing else None
            value = [*cast("list[Any]", before or []), value]
            self._growing.add(where)
        into[known.name] = value

    def _find(self, shape: Shape, name: str, path: str) -> Field:
        known = shape.find(name)
        if known is None:
            shorthands = () if path else SHORTHANDS.get(self.rpc.method, ())
            raise unknown_field(self.rpc.method, path + name, [*(one.name for one in shape.fields), *shorthands])
        return known

    def _value(self, known: Field, where: str, text: str) -> object:
        if text.startswith("@@"):
            text = text[1:]
        elif text.startswith("@"):
            data = self._read(text[1:])
            if known.kind == "bytes":
                return _bytes_value(data)
            text = data.decode("utf-8", "replace")
        return text_to_json(self.rpc, known, where, text)

    def _read(self, path: str) -> bytes:
        if path == "-" and not self.stdin:
            raise InvalidArgument(
                f"{self.rpc.method}: standard input has the calls themselves; name a file", field="arguments", found="-"
            )
        return _read(path)


def _bytes_value(data: bytes) -> object:
    return {"base64": base64.b64encode(data).decode()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name[:60]!r} is there twice")
        found[name] = value
    return found


def _read(path: str) -> bytes:
    """A file, or standard input; at most so much that a request could still fit. Raises: InvalidArgument."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_ARGUMENT_BYTES + 1)
        else:
            data = read_named(Path(path), MAX_ARGUMENT_BYTES)
    except OSError as error:
        raise InvalidArgument(f"@{path}: {error.strerror}", field="arguments", found=path) from None
    except ValueError as error:
        # a name that no file can have: it has a zero byte, or half a character
        raise InvalidArgument(f"@{path[:80]!r}: {error}", field="arguments", found=path[:80]) from None
    if len(data) > MAX_ARGUMENT_BYTES:
        raise InvalidArgument(f"@{path}: over {MAX_ARGUMENT_BYTES} bytes: no request is so large", field="arguments")
    return data
