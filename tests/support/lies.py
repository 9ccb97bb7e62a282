"""The lies of a hostile guest: what it does instead of answering, and what the host has to make of it.

Data for `tests/integration/test_hostile_guest.py`, which tells each one over a real socket. A row whose answer is a value is
a lie that must change nothing.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import trio

from actors import errors
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.wire.reports import ContainerStats
from actors.wire.spec import ExitStatus
from tests.support.lying import (
    MIB,
    answer,
    answer_body,
    answer_bytes,
    ask_check,
    ask_details,
    ask_errors,
    ask_interfaces,
    ask_output,
    ask_pause,
    ask_pids,
    ask_routes,
    ask_serving,
    ask_stats,
    ask_table,
    ask_wait,
    ask_write,
    claims,
    close,
    counters,
    cpus,
    cut,
    details,
    drip,
    fail,
    half_close,
    honest_then,
    never,
    processes,
    raw,
    replies_to_nobody_without_end,
    reply,
    sends,
    then_honest,
    unknown_types_without_end,
)
from transports.ttrpc.codec import DATA, MAX_BODY, REQUEST, RESPONSE, encode_frame, encode_response, encode_status

if TYPE_CHECKING:
    from tests.support.lying import Asks, Does

__all__ = ["LIES", "Row"]


class Row(NamedTuple):
    """One lie. `answer` is an error's class, or the value that the host gets all the same; `says` is in the message."""

    name: str
    method: str
    does: Does
    asks: Asks
    answer: object
    says: str = ""

    @property
    def fails(self) -> type[Exception] | None:
        """The error that the host gets, if it gets one."""
        return self.answer if isinstance(self.answer, type) and issubclass(self.answer, Exception) else None


BROKEN, UNREACHABLE, UNKNOWN = errors.AgentProtocolError, errors.AgentUnreachable, errors.OutcomeUnknown
UTF8 = b"\x12\x02\xff\xfe"
SEVEN, OUT = ExitStatus(7), b"out"
ESCAPES = "\x1b[2J\x1b]0;owned\x07 \u202eedoc"

