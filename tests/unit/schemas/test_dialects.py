"""The two dialects of the kata agent API: the same structs, other numbers, and what one of them lacks."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.errors import InvalidArgument
from actors.schemas import agent, network, oci, resources
from actors.schemas.convert import NoSuchField, decode, encode
from actors.schemas.descriptors import message_class, method_types
from actors.schemas.rpcs import RPCS, decode_request, decode_response, encode_request, encode_response, rpcs_of
from actors.words import Dialect

BUILDER: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[3] / "scripts" / "make-descriptors"))
RPCS_1X = rpcs_of(Dialect.GRPC)
TODAY_ALONE = {
    "AddSwap",
    "AddSwapPath",
    "GetDiagnosticData",
    "GetIPTables",
    "GetMetrics",
    "GetVolumeStats",
    "MemAgentCompactSet",
    "MemAgentMemcgSet",
    "RemoveStaleVirtiofsShareMounts",
    "ResizeVolume",
    "SetIPTables",
    "SetPolicy",
    "UpdateEphemeralMounts",
}


def test_the_descriptor_set_of_1_x_is_what_the_tables_say() -> None:
    today, differences = (json.loads(BUILDER[name].read_text()) for name in ("TABLE", "DIFFERENCES"))
    table = BUILDER["older"](today, differences)
    assert BUILDER["build"](table) == BUILDER["DESCRIPTORS_1X"].read_bytes()
    # kata-containers/agent 1.13
    assert len(table["messages"]) == 95
    assert sum(len(row["fields"]) for row in table["messages"].values()) == 310
    assert sum(len(service["methods"]) for service in table["services"].values()) == 34


def test_each_dialect_has_its_calls() -> None:
    assert dict(rpcs_of(Dialect.TTRPC)) == dict(RPCS)
    assert set(RPCS) - set(RPCS_1X) == TODAY_ALONE
    assert set(RPCS_1X) - set(RPCS) == {"StartTracing", "StopTracing"}
    for name, rpc in RPCS_1X.items():
        assert name in method_types(rpc.service, Dialect.GRPC)


@pytest.mark.parametrize("name", RPCS_1X)
def test_every_rpc_of_1_x_has_structs(name: str) -> None:
    rpc = RPCS_1X[name]
    assert decode_request(rpc, encode_request(rpc, rpc.request(), Dialect.GRPC), Dialect.GRPC) == rpc.request()
    assert decode_response(rpc, encode_response(rpc, rpc.response(), Dialect.GRPC), Dialect.GRPC) == rpc.response()


def test_what_was_renumbered_goes_by_its_dialect_s_number() -> None:
    rule = oci.LinuxSyscall(names=("read",), action="A", args=(oci.LinuxSeccompArg(index=1, value=2, op="EQ"),))
    seccomp = oci.LinuxSeccomp(default_action="D", syscalls=(rule,))
    for dialect, syscalls, args in ((Dialect.TTRPC, 4, 4), (Dialect.GRPC, 3, 3)):
        message: Any = message_class("grpc.LinuxSeccomp", dialect).FromString(
            encode(seccomp, "grpc.LinuxSeccomp", dialect)
        )
        numbers = [field.number for field, _ in message.ListFields()]
        assert numbers == [1, syscalls]
        assert [field.number for field, _ in message.Syscalls[0].ListFields()] == [1, 2, args]
        assert (
            decode(oci.LinuxSeccomp, "grpc.LinuxSeccomp", encode(seccomp, "grpc.LinuxSeccomp", dialect), dialect)
            == seccomp
        )


def test_what_was_renamed_is_the_same_field() -> None:
    interface = network.Interface(device="eth0", devicePath="02/03")
    message: Any = message_class("types.Interface", Dialect.GRPC).FromString(
        encode(interface, "types.Interface", Dialect.GRPC)
    )
    assert message.pciPath == "02/03"
    assert decode(network.Interface, "types.Interface", message.SerializeToString(), Dialect.GRPC) == interface


@pytest.mark.parametrize(
    ("struct", "message", "field", "dialect"),
    [
        (agent.CreateContainerRequest(stdin_port=5), "grpc.CreateContainerRequest", "stdin_port", Dialect.GRPC),
        (agent.CreateContainerRequest(agent_pidns=True), "grpc.CreateContainerRequest", "agent_pidns", Dialect.TTRPC),
        (agent.ExecProcessRequest(stderr_port=5), "grpc.ExecProcessRequest", "stderr_port", Dialect.GRPC),
        (network.Route(family=network.IPFamily.v6), "types.Route", "family", Dialect.GRPC),
        (network.Route(mtu=1500), "types.Route", "mtu", Dialect.GRPC),
        (oci.LinuxSeccomp(default_action="D", flags=("F",)), "grpc.LinuxSeccomp", "flags", Dialect.GRPC),
        (oci.LinuxSyscall(names=(), action="A", errno_ret=0), "grpc.LinuxSyscall", "errno_ret", Dialect.GRPC),
        (resources.Storage(shared=True), "grpc.Storage", "shared", Dialect.GRPC),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_field_of_the_other_dialect_is_refused_by_name(
    struct: msgspec.Struct, message: str, field: str, dialect: Dialect
) -> None:
    with pytest.raises(NoSuchField) as caught:
        encode(struct, message, dialect)
    assert caught.value.field == f"{message}.{field}"
    assert str(dialect) in caught.value.why
    # as in an answer to somebody who can't know of it
    default = next(info.default for info in msgspec.structs.fields(struct) if info.name == field)
    plain = msgspec.structs.replace(struct, **{field: default})
    assert encode(plain, message, dialect) == encode(struct, message, dialect, lossy=True)


def test_a_refusal_reaches_into_messages_within() -> None:
    request = network.UpdateRoutesRequest(routes=network.Routes((network.Route(dest="::/0", flags=1),)))
    with pytest.raises(NoSuchField, match="flags"):
        encode_request(RPCS_1X["UpdateRoutes"], request, Dialect.GRPC)


def test_a_word_that_is_no_dialect() -> None:
    assert Dialect.parse("grpc") is Dialect.GRPC
    with pytest.raises(InvalidArgument, match="ttrpc or grpc"):
        Dialect.parse("GRPC")
