"""Structs to messages and back: values at their edges, errors that name the field, the OCI's JSON."""

from __future__ import annotations

import contextlib
import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.schemas import agent, network, oci, stats
from actors.schemas.convert import SchemaError, decode, encode
from actors.schemas.descriptors import backend, message_class, method_types
from actors.schemas.rpcs import RPCS, decode_request, decode_response, encode_request, encode_response

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]

# two calls have one message for their requests; here each call has a request of its own
SHARED_REQUESTS = {
    "VersionRequest": "CheckRequest",
    "ReadStdoutRequest": "ReadStreamRequest",
    "ReadStderrRequest": "ReadStreamRequest",
}


def test_the_descriptor_set_is_what_the_tables_say() -> None:
    builder: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "make-descriptors"))
    build: Callable[[Any], bytes] = builder["build"]
    table = json.loads(builder["TABLE"].read_text())
    assert build(table) == build(table) == builder["DESCRIPTORS"].read_bytes()
    assert len(table["messages"]) == 113 + 2
    assert sum(len(service["methods"]) for service in table["services"].values()) == 44 + 1


def test_the_structs_are_what_the_tables_say() -> None:
    maker: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "make-structs"))
    assert maker["main"](["--check"]) == 0, "run scripts/make-structs"


def test_the_rpc_table_has_every_method_of_the_api_with_structs_named_like_its_messages() -> None:
    methods = {**method_types("grpc.Health"), **method_types("grpc.AgentService")}
    assert set(RPCS) == set(methods)
    for name, rpc in RPCS.items():
        request = SHARED_REQUESTS.get(rpc.request.__name__, rpc.request.__name__)
        assert (request, rpc.response.__name__) == tuple(full.rpartition(".")[2] for full in methods[name])
        assert method_types(rpc.service)[name] == methods[name]


@pytest.mark.parametrize("name", RPCS)
def test_every_rpc_s_default_structs_are_empty_messages(name: str) -> None:
    rpc = RPCS[name]
    assert encode_request(rpc, rpc.request()) == encode_response(rpc, rpc.response()) == b""
    assert decode_request(rpc, b"") == rpc.request()
    assert decode_response(rpc, b"") == rpc.response()


def test_protobuf_s_backend_is_told() -> None:
    assert backend() in ("upb", "cpp", "python")


@given(st.binary(max_size=1000))
def test_data_of_a_stream_passes_unchanged(data: bytes) -> None:
    rpc = RPCS["ReadStdout"]
    assert decode_response(rpc, encode_response(rpc, agent.ReadStreamResponse(data=data))).data == data


@given(st.binary(max_size=60))
def test_any_bytes_are_a_struct_or_a_schema_error_and_nothing_else(data: bytes) -> None:
    for name in ("CreateContainer", "UpdateRoutes", "WriteStdin"):
        with contextlib.suppress(SchemaError):
            struct = decode_request(RPCS[name], data)
            assert decode_request(RPCS[name], encode_request(RPCS[name], struct)) == struct


def test_absent_and_default_are_told_apart_where_the_api_does() -> None:
    rpc = RPCS["MemAgentMemcgSet"]
    for disabled in (None, False, True):
        asked = msgspec.structs.replace(rpc.request(), disabled=disabled)
        assert decode_request(rpc, encode_request(rpc, asked)).disabled is disabled
    rule = oci.LinuxSyscall(names=("read",), action="SCMP_ACT_ERRNO")
    for errno in (None, 0, 38):
        struct = msgspec.structs.replace(rule, errno_ret=errno)
        assert decode(oci.LinuxSyscall, "grpc.LinuxSyscall", encode(struct, "grpc.LinuxSyscall")).errno_ret == errno


def test_an_unknown_enum_number_is_kept() -> None:
    address = network.IPAddress(family=77, address="::1")
    assert decode(network.IPAddress, "types.IPAddress", encode(address, "types.IPAddress")) == address


def test_maps_keep_messages_and_encode_the_same_in_any_order() -> None:
    def pages(*sizes: str) -> stats.CgroupStats:
        return stats.CgroupStats(hugetlb_stats={size: stats.HugetlbStats(usage=len(size)) for size in sizes})

    data = encode(pages("2MB", "1GB", "64KB"), "grpc.CgroupStats")
    assert data == encode(pages("64KB", "2MB", "1GB"), "grpc.CgroupStats")
    assert list(decode(stats.CgroupStats, "grpc.CgroupStats", data).hugetlb_stats) == ["1GB", "2MB", "64KB"]