LIES = (
    # values that the request rules out
    Row(
        "more output than was asked for",
        "ReadStdout",
        answer(api.ReadStreamResponse(data=bytes(17))),
        ask_output,
        BROKEN,
        "17 bytes where 16",
    ),
    Row(
        "far more error output",
        "ReadStderr",
        answer(api.ReadStreamResponse(data=bytes(3 * MIB))),
        ask_errors,
        BROKEN,
        "where 16",
    ),
    Row(
        "it took more input than it was given",
        "WriteStdin",
        answer(api.WriteStreamResponse(len=4)),
        ask_write,
        BROKEN,
        "4 of 3 bytes",
    ),
    Row(
        "it took 4 GiB of input",
        "WriteStdin",
        answer(api.WriteStreamResponse(len=2**32 - 1)),
        ask_write,
        BROKEN,
        "of 3 bytes",
    ),
    Row(
        "a negative exit status",
        "WaitProcess",
        answer(api.WaitProcessResponse(status=-1)),
        ask_wait,
        BROKEN,
        "status -1",
    ),
    Row(
        "an exit status of 256",
        "WaitProcess",
        answer(api.WaitProcessResponse(status=256)),
        ask_wait,
        BROKEN,
        "status 256",
    ),
    Row(
        "the highest exit status",
        "WaitProcess",
        answer(api.WaitProcessResponse(status=2**31 - 1)),
        ask_wait,
        BROKEN,
        "0 to 255",
    ),
    Row("a pid of 0", "ListProcesses", processes(b"[0,1]"), ask_pids, BROKEN, ">= 1"),
    Row("a negative pid", "ListProcesses", processes(b"[-5]"), ask_pids, BROKEN, ">= 1"),
    Row("the same pid twice", "ListProcesses", processes(b"[4,4]"), ask_pids, BROKEN, "pid 4 twice"),
    Row("a pid that the kernel can't have", "ListProcesses", processes(b"[99999999]"), ask_pids, BROKEN, "<= 4194304"),
    Row("pids with a fraction", "ListProcesses", processes(b"[1.5]"), ask_pids, BROKEN, "not a JSON list"),
    Row("pids that are NaN", "ListProcesses", processes(b"[NaN]"), ask_pids, BROKEN, "not a JSON list"),
    Row(
        "a number of a thousand digits",
        "ListProcesses",
        processes(b"[" + b"9" * 1000 + b"]"),
        ask_pids,
        BROKEN,
        "not a JSON list",
    ),
    Row(
        "lists a hundred thousand deep", "ListProcesses", processes(b"[" * 100_000), ask_pids, BROKEN, "not a JSON list"
    ),
    Row(
        "a million processes",
        "ListProcesses",
        processes(b"[" + b"1," * 1_000_000 + b"1]"),
        ask_pids,
        BROKEN,
        "is the most",
    ),
    Row("a table of 3 MiB", "ListProcesses", processes(b"PID\n" * 750_000), ask_table, BROKEN, "is the most"),
    Row("a hundred thousand processors", "StatsContainer", cpus(100_000), ask_stats, BROKEN, "percpu_usage"),
    Row(
        "a million counters", "StatsContainer", answer_bytes(b"\x12\x00" * 1_000_000), ask_stats, BROKEN, "is the most"
    ),
    Row(
        "a hundred thousand network devices",
        "StatsContainer",
        answer_bytes(b"\x12\x00" * 100_000),
        ask_stats,
        BROKEN,
        "network_stats",
    ),
    Row(
        "counters named in escape codes",
        "StatsContainer",
        counters({ESCAPES: 1}),
        ask_stats,
        BROKEN,
        "can't be printed",
    ),
    Row(
        "a counter's name of 10 KiB",
        "StatsContainer",
        counters({"x" * 10_240: 1}),
        ask_stats,
        BROKEN,
        "10240 characters",
    ),
    Row(
        "an address that is a path",
        "ListInterfaces",
        answer(
            net.Interfaces((net.Interface(device="e", IPAddresses=(net.IPAddress(address="../../etc", mask="8"),)),))
        ),
        ask_interfaces,
        BROKEN,
        "no IP address",
    ),
    Row(
        "a mask of 999",
        "ListInterfaces",
        answer(
            net.Interfaces((net.Interface(device="e", IPAddresses=(net.IPAddress(address="10.0.0.1", mask="999"),)),))
        ),
        ask_interfaces,
        BROKEN,
        "prefix length",
    ),
    Row(
        "a device named in escape codes",
        "ListInterfaces",
        answer(net.Interfaces((net.Interface(device=ESCAPES),))),
        ask_interfaces,
        BROKEN,
        "can't be printed",
    ),
    Row(
        "a gateway with a line of its own",
        "ListRoutes",
        answer(net.Routes((net.Route(gateway="10.0.0.1\nroot:x"),))),
        ask_routes,
        BROKEN,
        "can't be printed",
    ),
    Row(
        "a version of 100,000 characters",
        "Version",
        answer(api.VersionCheckResponse(agent_version="9" * 100_000)),
        ask_check,
        BROKEN,
        "100000 characters",
    ),
    Row(
        "a version in escape codes",
        "Version",
        answer(api.VersionCheckResponse(agent_version=ESCAPES)),
        ask_check,
        BROKEN,
        "can't be printed",
    ),
    Row("a version that is not UTF-8", "Version", answer_bytes(UTF8), ask_check, BROKEN, "can't be decoded"),
    Row("a health that does not exist", "Check", answer_bytes(b"\x08\x63"), ask_serving, False),
    Row("details without details", "GetGuestDetails", answer_bytes(b""), ask_details, BROKEN, "are missing"),
    Row(
        "a thousand features",
        "GetGuestDetails",
        details(api.AgentDetails(extra_features=tuple(["f"] * 1000))),
        ask_details,
        BROKEN,
        "1000",
    ),
    Row(
        "a handler's name of 10 KiB",
        "GetGuestDetails",
        details(api.AgentDetails(device_handlers=("h" * 10_240,))),
        ask_details,
        BROKEN,
        "10240",
    ),
    # answers that are none
    Row("garbage as a message", "WaitProcess", answer_bytes(b"\xff\xff\xff\xff"), ask_wait, BROKEN, "can't be decoded"),
    Row("a message cut short", "ReadStdout", answer_bytes(b"\x0a\x7fabc"), ask_output, BROKEN, "can't be decoded"),
    Row("groups, which proto3 does not have", "WaitProcess", answer_body(b"\x0b\x0c"), ask_wait, BROKEN, "not proto3"),
    Row("garbage as a response", "WaitProcess", answer_body(b"\xff" * 12), ask_wait, BROKEN, "can't be decoded"),
    Row(
        "garbage as a response to a change",
        "PauseContainer",
        answer_body(b"\x0a\x05"),
        ask_pause,
        BROKEN,
        "can't be decoded",
    ),
    Row("a message for a call that has none", "PauseContainer", answer_bytes(b"\x0a\x03abc"), ask_pause, None),
    Row(
        "fields that nobody knows",
        "WaitProcess",
        answer_bytes(b"\x08\x07" + b"\xfa\x3f\x03abc" * 1000),
        ask_wait,
        SEVEN,
    ),
    Row(
        "a stream's data on a plain call",
        "WaitProcess",
        raw(lambda asked: encode_frame(DATA, asked.stream_id, b"x")),
        ask_wait,
        BROKEN,
        "Data frame",
    ),
    Row(
        "a stream's end on a plain call",
        "PauseContainer",
        raw(lambda asked: encode_frame(DATA, asked.stream_id, b"", 5)),
        ask_pause,
        BROKEN,
        "Data frame",
    ),
    # answers to somebody else
    Row("an answer to an id never asked", "ReadStdout", then_honest(lambda _: reply(4711, b"?")), ask_output, OUT),
    Row(
        "an answer to a call that comes later",
        "ReadStdout",
        then_honest(lambda asked: reply(asked.stream_id + 2, b"?")),
        ask_output,
        OUT,
    ),
    Row("answers to even ids and 0", "ReadStdout", then_honest(lambda _: reply(0) + reply(2)), ask_output, OUT),
    Row(
        "an answer twice",
        "WaitProcess",
        honest_then(lambda asked: reply(asked.stream_id, b"\x08\x09")),
        ask_wait,
        SEVEN,
    ),
    Row("a dozen answers", "WaitProcess", honest_then(lambda asked: reply(asked.stream_id) * 12), ask_wait, SEVEN),
    Row(
        "a failure after the answer",
        "ReadStdout",
        honest_then(lambda asked: encode_frame(RESPONSE, asked.stream_id, encode_status(13, "no"))),
        ask_output,
        OUT,
    ),
    Row(
        "data after the answer",
        "ReadStdout",
        honest_then(lambda asked: encode_frame(DATA, asked.stream_id, b"x")),
        ask_output,
        OUT,
    ),
    Row(
        "requests to the host",
        "ReadStdout",
        then_honest(lambda _: encode_frame(REQUEST, 1, b"\x0a\x01s\x12\x01m") * 10),
        ask_output,
        OUT,
    ),
    Row(
        "frames of no known type",
        "ReadStdout",
        then_honest(lambda asked: encode_frame(0, asked.stream_id, b"?") + encode_frame(255, 1, b"")),
        ask_output,
        OUT,
    ),
    # sizes
    Row("a frame of 4 GiB is announced", "ReadStdout", claims(2**32 - 1), ask_output, BROKEN, "4294967295"),
    Row("a frame of 16 MiB is announced", "PauseContainer", claims(2**24), ask_pause, BROKEN, "is this ttRPC"),
    Row(
        "it answers in HTTP",
        "WaitProcess",
        raw(lambda asked: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ask_wait,
        BROKEN,
        "is this ttRPC",
    ),
    Row(
        "a frame of 4 MiB and a byte",
        "ReadStdout",
        sends(MAX_BODY + 1),
        ask_output,
        errors.ResourceExhausted,
        "4194305",
    ),
    Row(
        "4 GiB for an id never asked",
        "ReadStdout",
        raw(lambda asked: struct.pack(">IIBB", 2**32 - 1, 99, RESPONSE, 0)),
        ask_output,
        BROKEN,
        "is this ttRPC",
    ),
    Row(
        "4 MiB and a byte that never come",
        "ReadStdout",
        raw(lambda asked: struct.pack(">IIBB", MAX_BODY + 1, 99, RESPONSE, 0)),
        ask_output,
        trio.TooSlowError,
    ),
    Row(
        "a long answer without bytes",
        "ReadStdout",
        raw(lambda asked: struct.pack(">IIBB", MAX_BODY, asked.stream_id, RESPONSE, 0)),
        ask_output,
        trio.TooSlowError,
    ),
    # failures
    Row(
        "a failure's text of 3 MiB",
        "PauseContainer",
        fail(13, "x" * 3 * MIB),
        ask_pause,
        errors.AgentError,
        "(3145728 characters)",
    ),
    Row(
        "a failure's text in escape codes",
        "PauseContainer",
        fail(13, ESCAPES),
        ask_pause,
        errors.AgentError,
        r"\x1b[2J",
    ),
    Row("a failure that does not exist", "PauseContainer", fail(99, "?"), ask_pause, errors.AgentError, "?"),
    Row("a deadline that nobody set", "PauseContainer", fail(4, "too slow"), ask_pause, UNKNOWN, "too slow"),
    Row("a cancel that nobody asked for", "PauseContainer", fail(1, "cancelled"), ask_pause, UNKNOWN, "cancelled"),
    Row(
        "a failure with a payload",
        "ReadStdout",
        answer_body(encode_status(5, "none") + encode_response(b"\x0a\x03out")),
        ask_output,
        errors.NotFound,
        "none",
    ),
    Row(
        "it can't do what it did before",
        "WaitProcess",
        fail(12, "method WaitProcess"),
        ask_wait,
        errors.Unsupported,
        "WaitProcess",
    ),
    # links
    Row("it never answers", "WaitProcess", never, ask_wait, trio.TooSlowError),
    Row("it never answers a change", "PauseContainer", never, ask_pause, trio.TooSlowError),
    Row("a byte every 20 ms", "ReadStdout", drip, ask_output, trio.TooSlowError),
    Row(
        "nothing but frames of no known type",
        "ReadStdout",
        unknown_types_without_end,
        ask_output,
        BROKEN,
        "sends to nobody",
    ),
    Row(
        "nothing but answers to nobody",
        "ReadStdout",
        replies_to_nobody_without_end,
        ask_output,
        BROKEN,
        "sends to nobody",
    ),
    Row("it closes instead of answering", "WaitProcess", close, ask_wait, UNREACHABLE, "broke"),
    Row("it closes in the middle of a change", "PauseContainer", close, ask_pause, UNKNOWN, "broke"),
    Row("it closes when output was asked for", "ReadStdout", close, ask_output, UNKNOWN, "broke"),
    Row("it half-closes", "PauseContainer", half_close, ask_pause, UNKNOWN, "broke"),
    Row("an answer cut in the middle", "WaitProcess", cut, ask_wait, UNREACHABLE, "broke"),
    Row("a change's answer cut in the middle", "PauseContainer", cut, ask_pause, UNKNOWN, "broke"),
    Row("counters that are empty", "StatsContainer", answer_bytes(b""), ask_stats, ContainerStats()),
)
