"""Any verb of a sandbox or container, asked by its name with arguments as a file has them.

For steps that are no more than that. The answer becomes JSON with every field in it, zeros included, so that a path always leads
somewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.errors import InvalidArgument
from actors.wire.codec import convert_args
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verbs import CONTAINER_VERBS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.scenario.stage.stage import Attempt

__all__ = ["as_json", "ask_by_name"]


async def ask_by_name(
    target: str, verb: str, args: Mapping[str, object], attempt: Attempt, *, texts: bool = False
) -> str:
    """The answer as JSON; `texts`: what the wire has as bytes is a text here, else their base64.

    Raises: KatrioError (InvalidArgument: no such verb, or not these arguments), UnknownValue.
    """
    address = attempt.address(target)
    table = SANDBOX_VERBS if attempt.is_sandbox(target) else CONTAINER_VERBS
    row = table.get(verb)
    if row is None:
        raise InvalidArgument(f"{address} has no verb {verb!r}: it has {', '.join(table)}", field="verb")
    filled = {name: _filled(value, attempt) for name, value in args.items()}
    for item in msgspec.structs.fields(row.args) if texts else ():
        if item.type is bytes and isinstance(text := filled.get(item.encode_name), str):
            filled[item.encode_name] = text.encode()
    message = convert_args(filled, row.args)
    asking = attempt.stage.world.system.client.ask(address, verb, message, row.result, timeout=attempt.budget)
    return as_json(await attempt.ask(verb, address, asking))


def _filled(args: object, attempt: Attempt) -> object:
    if isinstance(args, dict):
        return {key: _filled(value, attempt) for key, value in cast("dict[str, object]", args).items()}
    if isinstance(args, (list, tuple)):
        return [_filled(value, attempt) for value in cast("list[object]", args)]
    return attempt.text(args) if isinstance(args, str) else args


def as_json(value: object) -> str:
    """A value with all fields of its structs, those that the wire leaves out as well."""
    return msgspec.json.encode(_plain(value)).decode()


def _plain(value: object) -> Any:
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {word: _plain(getattr(value, name)) for word, name in names}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, object]", value).items()}
    return value