@pytest.mark.parametrize(
    ("struct", "field"),
    [
        (agent.SignalProcessRequest(container_id="c", signal=-1), "signal"),
        (agent.SignalProcessRequest(container_id="c", signal=2**32), "signal"),
        (agent.SignalProcessRequest(container_id="a\ud800"), "container_id"),
        (agent.SignalProcessRequest(container_id=3), "container_id"),  # type: ignore[arg-type]  # what is refused
    ],
)
def test_a_value_that_its_field_can_t_carry_is_refused_by_the_field_s_name(struct: msgspec.Struct, field: str) -> None:
    with pytest.raises(SchemaError) as caught:
        encode_request(RPCS["SignalProcess"], struct)
    assert caught.value.field == f"grpc.SignalProcessRequest.{field}"


def test_a_nested_value_is_refused_by_its_own_message_s_name() -> None:
    spec = oci.Spec(version="1.0.2", process=oci.Process(args=("sh",), cwd="/", user=oci.User(uid=-1, gid=0)))
    with pytest.raises(SchemaError) as caught:
        encode_request(RPCS["CreateContainer"], agent.CreateContainerRequest(container_id="c", OCI=spec))
    assert caught.value.field == "grpc.User.UID"


def test_bytes_that_are_no_message_are_refused_by_its_name() -> None:
    with pytest.raises(SchemaError) as caught:
        decode_request(RPCS["CreateContainer"], b"\x0a\xff")
    assert caught.value.field == "grpc.CreateContainerRequest"
    assert "2 bytes can't be decoded" in caught.value.why


def test_a_struct_that_differs_from_its_message_is_refused() -> None:
    with pytest.raises(TypeError, match="differ in"):
        encode(agent.StartContainerRequest(), "grpc.WriteStreamRequest")


SPEC = oci.Spec(
    version="1.0.2",
    process=oci.Process(
        args=("sh", "-c", "true"),
        cwd="/",
        user=oci.User(uid=0, gid=0, additional_gids=(10,)),
        oom_score_adj=-500,
        no_new_privileges=True,
        rlimits=(oci.POSIXRlimit(type="RLIMIT_NOFILE", hard=2**64 - 1, soft=1024),),
    ),
    root=oci.Root(path="rootfs"),
    mounts=(oci.Mount(destination="/proc", type="proc", source="proc"),),
    hooks=oci.Hooks(create_runtime=(oci.Hook(path="/bin/true"),)),
    linux=oci.Linux(
        cgroups_path="/katrio/box/c",
        uid_mappings=(oci.LinuxIDMapping(host_id=1000, container_id=0, size=1),),
        namespaces=(oci.LinuxNamespace(type="pid"), oci.LinuxNamespace(type="network", path="/proc/1/ns/net")),
        resources=oci.LinuxResources(
            memory=oci.LinuxMemory(limit=-1, disable_oom_killer=True, kernel_tcp=1),
            devices=(oci.LinuxDeviceCgroup(allow=False, access="rwm"),),
            block_io=oci.LinuxBlockIO(
                throttle_read_iops_device=(oci.LinuxThrottleDevice(major=8, minor=0, rate=1),),
            ),
            hugepage_limits=(oci.LinuxHugepageLimit(page_size="2MB", limit=0),),
            pids=oci.LinuxPids(limit=0),
        ),
    ),
)


def test_a_specification_is_a_config_json_with_the_oci_s_own_names() -> None:
    assert json.loads(oci.spec_to_json(SPEC)) == {
        "ociVersion": "1.0.2",
        "process": {
            "args": ["sh", "-c", "true"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0, "additionalGids": [10]},
            "oomScoreAdj": -500,
            "noNewPrivileges": True,
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 2**64 - 1, "soft": 1024}],
        },
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "hooks": {"createRuntime": [{"path": "/bin/true"}]},
        "linux": {
            "cgroupsPath": "/katrio/box/c",
            "uidMappings": [{"hostID": 1000, "containerID": 0, "size": 1}],
            "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
            "resources": {
                "memory": {"limit": -1, "disableOOMKiller": True, "kernelTCP": 1},
                "devices": [{"allow": False, "access": "rwm"}],
                "blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 1}]},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
                "pids": {"limit": 0},
            },
        },
    }


def test_a_specification_survives_json_and_protobuf() -> None:
    assert oci.spec_from_json(oci.spec_to_json(SPEC)) == SPEC
    assert oci.spec_from_message(oci.spec_to_message(SPEC)) == SPEC
    peer: Any = message_class("grpc.Spec").FromString(oci.spec_to_message(SPEC))
    assert peer.Linux.Resources.Devices[0].Major == -1
    assert peer.Process.OOMScoreAdj == -500


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"{", "truncated"), (b"{}", "ociVersion"), (b'{"ociVersion": 1}', "ociVersion"), (b"\xff", "malformed")],
)
def test_a_config_json_that_is_none_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(SchemaError) as caught:
        oci.spec_from_json(data)
    assert why in str(caught.value)
