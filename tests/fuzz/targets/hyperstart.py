"""hyperstart without I/O: the control and the stream channel, host's and guest's side of each.

Well-formed sessions are the captured one with a real guest. Not for tasks and streams: `hyperstart_live`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.layout import Body, Field, Frames, Layout, frames_of
from tests.fuzz.target import Target, expect
from tests.support.hyperstart_session import COMMANDS, stream
from transports.errors import LocalProtocolError, RemoteProtocolError
from transports.hyperstart.codec import (
    CONTROL_BYTES,
    CONTROL_HEADER_BYTES,
    STREAM_HEADER_BYTES,
    STREAM_TO_GUEST_BYTES,
    STREAM_TO_HOST_BYTES,
    Code,
    ControlDecoder,
    StreamDecoder,
    encode_control,
    encode_stream,
)
from transports.hyperstart.control import Answered, GuestControl, HostControl
from transports.hyperstart.streams import GuestStreams, HostStreams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transports.hyperstart.control import ControlEvent

__all__ = ["CONTROL", "STREAMS", "TARGETS", "answers", "commands", "inputs", "outputs"]

CONTROL_LENGTH = Field("length", 4, 4, (CONTROL_HEADER_BYTES, CONTROL_BYTES))
CONTROL = Layout(
    Body.TEXT,
    header=CONTROL_HEADER_BYTES,
    fields=(CONTROL_LENGTH, Field("code", 0, 4, tuple(Code))),
    length=CONTROL_LENGTH,
    inclusive=True,
    tokens=(
        b'"../x"', b'""', b"null", b"-1", b"1e999", b"[]", b"{}", b'"\\ud800"', b'"a\\u0000b"', b"true",
        b'"container":"c1",', b"9" * 30, b"[" * 600, (8).to_bytes(4), b"\xff" * 4, b"}", b'"c1"', b'"init"',
    ),
)  # fmt: skip
STREAM_LENGTH = Field("length", 8, 4, (STREAM_HEADER_BYTES, STREAM_TO_GUEST_BYTES, STREAM_TO_HOST_BYTES))
STREAMS = Layout(
    Body.BYTES,
    header=STREAM_HEADER_BYTES,
    fields=(STREAM_LENGTH, Field("sequence", 0, 8, (2**63,))),
    length=STREAM_LENGTH,
    inclusive=True,
)
# more than any session has, and far fewer than would take long
_MOST_COMMANDS = 10_000


def commands() -> Sequence[Frames]:
    """What a host says on the control channel."""
    captured = frames_of(CONTROL, stream("ctl", "host-to-guest"))
    return [captured, captured[3:8], tuple(encode_control(*command) for command in COMMANDS)]


def answers() -> Sequence[Frames]:
    """What a guest says there: to each command of a host its NEXT and its answer, and of ends now and then."""
    ended = b'{"container":"c1","process":"p1","event":"finished","status":3}'
    ready, ack = encode_control(Code.READY), encode_control(Code.ACK)
    taken = encode_control(Code.NEXT, (8).to_bytes(4))
    plain = (ready, *(taken, encode_control(Code.ACK, b"\0\0\x10\x94")), *(taken, ack) * 2)
    events = (ready, taken, encode_control(Code.PROCESSASYNCEVENT, ended), encode_control(Code.ERROR, b"no\0"))
    return [plain, events, frames_of(CONTROL, stream("ctl", "guest-to-host"))]


def outputs() -> Sequence[Frames]:
    """What a guest says on the stream channel."""
    small = (encode_stream(1, b"out"), encode_stream(2, b"err"), encode_stream(1, b""), encode_stream(1, b"late"))
    large = (encode_stream(1, b"x" * 5000, STREAM_TO_HOST_BYTES), encode_stream(3, b"tty"), encode_stream(3, b""))
    return [small, large, frames_of(STREAMS, stream("tty", "guest-to-host"))]


def inputs() -> Sequence[Frames]:
    """What a host says there."""
    small = (encode_stream(1, b"in"), encode_stream(1, b"x" * 512), encode_stream(1, b""), encode_stream(9, b"?"))
    return [small, frames_of(STREAMS, stream("tty", "host-to-guest"))]


def _check_host_control(pieces: Frames) -> None:
    """It is answered no more than it asked; a failure is one, stays, and is the same at any chunking."""
    whole, cut = HostControl(), HostControl()
    expected, _ = _heard(whole, (b"".join(pieces),))
    found, asked = _heard(cut, pieces)
    expect(str(whole.failure) == str(cut.failure), "another failure at another chunking")
    expect(found == expected, "other events at another chunking")
    expect(sum(isinstance(event, Answered) for event in found) <= asked, "more answers than commands")
    if cut.failure is not None:
        expect(type(cut.failure) is RemoteProtocolError, f"failed with {cut.failure!r}")
        expect(cut.receive_data(encode_control(Code.ACK)) == cut.receive_eof() == [], "it hears after its failure")
        expect(not cut.data_to_send() and not _asks(cut), "it commands after its failure")


def _heard(host: HostControl, pieces: Frames) -> tuple[list[ControlEvent], int]:
    """Asked a PING before all else, as soon as that may be; what it was told."""
    asked = 0
    if host.receive_data(encode_control(Code.READY)):
        asked = _asks(host)
    host.data_to_send()
    return [event for piece in pieces for event in host.receive_data(piece)], asked


def _asks(host: HostControl) -> bool:
    try:
        host.send(Code.PING)
    except LocalProtocolError:
        return False
    return True


def _check_guest_control(pieces: Frames) -> None:
    """It tells of each byte that it read, does one command after the other, and none after a failure."""
    guest = GuestControl()
    guest.data_to_send()
    out, done = bytearray(), 0
    for piece in pieces:
        guest.receive_data(piece)
        while (command := guest.next_command()) is not None:
            done += 1
            expect(done < _MOST_COMMANDS, "commands without end")
            if command.code == Code.DESTROYPOD and done % 2:
                guest.defer(command)
            else:
                guest.answer(command, command.payload[:100], accepted=bool(done % 3))
        out += guest.data_to_send()
    decoder = ControlDecoder()
    frames = decoder.feed(bytes(out))
    expect(decoder.failure is None and not decoder.in_frame, "it says what is no frame")
    taken = sum(int.from_bytes(payload) for code, payload in frames if code == Code.NEXT)
    size = sum(map(len, pieces))
    expect(taken == size if guest.failure is None else taken <= size, f"it tells of {taken} bytes of {size}")
    if guest.failure is not None:
        expect(type(guest.failure) is RemoteProtocolError, f"failed with {guest.failure!r}")
        guest.receive_data(encode_control(Code.PING) * 2)
        expect(guest.next_command() is None and not guest.data_to_send(), "it obeys after its failure")


def _check_host_streams(pieces: Frames) -> None:
    """What it tells is of processes that are open, and the same at any chunking."""
    whole, cut = HostStreams(), HostStreams()
    for host in (whole, cut):
        host.open(terminal=False)
        host.open(terminal=True)
    found = [event for piece in pieces for event in cut.receive_data(piece)]
    expect(str(cut.receive_data(b"")) == "[]", "it tells without being told")
    expected = whole.receive_data(b"".join(pieces))
    expect(str(whole.failure) == str(cut.failure), "another failure at another chunking")
    expect(found == expected, "other events at another chunking")
    expect({event.sequence for event in found} <= {1, 2, 3}, "output of nobody")
    expect(not cut.data_to_send(), "it answers")
    _check_failed(cut)


def _check_guest_streams(pieces: Frames) -> None:
    """It answers a frame for nobody with an empty one, and nothing after a failure."""
    guest, whole = GuestStreams(), GuestStreams()
    for one in (guest, whole):
        one.open(1, 2)
    found = [event for piece in pieces for event in guest.receive_data(piece)]
    expect(found == whole.receive_data(b"".join(pieces)), "other input at another chunking")
    out = guest.data_to_send()
    expect(out == whole.data_to_send(), "other answers at another chunking")
    answered = StreamDecoder(STREAM_TO_HOST_BYTES)
    expect(all(not payload for _, payload in answered.feed(out)), "it answers with bytes")
    expect(not answered.in_frame and answered.failure is None, "it says what is no frame")
    _check_failed(guest)


def _check_failed(side: HostStreams | GuestStreams) -> None:
    if side.failure is not None:
        expect(type(side.failure) is RemoteProtocolError, f"failed with {side.failure!r}")
        more = encode_stream(1, b"x") + encode_stream(9, b"")
        expect(not side.receive_data(more) and not side.data_to_send(), "it hears after its failure")


TARGETS = (
    Target("hyperstart-control-host", "the commanding side", CONTROL, answers, _check_host_control),
    Target("hyperstart-control-guest", "the obeying side", CONTROL, commands, _check_guest_control),
    Target("hyperstart-streams-host", "output and ends of processes", STREAMS, outputs, _check_host_streams),
    Target("hyperstart-streams-guest", "input of processes", STREAMS, inputs, _check_guest_streams),
)
