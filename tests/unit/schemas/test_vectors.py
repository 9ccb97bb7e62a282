"""46 exchanges as Kata's own Go client and a Go server put them on the wire, every field set.

They are the outside witness for field numbers, types and names. Not for what the calls mean.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.unknown_fields import UnknownFieldSet

from actors.schemas.descriptors import message_class, method_types
from actors.schemas.rpcs import RPCS, Rpc, decode_request, decode_response, encode_request, encode_response

if TYPE_CHECKING:
    from google.protobuf.message import Message

VECTORS = Path(__file__).parents[2] / "data" / "kata-vectors.jsonl"


class Body(NamedTuple):
    """One captured body."""

    rpc: Rpc
    message_name: str
    is_request: bool
    data: bytes
    response_json: dict[str, Any]


def _bodies() -> list[Any]:
    cases: list[Any] = []
    for line in VECTORS.read_text().splitlines():
        row = json.loads(line)
        rpc = RPCS[row["rpc"].partition("(")[0]]
        names = method_types(rpc.service)[rpc.method]
        for is_request, key, name in ((True, "request_hex", names[0]), (False, "response_hex", names[1])):
            body = Body(rpc, name, is_request, bytes.fromhex(row[key]), row["response"])
            cases.append(pytest.param(body, id=f"{row['rpc']}-{key.removesuffix('_hex')}"))
    return cases


BODIES = _bodies()
# Go writes a member of a oneof after all other fields of its message: `errnoret` (3) after `Args` (4)
ONEOF_LAST = {("CreateContainer", True)}


def _unknown_fields(message: Message) -> int:
    count = len(UnknownFieldSet(message))
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is None:
                continue
            nested = list(value.values())
        else:
            nested = list(value) if field.is_repeated else [value]
        count += sum(_unknown_fields(item) for item in nested)
    return count


def _go_order(message: Any) -> bytes:
    """The bytes as Go orders them: in each system call rule, the oneof's member last."""
    own: bytes = message.SerializeToString(deterministic=True)
    rule_class = message_class("grpc.LinuxSyscall")
    for rule in message.OCI.Linux.Seccomp.Syscalls:
        member = rule_class(errnoret=rule.errnoret).SerializeToString()
        rest = rule_class.FromString(rule.SerializeToString())
        rest.ClearField("errnoret")
        own = own.replace(
            rule.SerializeToString(deterministic=True), rest.SerializeToString(deterministic=True) + member
        )
    return own


def test_there_are_46_exchanges_of_today_s_44_rpcs() -> None:
    assert len(BODIES) == 92
    assert {body.values[0].rpc.method for body in BODIES} == set(RPCS) - {"ListProcesses"}


@pytest.mark.parametrize("body", BODIES)
def test_a_captured_body_has_no_unknown_field_and_encodes_to_the_same_bytes(body: Body) -> None:
    message = message_class(body.message_name).FromString(body.data)
    assert _unknown_fields(message) == 0
    assert message.ByteSize() == len(body.data)
    special = (body.rpc.method, body.is_request) in ONEOF_LAST
    again = message.SerializeToString(deterministic=True)
    assert (again == body.data) is not special
    if special:
        assert _go_order(message) == body.data


@pytest.mark.parametrize("body", BODIES)
def test_a_captured_body_survives_our_structs(body: Body) -> None:
    direct = message_class(body.message_name).FromString(body.data).SerializeToString(deterministic=True)
    if body.is_request:
        struct = decode_request(body.rpc, body.data)
        assert type(struct) is body.rpc.request
        assert encode_request(body.rpc, struct) == direct
    else:
        struct = decode_response(body.rpc, body.data)
        assert type(struct) is body.rpc.response
        assert encode_response(body.rpc, struct) == direct
        assert not set(body.response_json) - set(struct.__struct_fields__)


def _built_anew(body: Body) -> bytes:
    """Its values as plain dicts, lists and scalars, and from those alone the bytes again."""
    if body.is_request:
        plain = msgspec.to_builtins(decode_request(body.rpc, body.data), builtin_types=(bytes,))
        return encode_request(body.rpc, msgspec.convert(plain, body.rpc.request, builtin_types=(bytes,)))
    plain = msgspec.to_builtins(decode_response(body.rpc, body.data), builtin_types=(bytes,))
    return encode_response(body.rpc, msgspec.convert(plain, body.rpc.response, builtin_types=(bytes,)))


def test_91_of_92_bodies_built_anew_from_plain_values_are_the_captured_bytes_and_the_last_in_go_s_order() -> None:
    bodies: list[Body] = [case.values[0] for case in BODIES]
    others = [body for body in bodies if _built_anew(body) != body.data]
    assert len(bodies) - len(others) == 91
    (other,) = others
    assert (other.rpc.method, other.is_request) in ONEOF_LAST
    assert _go_order(message_class(other.message_name).FromString(_built_anew(other))) == other.data


@pytest.mark.parametrize("body", [case for case in BODIES if not case.values[0].is_request])
def test_the_reply_that_the_capture_tells_in_json_encodes_to_the_captured_bytes(body: Body) -> None:
    message = ParseDict(body.response_json, message_class(body.message_name)())
    assert message.SerializeToString(deterministic=True) == body.data


@pytest.mark.parametrize("body", [case for case in BODIES if case.values[0].data])
def test_the_unknown_field_check_would_see_a_message_without_fields(body: Body) -> None:
    empty = message_class("google.protobuf.Empty").FromString(body.data)
    assert _unknown_fields(empty) > 0
