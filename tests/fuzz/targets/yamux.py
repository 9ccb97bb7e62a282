"""yamux: frames, both sides of a session without I/O, and a guest's channel that carries ttRPC, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from tests.fuzz.layout import Body, Field, Frames, Layout
from tests.fuzz.target import Target, expect, in_virtual_time
from tests.fuzz.targets.calls_live import talk
from tests.support.calls import Errors, client_on, request, server_of
from transports.errors import RemoteProtocolError, TransportError
from transports.yamux.channel import YamuxChannel
from transports.yamux.codec import HEADER_BYTES, WINDOW_BYTES, Flag, FrameDecoder, Kind, encode
from transports.yamux.dialer import serve_yamux
from transports.yamux.session import MAX_STREAMS, Opened, Readable, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transports.yamux.session import Event

__all__ = ["TARGETS"]

LENGTH = Field("length", 8, 4, (WINDOW_BYTES,))
FRAMES = Layout(
    Body.BYTES,
    header=HEADER_BYTES,
    fields=(
        LENGTH,
        Field("version", 0, 1),
        Field("kind", 1, 1, tuple(Kind)),
        Field("flags", 2, 2, (*Flag, 5, 6, 9, 15)),
        Field("stream", 4, 4, (4, 5)),
    ),
    length=LENGTH,
)
# streams that we opened as a client before a session of a server's frames begins
OPEN = (1, 3, 5)
# of answers for each byte that came: a ping of 12 is answered with 12, and what is echoed has headers of its own
MOST_ANSWERED = 3


def _data(stream: int, body: bytes, flags: int = 0) -> bytes:
    return encode(Kind.DATA, flags, stream, len(body)) + body


def _of_a_client() -> Sequence[Frames]:
    opening = [encode(Kind.WINDOW, Flag.SYN, number, 0) for number in OPEN]
    call = _data(1, request(1, "Echo", b"hello"))
    plain = (*opening, encode(Kind.PING, Flag.SYN, 0, 7), call, _data(3, request(1, "Never")), _data(5, b"", Flag.FIN))
    growth = (*opening, encode(Kind.WINDOW, 0, 1, 1000), call * 3, encode(Kind.WINDOW, Flag.FIN, 3, 0))
    ends = (*opening, _data(1, b"part", Flag.FIN), encode(Kind.WINDOW, Flag.RST, 3, 0), encode(Kind.GO_AWAY, 0, 0, 0))
    many = tuple(encode(Kind.WINDOW, Flag.SYN, 2 * at + 1, 0) for at in range(20))
    return [plain, growth, ends, many, (_data(1, b"at once", Flag.SYN), _data(1, b"x" * 3000), _data(1, b"", Flag.FIN))]


def _of_a_server() -> Sequence[Frames]:
    taking = [encode(Kind.WINDOW, Flag.ACK, number, 0) for number in OPEN]
    plain = (*taking, _data(1, b"reply"), encode(Kind.PING, Flag.ACK, 0, 1), encode(Kind.WINDOW, 0, 3, 70_000))
    ends = (*taking, _data(5, b"last", Flag.FIN), encode(Kind.WINDOW, Flag.RST, 1, 0), encode(Kind.GO_AWAY, 0, 0, 2))
    own = (encode(Kind.WINDOW, Flag.SYN, 2, 0), _data(2, b"from the guest"), encode(Kind.PING, Flag.SYN, 0, 9))
    return [plain, ends, own]


def _check_client(pieces: Frames) -> None:
    """Streams of ours with something queued, and a server that spoils its frames."""
    _check_chunking(_client(), _client(), pieces)
    _check_session(_client(), pieces)


def _client() -> Session:
    made = Session(client=True, clock=lambda: 0.0)
    for number in OPEN:
        expect(made.open() == number, "streams have other numbers")
        made.send(number, b"q" * 100 * number)
    made.ping(1)
    return made


def _check_server(pieces: Frames) -> None:
    """Everything that comes is echoed."""
    _check_chunking(Session(client=False, clock=lambda: 0.0), Session(client=False, clock=lambda: 0.0), pieces)
    _check_session(Session(client=False, clock=lambda: 0.0), pieces)


def _check_chunking(cut: Session, whole: Session, pieces: Frames) -> None:
    """While nobody answers in between, the same comes of it however it was cut: what is held, what is said, why it failed."""
    for session, some in ((cut, pieces), (whole, (b"".join(pieces),))):
        for piece in some:
            try:
                session.receive_data(piece)
            except RemoteProtocolError as error:
                expect(str(error) == str(session.failure), "it raises something else than what it keeps")
    expect(str(cut.failure) == str(whole.failure), "another failure at another chunking")
    expect((cut.streams, cut.buffered) == (whole.streams, whole.buffered), "other streams at another chunking")
    expect(cut.data_to_send(1 << 20) == whole.data_to_send(1 << 20), "other answers at another chunking")


def _check_session(session: Session, pieces: Frames) -> None:
    """Only a protocol error; what is held and said is bounded by what came; nothing after a failure."""
    came = sum(map(len, pieces))
    out = bytearray(session.data_to_send(1 << 20)[0])
    sent = len(out)
    try:
        for piece in pieces:
            for event in session.receive_data(piece):
                _answer(session, event)
            expect(session.streams <= MAX_STREAMS, "more streams than there may be")
            expect(0 <= session.buffered <= came, f"{session.buffered} bytes are held of {came}")
            out += session.data_to_send(1 << 20)[0]
    except RemoteProtocolError:
        _check_failed(session, out)
    decoder = FrameDecoder()
    decoder.feed(bytes(out))
    expect(not decoder.buffered, "it says half a frame")
    expect(len(out) - sent <= MOST_ANSWERED * came + 200, f"{len(out)} bytes are said to {came}")


def _answer(session: Session, event: Event) -> None:
    """Take what is offered, and send back what was read."""
    if isinstance(event, Opened):
        session.accept()
    elif isinstance(event, Readable) and session.has(event.stream):
        data = session.read(event.stream, 1000)
        try:
            session.send(event.stream, data)
        except TransportError:
            return
        if session.peer_ended(event.stream):
            session.close(event.stream)


def _check_failed(session: Session, out: bytearray) -> None:
    expect(type(session.failure) is RemoteProtocolError, f"failed with {session.failure!r}")
    last = session.data_to_send()[0]
    out += last
    expect(last[-HEADER_BYTES:][1] == Kind.GO_AWAY, "the peer is not told that it failed")
    try:
        session.receive_data(encode(Kind.PING, Flag.SYN, 0, 1))
    except RemoteProtocolError:
        expect(not session.data_to_send()[0], "it answers after its failure")
    else:
        expect(False, "it hears after its failure")


async def _check_channel(pieces: Frames) -> None:
    """A guest's channel that carries ttRPC ends when its peer does, with a reason; the next channel is served."""
    errors: Errors = []
    server = server_of(errors, max_calls=8)
    async with trio.open_nursery() as nursery:
        near, far = trio.testing.memory_stream_pair()
        served = trio.Event()

        async def serve() -> None:
            await serve_yamux(far, server.serve_stream)
            served.set()

        nursery.start_soon(serve)
        await talk(near, pieces)
        await served.wait()
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(serve_yamux, far, server.serve_stream)
        channel = YamuxChannel(near, client=True)
        await nursery.start(channel.run)
        client = await client_on(nursery, await channel.open_stream())
        expect(await client.call("t.S", "Echo", b"well?") == b"well?", "the next channel is answered something else")
        nursery.cancel_scope.cancel()
    expect(not errors, f"a handler failed: {errors}")


TARGETS = (
    Target("yamux-client", "the host's side of a session", FRAMES, _of_a_server, _check_client),
    Target("yamux-server", "the guest's side of a session", FRAMES, _of_a_client, _check_server),
    Target(
        "yamux-channel",
        "a guest's channel that carries ttRPC",
        FRAMES,
        _of_a_client,
        in_virtual_time(_check_channel),
        share=1,
        calls=(100_000, 400),
    ),
)
