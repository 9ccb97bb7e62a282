"""What fields may hold: each rule at its edges, on the values of verbs and on OCI's, and the path that is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from actors.errors import InvalidArgument
from actors.schemas.oci import Box, Mount, POSIXRlimit, Process, User
from actors.wire.codec import decode_value, encode_args
from actors.wire.fields import check_fields
from actors.wire.reports import Address, Interface, Route
from actors.wire.sandbox_verbs import CopyFile, CreateContainer
from actors.wire.spec import ContainerSpec, MountSpec, ProcessSpec, ResourceSpec, SandboxSpec, TerminalSize
from actors.wire.verbs import Exec, Signal, Stop, Update, Winsize

if TYPE_CHECKING:
    from collections.abc import Iterator

    import msgspec

UNSET = 2**32 - 1
RIGHT: tuple[msgspec.Struct, ...] = (
    *(
        ProcessSpec(args=("a",), user=user)
        for user in ("", "0", "4294967294", "1:4294967294", "web:logs", "é", "00012")
    ),
    *(ResourceSpec(pids=pids) for pids in (None, -1, 1, 2**22)),
    *(ResourceSpec(memory_bytes=size) for size in (-1, 1, 2**63 - 1)),
    *(ResourceSpec(cpu_quota_us=quota) for quota in (-1, 1000, 2**44 - 1)),
    *(ResourceSpec(cpuset_cpus=text) for text in ("0", "0-2,4", "1,3,5-7")),
    TerminalSize(1, 65535),
    ProcessSpec(args=("a",), tty=True, size=TerminalSize(1, 1)),
    ProcessSpec(args=("a",), tty=True),
    Stop(grace_seconds=0),
    Stop(grace_seconds=86_400),
    Signal(64),
    SandboxSpec(hostname="tüür"),
    Route(destination="0.0.0.0/0", gateway="fe80::1"),
    Interface(device="eth0", hardware_address="02:00:00:00:00:01", addresses=(Address("::1", 128),)),
    User(uid=0, gid=UNSET - 1),
    Box(height=0, width=0),
)


def _users() -> Iterator[tuple[str, msgspec.Struct]]:
    for user in (str(UNSET), f"0:{UNSET}", f"web:{UNSET}", "9" * 5000, "a:", ":a", ":", "a:b:c", "a\0b", "0:\0"):
        yield "user", ProcessSpec(args=("a",), user=user)


def _resources() -> Iterator[tuple[str, msgspec.Struct]]:
    numbers = {
        "memory_bytes": (0, -2, 2**63), "memory_reservation_bytes": (0, -2), "memory_swap_bytes": (0, -2),
        "pids": (0, -2, 2**22 + 1), "cpu_quota_us": (0, -2, 999, 2**44), "cpu_period_us": (-1, 0, 999, 1_000_001),
        "cpu_shares": (-1, 0, 1, 262_145),
    }  # fmt: skip
    for field, values in numbers.items():
        for value in values:
            yield field, replace(ResourceSpec(), **{field: value})
    for text in ("", "a", "0-", "0,", "1 2", "0\n", "9" * 5000, "0\0"):
        yield "cpuset_cpus", ResourceSpec(cpuset_cpus=text)
        yield "cpuset_mems", ResourceSpec(cpuset_mems=text)


WRONG: tuple[tuple[str, msgspec.Struct], ...] = (
    *_users(),
    *_resources(),
    ("args", ProcessSpec(args=())),
    ("args[1]", ProcessSpec(args=("a", "b\0"))),
    ("env[...]", ProcessSpec(args=("a",), env={"A": "\0"})),
    ("env[...]", ProcessSpec(args=("a",), env={"A=B": ""})),
    ("env[...]", ProcessSpec(args=("a",), env={"": ""})),
    ("cwd", ProcessSpec(args=("a",), cwd="tmp")),
    ("cwd", ProcessSpec(args=("a",), cwd="/t\0mp")),
    ("size.rows", ProcessSpec(args=("a",), tty=True, size=TerminalSize(0, 1))),
    ("size", ProcessSpec(args=("a",), size=TerminalSize(1, 1))),
    ("process.size", ContainerSpec(process=ProcessSpec(args=("a",), size=TerminalSize(1, 1)))),
    ("columns", TerminalSize(1, 65536)),
    ("image", ContainerSpec(process=ProcessSpec(args=("a",)), image="\0")),
    (
        "mounts[0].source",
        ContainerSpec(process=ProcessSpec(args=("a",)), mounts=(MountSpec(source="a", destination="/b"),)),
    ),
    ("destination", MountSpec(source="/a", destination="/b/../c")),
    ("hostname", SandboxSpec(hostname="a\0")),
    ("signal", Signal(0)),
    ("signal", Stop(signal=65)),
    ("grace_seconds", Stop(grace_seconds=-1)),
    ("grace_seconds", Stop(grace_seconds=1e300)),
    ("path", CopyFile(path="a/../b", size=0, data=b"")),
    ("mode", CopyFile(path="a", size=0, data=b"", mode=0o10000)),
    ("uid", CopyFile(path="a", size=0, data=b"", uid=-1)),
    ("gateway", Route(gateway="\x1b[2J")),
    ("addresses[0].address", Interface(device="lo", addresses=(Address("localhost", 8),))),
    ("device", Interface(device="a/b")),
    ("uid", User(uid=UNSET, gid=0)),
    ("gid", User(uid=0, gid=UNSET)),
    ("additionalGids[1]", User(uid=0, gid=0, additional_gids=(1, UNSET))),
    ("user.uid", Process(args=("a",), cwd="/", user=User(uid=UNSET, gid=0))),
    ("args[0]", Process(args=("\0",), cwd="/")),
    ("env[0]", Process(args=("a",), cwd="/", env=("=x",))),
    ("consoleSize.height", Process(args=("a",), cwd="/", console_size=Box(height=65536, width=1))),
    ("oomScoreAdj", Process(args=("a",), cwd="/", oom_score_adj=1001)),
    ("rlimits[0].type", Process(args=("a",), cwd="/", rlimits=(POSIXRlimit(type="RLIMIT_X", hard=1, soft=1),))),
    ("options[0]", Mount(destination="/", options=("\0",))),
)


@pytest.mark.parametrize("value", RIGHT, ids=repr)
def test_what_is_right_passes(value: msgspec.Struct) -> None:
    check_fields(value)


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_what_is_wrong_is_named(field: str, value: msgspec.Struct) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_fields(value)
    assert caught.value.details == {"field": field}
    assert caught.value.message.startswith(field)
    assert len(caught.value.message) < 250


def test_a_verbs_arguments_are_checked_as_they_are_decoded() -> None:
    process = ProcessSpec(args=("a",), tty=True, size=TerminalSize(0, 1))
    for args, field in (
        (Exec("x1", process), "process.size.rows"),
        # a create and an exec call the same field by the same name
        (CreateContainer("c1", ContainerSpec(process=process)), "process.size.rows"),
        (Update(ResourceSpec(pids=0)), "resources.pids"),
        (Winsize(TerminalSize(1, 0)), "size.columns"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            decode_value(encode_args(args), type(args))
        assert caught.value.details == {"field": field}


@pytest.mark.parametrize(
    ("args", "field"),
    [
        (Exec("x1", ProcessSpec(args=("cat", "caf\udce9"))), "process.args[1]"),
        (Exec("x1", ProcessSpec(args=("cat",), env={"A": "\udce9"})), "process.env[...]"),
        (Update(ResourceSpec(memory_bytes=2**64)), "resources.memory_bytes"),
        (Update(ResourceSpec(memory_bytes=10**5000)), "resources.memory_bytes"),
        (CreateContainer("\ud800", ContainerSpec(process=ProcessSpec(args=("cat",)))), "id"),
        ({"process": object()}, "process"),
    ],
)
def test_what_no_message_carries_is_named_before_it_is_sent(args: object, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        encode_args(args)
    assert caught.value.details == {"field": field}
