"""Decodes agents' configurations from a generic mapping: the content of TOML, YAML or a program's dict.

Keys are virtcontainers' names in any spelling (`SockCtlName`, `sock_ctl_name`). virtcontainers ignored unknown keys and
returned an error as the configuration; here every fault is reported at once, by its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from actors.errors import InvalidArgument, Unsupported
from actors.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["decode_settings", "keys_of", "plain_key"]

S = TypeVar("S", bound="msgspec.Struct")


def plain_key(key: str) -> str:
    """A canonical form for all spellings of a key."""
    return key.replace("_", "").replace("-", "").lower()


def keys_of(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """A configuration's keys, as virtcontainers spells them."""
    return tuple(field.encode_name for field in msgspec.structs.fields(kind))


def decode_settings(given: Mapping[str, Any], kind: type[S], *, agent: str, elsewhere: Mapping[str, str]) -> S:
    """A configuration of type `kind`, for the agent of that name.

    Args:
        elsewhere: virtcontainers' keys that are not here -> where they belong, or why not.

    Raises:
        InvalidArgument: an unknown or duplicate key, or a value of the wrong type; `field` is the key.
        Unsupported: a key of `elsewhere`.
    """
    fields = {plain_key(field.encode_name): field for field in msgspec.structs.fields(kind)}
    refused = {plain_key(key): (key, why) for key, why in elsewhere.items()}
    values: dict[str, Any] = {}
    for key, value in given.items():
        plain = plain_key(str(key))  # YAML keys may be of any type
        if plain in refused:
            name, why = refused[plain]
            raise Unsupported(f"configuration of the {agent} agent: {name}: {why}", field=name)
        field = fields.get(plain)
        if field is None:
            like = nearest(plain, fields)
            hint = f"did you mean {fields[like].encode_name}? " if like else ""
            raise InvalidArgument(
                f"configuration of the {agent} agent: unknown key {key!r}; {hint}it has {', '.join(keys_of(kind))}",
                field=str(key),
            )
        if field.name in values:
            raise InvalidArgument(
                f"configuration of the {agent} agent: {field.encode_name} is given twice, in two spellings",
                field=field.encode_name,
            )
        values[field.name] = _converted(value, field, agent)
    return kind(**values)


def _converted(value: Any, field: msgspec.structs.FieldInfo, agent: str) -> Any:
    try:
        return msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        raise InvalidArgument(
            f"configuration of the {agent} agent: {field.encode_name}: {error}, found {str(value)[:80]!r}",
            field=field.encode_name,
        ) from None
