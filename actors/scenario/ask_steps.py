"""How verbs are performed that pass their fields on (`asks`), and calls of any verb by name.

For `steps`, whose table these join. The answer becomes JSON with every field in it, zeros included, so that a path
always leads somewhere. Not for verbs with a meaning of their own in the language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.errors import InvalidArgument
from actors.scenario.asks import CopyFile, ListProcesses, Update
from actors.scenario.model import Step
from actors.scenario.topology import cpu_quota
from actors.wire.codec import convert_args
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.spec import ResourceSpec
from actors.wire.verbs import CONTAINER_VERBS

if TYPE_CHECKING:
    from actors.scenario.stage import Attempt
    from actors.scenario.verbs import Call
    from actors.wire.verb import Verb

__all__ = ["ask", "call"]

_OWN = frozenset(item.name for item in msgspec.structs.fields(Step)) | {"save"}


async def ask(step: Step, attempt: Attempt) -> tuple[str, str]:
    """Perform one; what it was about, and the answer. Raises: KatrioError, UnknownValue."""
    target: str = getattr(step, step.word)
    match step:
        case Update():
            return target, await _update(step, attempt)
        case CopyFile(path=path, data=data):
            content = attempt.text(data).encode()
            copying = attempt.sandbox(target).copy_file(attempt.text(path), content, timeout=attempt.budget)
            await attempt.ask(step.word, attempt.address(target), copying)
            return target, "{}"
        case ListProcesses(table=True):
            words = [attempt.text(word) for word in step.args]
            table = attempt.container(target).process_table(*words, timeout=attempt.budget)
            return target, await attempt.ask(step.word, attempt.address(target), table)
        case ListProcesses():
            pids = attempt.container(target).list_processes(timeout=attempt.budget)
            return target, _json(await attempt.ask(step.word, attempt.address(target), pids))
        case _:
            names = [item.name for item in msgspec.structs.fields(step)]
            given = {name: getattr(step, name) for name in names if name not in _OWN and name != step.word}
            args = {name: value for name, value in given.items() if value is not None}
            row = _row(target, step.word, attempt)
            for item in msgspec.structs.fields(row.args):
                if item.type is bytes and item.name in args:
                    args[item.name] = attempt.text(args[item.name]).encode()
            return target, await _send(target, step.word, args, attempt)


async def call(step: Call, attempt: Attempt) -> tuple[str, str]:
    """See `ask`."""
    return step.call, await _send(step.call, step.verb, step.args, attempt)


async def _update(step: Update, attempt: Attempt) -> str:
    resources = ResourceSpec(
        memory_bytes=step.memory,
        pids=step.pids,
        **cpu_quota(attempt.text(step.cpus) if step.cpus else None),
    )
    asking = attempt.container(step.update).update(resources, timeout=attempt.budget)
    await attempt.ask("update", attempt.address(step.update), asking)
    return "{}"


def _row(target: str, verb: str, attempt: Attempt) -> Verb[Any, Any]:
    """Raises: InvalidArgument, when what is meant has no such verb."""
    table = SANDBOX_VERBS if attempt.is_sandbox(target) else CONTAINER_VERBS
    if verb not in table:
        known = ", ".join(table)
        raise InvalidArgument(f"{attempt.address(target)} has no verb {verb!r}: it has {known}", field="verb")
    return table[verb]


async def _send(target: str, verb: str, args: dict[str, Any], attempt: Attempt) -> str:
    address, row = attempt.address(target), _row(target, verb, attempt)
    message = convert_args(_filled(args, attempt), row.args)
    asking = attempt.stage.world.system.courier.ask(address, verb, message, row.result, timeout=attempt.budget)
    return _json(await attempt.ask(verb, address, asking))


def _filled(args: object, attempt: Attempt) -> object:
    if isinstance(args, dict):
        return {key: _filled(value, attempt) for key, value in cast("dict[str, object]", args).items()}
    if isinstance(args, (list, tuple)):
        return [_filled(value, attempt) for value in cast("list[object]", args)]
    return attempt.text(args) if isinstance(args, str) else args


def _json(value: object) -> str:
    return msgspec.json.encode(_plain(value)).decode()


def _plain(value: object) -> object:
    """A value with all fields of its structs, those that the wire leaves out as well."""
    if isinstance(value, msgspec.Struct):
        return {item.encode_name: _plain(getattr(value, item.name)) for item in msgspec.structs.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[str, object]", value).items()}
    return value
