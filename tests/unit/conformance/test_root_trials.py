"""A root that somebody named and that is not seen here: whether its absence is told, and nothing else taken for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.conformance.case import Verdict
from actors.conformance.catalogue import ALL
from actors.conformance.runner import run_cases
from actors.errors import InvalidArgument
from actors.node.protocols import GuestProtocol
from tests.support.planted.defect import Kit
from tests.support.planted.guest import open_kata
from transports.errors import RpcStatusError, StatusCode

if TYPE_CHECKING:
    from trio.testing import MockClock

    from transports.calls.server import CallContext, Handler

CASES = {case.id: case for case in ALL}
ABSENT = {
    "katrio": (StatusCode.INVALID_ARGUMENT, "rootfs '/nope': need the absolute path of a directory"),
    "today's": (StatusCode.INTERNAL, "ENOENT: No such file or directory"),
    "runc": (StatusCode.UNKNOWN, 'exec: "sh": executable file not found in $PATH'),
    "no shell": (StatusCode.INVALID_ARGUMENT, "program 'sh': no such executable in the container"),
    "typed": (StatusCode.NOT_FOUND, "the root"),
}
OTHERWISE = {
    "a policy": (StatusCode.PERMISSION_DENIED, "forbidden by policy"),
    "not written yet": (StatusCode.UNIMPLEMENTED, "/nope: no such call"),
    "broken": (StatusCode.INTERNAL, "panic"),
}


def refusing(method: str, code: StatusCode, text: str) -> Kit:
    async def around(handler: Handler, request: bytes, context: CallContext) -> bytes:
        if context.method == method:
            raise RpcStatusError(code, text, ())
        return await handler(request, context)

    return Kit(around=around)


@pytest.mark.parametrize("method", ["CreateContainer", "StartContainer"])
@pytest.mark.parametrize("name", ABSENT)
async def test_an_absent_root_ends_the_run_before_its_cases(name: str, method: str, autojump_clock: MockClock) -> None:
    async with open_kata(refusing(method, *ABSENT[name]), GuestProtocol.TTRPC) as target:
        target.rootfs, target.rootfs_unverified = "/nope", True
        with pytest.raises(InvalidArgument, match="--rootfs /nope: there is no /bin/sh in it") as caught:
            await run_cases(target, [CASES["health.serving"]])
    assert caught.value.details["field"] == "rootfs"
    assert ABSENT[name][1] in caught.value.message


@pytest.mark.parametrize("name", OTHERWISE)
async def test_what_is_refused_for_another_reason_is_the_cases_affair(name: str, autojump_clock: MockClock) -> None:
    async with open_kata(refusing("CreateContainer", *OTHERWISE[name]), GuestProtocol.TTRPC) as target:
        target.rootfs, target.rootfs_unverified = "/nope", True
        results = await run_cases(target, [CASES["health.serving"], CASES["wait.again"]])
    assert [each.verdict is Verdict.HOLDS for each in results] == [True, False]


async def test_a_root_that_the_agent_alone_sees_is_as_good(autojump_clock: MockClock) -> None:
    async with open_kata(Kit(), GuestProtocol.TTRPC) as target:
        target.rootfs_unverified = True
        [result] = await run_cases(target, [CASES["wait.again"]])
    assert result.verdict is Verdict.HOLDS
