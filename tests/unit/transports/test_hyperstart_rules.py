"""hyperstart's rules: what a host of ours never sends, what it does not take from a guest, and what kills a real guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.support.hyperstart_session import COMMANDS
from transports.errors import LocalProtocolError, MessageTooLarge, RemoteProtocolError
from transports.hyperstart.codec import (
    STREAM_TO_GUEST_BYTES,
    STREAM_TO_HOST_BYTES,
    Code,
    ControlDecoder,
    StreamDecoder,
    encode_control,
    encode_stream,
)
from transports.hyperstart.control import Answered, GuestControl, HostControl, Ready
from transports.hyperstart.messages import (
    Container,
    Exec,
    Finished,
    Kill,
    Pod,
    Process,
    decode_version,
    encode_json,
)
from transports.hyperstart.streams import INPUT_SLICE, Ended, GuestStreams, HostStreams, Output

if TYPE_CHECKING:
    from collections.abc import Callable

READY = encode_control(Code.READY)
ACK = encode_control(Code.ACK)
PROCESS = Process(id="p1", terminal=False, stdio=1, stderr=2, args=("true",))


def _next(count: int) -> bytes:
    return encode_control(Code.NEXT, count.to_bytes(4))


def _ready() -> HostControl:
    host = HostControl()
    assert host.receive_data(READY) == [Ready()]
    return host


# What a host of ours never sends


def test_nothing_is_sent_before_ready_while_another_is_in_flight_or_after_the_end() -> None:
    host = HostControl()
    with pytest.raises(LocalProtocolError, match="before the guest said READY"):
        host.send(Code.PING)
    host.receive_data(READY)
    host.send(Code.PING)
    with pytest.raises(LocalProtocolError, match="WINSIZE while PING is in flight"):
        host.send(Code.WINSIZE)
    host.receive_data(_next(8) + ACK)
    host.send(Code.DESTROYPOD)
    host.receive_data(_next(8) + ACK)
    with pytest.raises(LocalProtocolError, match="after DESTROYPOD"):
        host.send(Code.PING)
    assert host.data_to_send() == encode_control(Code.PING) + encode_control(Code.DESTROYPOD)


def test_a_command_that_took_too_long_is_the_end_for_a_late_answer_would_be_another_s() -> None:
    host = _ready()
    host.send(Code.PING)
    host.give_up("PING was not answered within 1 s")
    with pytest.raises(LocalProtocolError, match="within 1 s"):
        host.send(Code.PING)
    assert host.receive_data(_next(8) + ACK) == []


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: encode_json(Pod(hostname="")), "hostname is empty"),
        (lambda: encode_json(Kill(container="..", signal=9)), "plain id"),
        (lambda: encode_json(Kill(container="a/b", signal=9)), "plain id"),
        (lambda: encode_json(Kill(container='a"b', signal=9)), "plain id"),
        (lambda: encode_json(Kill(container="x" * 64, signal=9)), "plain id"),
        (lambda: encode_json(Kill(container="", signal=9)), "plain id"),
        (lambda: encode_json(Exec(container="c1", process=_process(id=""))), "process.id"),
        (lambda: encode_json(Exec(container="c1", process=_process(args=()))), "args is empty"),
        (lambda: encode_json(Exec(container="c1", process=_process(stdio=0))), "process.stdio is 0"),
        (lambda: encode_json(Exec(container="c1", process=_process(stderr=0))), "process.stderr is 0"),
        (lambda: encode_json(Exec(container="c1", process=_process(stdio=2**63))), "process.stdio"),
        (lambda: encode_json(Container(id="", rootfs="r", image="i", process=PROCESS)), "plain id"),
    ],
)
def test_what_would_kill_a_guest_or_be_misread_is_not_written(make: Callable[[], bytes], why: str) -> None:
    with pytest.raises(LocalProtocolError, match=why):
        make()


def _process(**changed: object) -> Process:
    return structs.replace(PROCESS, **changed)


def test_container_stands_before_process_and_a_terminal_is_always_told() -> None:
    text = encode_json(Exec(container="c1", process=PROCESS))
    assert text == b'{"container":"c1","process":{"id":"p1","terminal":false,"stdio":1,"stderr":2,"args":["true"]}}'


def test_a_terminal_needs_no_sequence_for_its_errors() -> None:
    process = Process(id="p1", terminal=True, stdio=1, args=("sh",))
    assert b"stderr" not in encode_json(Exec(container="c1", process=process))


def test_frames_over_the_guest_s_bounds_are_refused() -> None:
    with pytest.raises(MessageTooLarge, match="4097"):
        encode_stream(1, bytes(STREAM_TO_GUEST_BYTES - 11))
    with pytest.raises(MessageTooLarge, match="a control frame"):
        encode_control(Code.WRITEFILE, bytes(4 * 1024 * 1024))


@given(st.binary(max_size=5000))
def test_input_goes_in_slices_of_512_and_none_of_it_is_an_end(data: bytes) -> None:
    host = HostStreams()
    stdio, _ = host.open(terminal=False)
    host.send_input(stdio, data)
    frames = [frame for one in host.data_to_send() for frame in StreamDecoder(STREAM_TO_GUEST_BYTES).feed(one)]
    assert b"".join(frame.payload for frame in frames) == data
    assert all(0 < len(frame.payload) <= INPUT_SLICE for frame in frames)


def test_input_for_a_process_that_has_ended_is_refused() -> None:
    host = HostStreams()
    stdio, _ = host.open(terminal=True)
    assert host.receive_data(encode_stream(stdio, b"")) == [Ended(stdio)]
    with pytest.raises(LocalProtocolError, match="no process's input"):
        host.send_input(stdio, b"x")
    with pytest.raises(LocalProtocolError, match="no process's input"):
        host.close_input(stdio)


# What a host does not take from a guest


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (ACK, "ACK where nothing was asked"),
        (encode_control(Code.ERROR), "ERROR where nothing was asked"),
        (READY, "READY a second time"),
        (_next(1), "NEXT of 1 bytes, where 0 were sent"),
        (encode_control(Code.NEXT, b"\0\0"), "NEXT with 2 bytes"),
        (encode_control(Code.EXECCMD), "EXECCMD is not for a guest to say"),
        (encode_control(4711), "code 4711"),
        (encode_control(Code.PROCESSASYNCEVENT, b"{"), "can't be read"),
        (encode_control(Code.PROCESSASYNCEVENT, b'{"container":1}'), "can't be read"),
        (encode_control(Code.PROCESSASYNCEVENT, b"\xff" * 9), "can't be read"),
        (
            encode_control(Code.PROCESSASYNCEVENT, b'{"container":"c","process":"p","event":"finished","status":256}'),
            "status 256",
        ),
        (
            encode_control(Code.PROCESSASYNCEVENT, b'{"container":"c","process":"p","event":"oom","status":0}'),
            "'oom'",
        ),
        (b"\0\0\0\x09\0\0\0\x07", "a control frame of 7 bytes"),
        (b"\0\0\0\x09\xff\xff\xff\xff", "a control frame of 4294967295 bytes"),
    ],
)
def test_a_guest_that_breaks_the_rules_fails_the_channel_for_good(data: bytes, why: str) -> None:
    host = _ready()
    assert host.receive_data(data) == []
    assert isinstance(host.failure, RemoteProtocolError)
    assert why in str(host.failure)
    assert host.receive_data(ACK) == []
    with pytest.raises(LocalProtocolError, match="failed"):
        host.send(Code.PING)


def test_a_guest_that_says_something_else_first_is_none() -> None:
    host = HostControl()
    host.receive_data(ACK)
    assert "ACK before READY" in str(host.failure)


def test_what_was_told_before_the_offence_counts() -> None:
    host = _ready()
    event = b'{"container":"c1","process":"p1","event":"finished","status":3}'
    host.send(Code.PING)
    assert host.receive_data(_next(8) + encode_control(Code.PROCESSASYNCEVENT, event)) == [
        Finished("c1", "p1", "finished", 3)
    ]
    assert host.receive_data(ACK) == [Answered(Code.PING, accepted=True, payload=b"")]


def test_the_end_of_the_channel_answers_a_destroy_and_nothing_else() -> None:
    host = _ready()
    host.send(Code.DESTROYPOD)
    assert host.receive_eof() == [Answered(Code.DESTROYPOD, accepted=True, payload=b"")]
    other = _ready()
    other.send(Code.PING)
    assert other.receive_eof() == []
    assert other.failure is not None


def test_a_host_that_comes_back_waits_for_no_ready_and_drops_an_old_command_s_answer() -> None:
    host = HostControl(reattached=True)
    assert host.receive_data(_next(8) + ACK) == []
    assert (host.dropped_replies, host.failure) == (1, None)
    host.send(Code.PING)
    assert host.receive_data(_next(8) + ACK) == [Answered(Code.PING, accepted=True, payload=b"")]
    assert host.untaken_bytes == 0


@pytest.mark.parametrize("payload", [b"", b"\0\0\x10", bytes(5)])
def test_a_version_is_four_bytes(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="expected 4"):
        decode_version(payload)


def test_output_of_nobody_is_counted_and_dropped_and_an_end_ends_both_outputs() -> None:
    host = HostStreams()
    stdio, stderr = host.open(terminal=False)
    assert host.receive_data(encode_stream(stderr, b"e") + encode_stream(stdio, b"")) == [
        Output(stderr, b"e"),
        Ended(stdio),
    ]
    assert host.receive_data(encode_stream(stderr, b"late") + encode_stream(99, b"") + encode_stream(stderr, b"")) == []
    assert host.dropped_frames == 3
    # nor is a sequence used twice
    assert host.open(terminal=True) == (stderr + 1, 0)


@pytest.mark.parametrize("length", [0, 11, STREAM_TO_HOST_BYTES + 1, 2**32 - 1])
def test_a_stream_frame_that_can_t_be_fails_the_channel(length: int) -> None:
    host = HostStreams()
    host.open(terminal=True)
    assert host.receive_data((1).to_bytes(8) + length.to_bytes(4)) == []
    assert f"of {length} bytes" in str(host.failure)
    assert host.receive_data(encode_stream(1, b"x")) == []


# What kills a real guest


def test_a_header_alone_kills_a_real_guest_and_our_host_never_sends_one() -> None:
    guest = GuestControl(fragile=True)
    guest.receive_data(encode_control(Code.STARTPOD, b"{}")[:8])
    assert guest.next_command() is None
    assert "a header was readable alone" in str(guest.failure)
    host, alive = HostControl(), GuestControl(fragile=True)
    host.receive_data(alive.data_to_send())
    for code, payload in COMMANDS:
        host.send(code, payload)
        # whole, as it is to be written
        alive.receive_data(host.data_to_send())
        command = alive.next_command()
        assert command is not None
        alive.answer(command)
        host.receive_data(alive.data_to_send())
    assert alive.failure is host.failure is None


@pytest.mark.parametrize("length", [0, 7, 2**32 - 1])
def test_a_length_that_can_t_be_kills_a_guest(length: int) -> None:
    guest = GuestControl()
    guest.receive_data((12).to_bytes(4) + length.to_bytes(4) + bytes(100))
    assert guest.next_command() is None
    assert f"a control frame of {length} bytes" in str(guest.failure)


def test_a_stream_frame_over_4096_kills_a_guest() -> None:
    guest = GuestStreams()
    guest.receive_data((1).to_bytes(8) + (4097).to_bytes(4))
    assert "of 4097 bytes" in str(guest.failure)


def test_a_guest_does_one_command_after_the_other_and_defers_a_destroy_alone() -> None:
    guest = GuestControl()
    ping, destroy = encode_control(Code.PING), encode_control(Code.DESTROYPOD)
    guest.receive_data(ping + destroy + ping)
    first = guest.next_command()
    assert first is not None
    assert guest.next_command() is None
    with pytest.raises(LocalProtocolError, match="can't be deferred"):
        guest.defer(first)
    guest.answer(first, b"1")
    with pytest.raises(LocalProtocolError, match="answered already"):
        guest.answer(first)
    ending = guest.next_command()
    assert ending is not None
    guest.defer(ending)
    last = guest.next_command()
    assert last is not None
    guest.answer(last, b"3")
    guest.answer(ending, b"2")
    frames = ControlDecoder().feed(guest.data_to_send())
    assert [payload for code, payload in frames if code == Code.ACK] == [b"1", b"3", b"2"]
