"""The table of gRPC codes and katrio's errors, read both ways."""

from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from actors import errors
from actors.schemas.status import error_from_status, status_from_error
from transports.errors import StatusCode

# what a guest may answer with, and what the host must make of it again
SAME = [
    errors.InvalidArgument,
    errors.NotFound,
    errors.AlreadyExists,
    errors.InvalidTransition,
    errors.Unsupported,
    errors.PermissionDenied,
    errors.ResourceExhausted,
    errors.Busy,
    errors.AgentUnreachable,
    errors.AgentError,
]


@pytest.mark.parametrize("changes_state", [False, True])
@pytest.mark.parametrize("kind", SAME)
def test_a_guest_s_error_is_the_same_error_on_the_host(kind: type[errors.KatrioError], *, changes_state: bool) -> None:
    code, message, _ = status_from_error(kind("what was asked"))
    found = error_from_status(code, message, changes_state=changes_state)
    assert type(found) is kind
    assert found.message == "what was asked"


def test_each_of_those_has_a_code_of_its_own() -> None:
    codes = [status_from_error(kind("x"))[0] for kind in SAME]
    assert len(set(codes)) == len(codes)
    assert status_from_error(errors.InvalidTransition("x"))[0] == StatusCode.FAILED_PRECONDITION
    assert status_from_error(errors.Unsupported("x"))[0] == StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("kind", [errors.Expired, errors.CallerCancelled])
def test_a_call_that_was_stopped_has_an_unknown_outcome_only_if_it_changes_something(
    kind: type[errors.KatrioError],
) -> None:
    code, message, _ = status_from_error(kind("late"))
    assert type(error_from_status(code, message, changes_state=False)) is kind
    assert type(error_from_status(code, message, changes_state=True)) is errors.OutcomeUnknown


def test_a_guest_that_does_not_know_the_outcome_says_so() -> None:
    code, message, _ = status_from_error(errors.OutcomeUnknown("perhaps"))
    assert code == StatusCode.DEADLINE_EXCEEDED
    assert type(error_from_status(code, message, changes_state=True)) is errors.OutcomeUnknown


@pytest.mark.parametrize(
    ("code", "status"), [(2, "UNKNOWN"), (13, "INTERNAL"), (15, "DATA_LOSS"), (99, "99"), (-5, "-5")]
)
def test_a_code_without_a_meaning_of_ours_is_the_agent_s_own_error(code: int, status: str) -> None:
    error = error_from_status(code, "text", changes_state=True)
    assert type(error) is errors.AgentError
    assert error.details == {"status": status}


@pytest.mark.parametrize(
    ("code", "kind"), [(11, errors.InvalidArgument), (16, errors.PermissionDenied), (10, errors.Busy)]
)
def test_codes_that_foreign_agents_may_use_are_understood(code: int, kind: type[errors.KatrioError]) -> None:
    assert type(error_from_status(code, "text", changes_state=True)) is kind


@pytest.mark.parametrize("kind", [errors.InternalError, errors.GuestDied, errors.AgentProtocolError])
def test_what_no_guest_should_answer_is_internal(kind: type[errors.KatrioError]) -> None:
    assert status_from_error(kind("oops")) == (StatusCode.INTERNAL, "oops", ())


def test_details_for_programs_come_along_and_nothing_else_does() -> None:
    told = errors.ResourceExhausted("full", field="pids", limit=7, container="c1", secret="s", parts=[1])
    code, message, details = status_from_error(told)
    found = error_from_status(code, message, details, changes_state=True)
    assert found.details == {"field": "pids", "limit": 7, "container": "c1"}
    assert type(found.details["limit"]) is int
    assert status_from_error(errors.AgentError("no", status="x"))[2] == ()


Value = str | float | list[str] | dict[str, int]


def _any(**values: Value) -> bytes:
    struct, packed = Struct(), Any()
    struct.update(values)
    packed.Pack(struct, deterministic=True)
    return packed.SerializeToString()


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        (b"\xff\xff", {}),
        (b"", {}),
        (Any(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff").SerializeToString(), {}),
        (Any(type_url="type.googleapis.com/google.protobuf.Struct", value=b"\x0a\x05a").SerializeToString(), {}),
        (_any(field=3, limit="much", status="OK", code="x"), {}),
        (_any(field=["args"], limit=1.5, state={"a": 1}), {}),
        (_any(limit=float("nan")), {}),
        (_any(limit=float("inf")), {}),
        (_any(field="a" * 5000), {}),
        (_any(field="\x1b[2Jargs"), {"field": "\\x1b[2Jargs"}),
        (_any(field="args", limit=4.0, link="x"), {"field": "args", "limit": 4}),
    ],
)
def test_what_a_hostile_guest_says_in_details_is_read_with_care(detail: bytes, expected: dict[str, object]) -> None:
    found = error_from_status(StatusCode.INVALID_ARGUMENT, "no", (detail, b"\x00"), changes_state=True)
    assert type(found) is errors.InvalidArgument
    assert found.details == expected


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_no_bytes_of_details_hide_the_failure(details: list[bytes]) -> None:
    found = error_from_status(StatusCode.NOT_FOUND, "no", tuple(details), changes_state=True)
    assert (type(found), found.message) == (errors.NotFound, "no")


def test_unavailable_is_a_refusal_where_nobody_else_can_say_it() -> None:
    code = StatusCode.UNAVAILABLE
    assert type(error_from_status(code, "no tty", changes_state=True)) is errors.AgentUnreachable
    told = error_from_status(code, "no tty", changes_state=True, answered=True)
    assert type(told) is errors.AgentError
    assert told.details == {"status": "UNAVAILABLE"}


CAUSES = "exec failed\n\nCaused by:\n    0: no such file\n    1: ENOENT"


@pytest.mark.parametrize(
    "trace",
    [
        "\n\nStack backtrace:\n   0: anyhow::error\n   1: kata_agent::rpc" + "x" * 13_000,
        "\nstack backtrace:\n   0: std::backtrace",
        "\n\ngoroutine 1 [running]:\nmain.main()",
        "\nTraceback (most recent call last):\n  File",
        "\\n\\nStack backtrace:\\n   0: in a debugging print",
    ],
)
def test_an_agent_s_backtrace_is_cut_where_it_begins(trace: str) -> None:
    assert error_from_status(13, CAUSES + trace, changes_state=True).message == CAUSES


@pytest.mark.parametrize("text", ["no backtrace: here", "it says Stack backtrace off", "goroutine 7 hangs", ""])
def test_words_that_are_no_backtrace_stay(text: str) -> None:
    assert error_from_status(13, text, changes_state=True).message == text
