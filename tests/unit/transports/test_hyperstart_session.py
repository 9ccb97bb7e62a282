"""Our host against a real guest's bytes and our guest against its host's, at any chunking of either stream."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.support.hyperstart_session import COMMANDS, SESSION, stream
from transports.hyperstart.codec import (
    STREAM_TO_GUEST_BYTES,
    STREAM_TO_HOST_BYTES,
    Code,
    ControlDecoder,
    ControlFrame,
    StreamDecoder,
    encode_control,
)
from transports.hyperstart.control import Answered, Command, ControlEvent, GuestControl, HostControl, Ready
from transports.hyperstart.messages import Finished, decode_finished, decode_version
from transports.hyperstart.streams import GuestStreams, HostStreams, Output

if TYPE_CHECKING:
    from collections.abc import Callable

CTL_TO_GUEST, CTL_TO_HOST = stream("ctl", "host-to-guest"), stream("ctl", "guest-to-host")
TTY_TO_GUEST, TTY_TO_HOST = stream("tty", "host-to-guest"), stream("tty", "guest-to-host")

FINISHED = [
    Finished("c1", "p1", "finished", 3),
    Finished("c1", "p2", "finished", 7),
    Finished("c1", "p3", "finished", 0),
    Finished("c1", "init", "finished", 0),
    Finished("c2", "init", "finished", 0),
]
REFUSED = {13, 14, 15, 16, 17, 19}


@st.composite
def _cutters(draw: st.DrawFn) -> Callable[[bytes], list[bytes]]:
    """Cuts any bytes into pieces whose sizes repeat a drawn pattern."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))

    def cut(data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        turn = 0
        while data:
            size = sizes[turn % len(sizes)]
            pieces.append(data[:size])
            data = data[size:]
            turn += 1
        return pieces

    return cut


def test_the_streams_are_the_session() -> None:
    for channel, from_host, whole in (
        ("ctl", True, CTL_TO_GUEST),
        ("ctl", False, CTL_TO_HOST),
        ("tty", True, TTY_TO_GUEST),
        ("tty", False, TTY_TO_HOST),
    ):
        parts = [step.data for step in SESSION if step.channel == channel and step.from_host is from_host]
        assert b"".join(parts) == whole


def test_commands_built_from_values_are_the_captured_bytes() -> None:
    assert b"".join(encode_control(code, payload) for code, payload in COMMANDS) == CTL_TO_GUEST


# The host


@given(_cutters())
def test_a_host_makes_of_a_real_guest_s_bytes_what_happened(cut: Callable[[bytes], list[bytes]]) -> None:
    host = HostControl()
    events: list[ControlEvent] = []
    commands = deque(COMMANDS)
    for step in SESSION:
        if step.channel != "ctl":
            continue
        if step.from_host:
            code, payload = commands.popleft()
            host.send(code, payload)
            assert host.data_to_send() == step.data
        else:
            for piece in cut(step.data):
                events += host.receive_data(piece)
            assert host.failure is None
    assert events[0] == Ready()
    assert [event for event in events if isinstance(event, Finished)] == FINISHED
    answers = [event for event in events if isinstance(event, Answered)]
    assert [answer.code for answer in answers] == [code for code, _ in COMMANDS]
    assert {number for number, answer in enumerate(answers) if not answer.accepted} == REFUSED
    assert decode_version(answers[0].payload) == 4244
    assert answers[12].payload == b"file body\x00\xff"
    assert answers[16].payload == b"no such container\0"
    # NEXT told of every byte
    assert (host.untaken_bytes, host.in_flight) == (0, None)
    assert host.receive_eof() == []


@given(_cutters())
def test_a_host_joins_every_process_s_output_with_its_end(cut: Callable[[bytes], list[bytes]]) -> None:
    host = HostStreams()
    # as in the session: c1's init, p1, p2 with a terminal, p3, c2's init
    assert [host.open(terminal=terminal) for terminal in (False, False, True, False, False)] == [
        (1, 2),
        (3, 4),
        (5, 0),
        (6, 7),
        (8, 9),
    ]
    sent: list[bytes] = []
    texts: dict[int, bytes] = {}
    ended: list[int] = []
    for step in SESSION:
        if step.channel != "tty":
            continue
        if step.from_host:
            ((sequence, data),) = StreamDecoder(STREAM_TO_GUEST_BYTES).feed(step.data)
            if sequence == 77:
                # nobody's: a host of ours does not send it
                sent.append(step.data)
            elif data:
                host.send_input(sequence, data)
            else:
                host.close_input(sequence)
            sent += host.data_to_send()
            continue
        for piece in cut(step.data):
            for event in host.receive_data(piece):
                if isinstance(event, Output):
                    texts[event.sequence] = texts.get(event.sequence, b"") + event.data
                else:
                    ended.append(event.sequence)
    assert host.failure is None
    assert b"".join(sent) == TTY_TO_GUEST
    assert ended == [3, 5, 6, 1, 8]
    assert host.dropped_frames == 1
    assert texts[1] == b"out-line\ntyped on stdin\nafter-cat\ngot-usr1\n"
    assert texts[2] == b"err-line\nUser defined signal 1\n"
    assert (texts[3], texts[4], texts[8]) == (b"exec-out bar peerpod\n", b"exec-err\n", b"hello from the rootfs\n")
    assert texts[5].endswith(b"$ exit 7\r\n")


# The guest


def _control_frames(data: bytes) -> list[ControlFrame]:
    return [frame for frame in ControlDecoder().feed(data) if frame.code != Code.NEXT]


def _taken(data: bytes) -> int:
    return sum(int.from_bytes(payload) for code, payload in ControlDecoder().feed(data) if code == Code.NEXT)


@given(_cutters())
def test_a_guest_answers_a_real_host_s_bytes_as_the_real_guest_did(cut: Callable[[bytes], list[bytes]]) -> None:
    script = deque(_control_frames(CTL_TO_HOST))
    guest = GuestControl()
    out = bytearray(guest.data_to_send())
    assert script.popleft() == ControlFrame(Code.READY, b"")
    seen: list[tuple[int, bytes]] = []
    for piece in cut(CTL_TO_GUEST):
        guest.receive_data(piece)
        while (command := guest.next_command()) is not None:
            seen.append((command.code, command.payload))
            _play(guest, command, script)
            out += guest.data_to_send()
    while script:
        # what ended after the last answer
        _tell(guest, script.popleft())
    out += guest.data_to_send()
    assert guest.failure is None
    assert seen == list(COMMANDS)
    assert _control_frames(bytes(out)) == _control_frames(CTL_TO_HOST)
    assert _taken(bytes(out)) == len(CTL_TO_GUEST)


def _play(guest: GuestControl, command: Command, script: deque[ControlFrame]) -> None:
    if command.code == Code.DESTROYPOD:
        guest.defer(command)
    while (frame := script.popleft()).code == Code.PROCESSASYNCEVENT:
        _tell(guest, frame)
    guest.answer(command, frame.payload, accepted=frame.code == Code.ACK)


def _tell(guest: GuestControl, frame: ControlFrame) -> None:
    event = decode_finished(frame.payload)
    guest.tell_finished(event.container, event.process, event.status)


@given(_cutters())
def test_a_guest_s_streams_are_the_real_guest_s(cut: Callable[[bytes], list[bytes]]) -> None:
    guest = GuestStreams()
    for stdio, stderr in ((1, 2), (3, 4), (5, 0), (6, 7), (8, 9)):
        guest.open(stdio, stderr)
    out = bytearray()
    inputs: dict[int, list[bytes]] = {}
    for step in SESSION:
        if step.channel != "tty":
            continue
        if step.from_host:
            for piece in cut(step.data):
                for sequence, data in guest.receive_data(piece):
                    inputs.setdefault(sequence, []).append(data)
        else:
            for sequence, data in StreamDecoder(STREAM_TO_HOST_BYTES).feed(step.data):
                # the answer to a frame for nobody came by itself
                if data:
                    guest.send_output(sequence, data)
                else:
                    guest.end(sequence)
        out += guest.data_to_send()
    assert guest.failure is None
    assert bytes(out) == TTY_TO_HOST
    assert inputs == {1: [b"typed on stdin\n", b""], 5: [b"stty size\n", b"exit 7\n"]}


@given(_cutters(), _cutters())
def test_our_host_and_our_guest_understand_each_other(
    cut: Callable[[bytes], list[bytes]], cut_back: Callable[[bytes], list[bytes]]
) -> None:
    host, guest = HostControl(), GuestControl()
    events: list[ControlEvent] = []

    def carry() -> None:
        for piece in cut_back(guest.data_to_send()):
            events.extend(host.receive_data(piece))

    carry()
    for number, (code, payload) in enumerate(COMMANDS):
        host.send(code, payload)
        for piece in cut(host.data_to_send()):
            guest.receive_data(piece)
        command = guest.next_command()
        assert command is not None
        assert (command.code, command.payload) == (code, payload)
        guest.tell_finished("c", "p", number)
        guest.answer(command, b"%d" % number)
        carry()
    assert host.failure is guest.failure is None
    answers = [event for event in events if isinstance(event, Answered)]
    assert [answer.payload for answer in answers] == [b"%d" % number for number in range(len(COMMANDS))]
    assert sum(isinstance(event, Finished) for event in events) == len(COMMANDS)
    assert host.untaken_bytes == 0
