"""The calls and their fields, for people (`katrio call --list`, the shell's `help`) and as JSON.

From the table of calls and the messages themselves, so that nothing is missing. Not for what our guest makes of them: the
page docs/katrio-call.md has that.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from actors.cli.call.defaults import SHORTHANDS
from actors.schemas.rpcs import RPCS
from actors.schemas.shapes import request_shape, response_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.schemas.rpcs import Rpc
    from actors.schemas.shapes import Shape

__all__ = ["call_page", "calls_json", "calls_page"]


def calls_page() -> str:
    """Every call with what it does, a line each."""
    width = max(map(len, RPCS))
    return "\n".join(f"{name:{width}}  {_doc(rpc)}" for name, rpc in RPCS.items())


def call_page(rpc: Rpc) -> str:
    """One call with its fields."""
    lines = [f"{rpc.service}/{rpc.method}: {_doc(rpc)}", "", "request:", *_fields(request_shape(rpc), 1)]
    shorthands = SHORTHANDS.get(rpc.method, {})
    if shorthands:
        lines += ["shorthands:", *(f"  {name}=  {what}" for name, what in shorthands.items())]
    return "\n".join([*lines, "response:", *_fields(response_shape(rpc), 1)])


def calls_json(rpcs: list[Rpc]) -> str:
    """The same as a JSON list."""
    return json.dumps(
        [
            {
                "rpc": rpc.method,
                "service": rpc.service,
                "about": _doc(rpc),
                "request": _tree(request_shape(rpc)),
                "response": _tree(response_shape(rpc)),
            }
            for rpc in rpcs
        ]
    )


def _doc(rpc: Rpc) -> str:
    """What the call does: the first paragraph of its request's docstring."""
    return " ".join((inspect.getdoc(rpc.request) or "").partition("\n\n")[0].split())


def _fields(shape: Shape, depth: int) -> Iterator[str]:
    if not shape.fields and depth == 1:
        yield "  (nothing)"
    for field in shape.fields:
        yield f"{'  ' * depth}{field.name}  {field.type}{' (optional)' if field.optional else ''}"
        if field.shape is not None:
            yield from _fields(field.shape, depth + 1)


def _tree(shape: Shape) -> list[dict[str, Any]]:
    return [
        {"name": field.name, "type": field.type, **({"fields": _tree(field.shape)} if field.shape else {})}
        for field in shape.fields
    ]
