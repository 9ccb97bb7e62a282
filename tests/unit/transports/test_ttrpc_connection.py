"""What may follow what on a ttRPC connection: two connections joined by hand, and a peer that breaks the rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.calls.connection import Called, Replied
from transports.errors import LocalProtocolError, MessageTooLarge, StatusCode
from transports.strays import MOST_STRAYS
from transports.ttrpc.codec import (
    DATA,
    MAX_BODY,
    REQUEST,
    RESPONSE,
    FrameDecoder,
    decode_response,
    encode_frame,
    encode_method,
    encode_request,
    encode_response,
    encode_status,
)
from transports.ttrpc.connection import (
    GIVE_UP,
    TRANSITIONS,
    ClientConnection,
    ServerConnection,
    Stream,
    Verdict,
)

METHOD = encode_method("s", "m")


def _request(stream_id: int, payload: bytes = b"p", nanos: int = 0) -> bytes:
    return encode_frame(REQUEST, stream_id, encode_request(METHOD, payload, nanos))


def _answers(server: ServerConnection) -> list[tuple[int, int, str]]:
    """(stream id, code, message) of the responses that the server has queued."""
    answers: list[tuple[int, int, str]] = []
    for frame in FrameDecoder().feed(server.data_to_send()):
        assert (frame.kind, frame.flags) == (RESPONSE, 0)
        response = decode_response(frame.buffer, frame.start, frame.end)
        answers.append((frame.stream_id, response.code, response.message))
    return answers


def _serve(server: ServerConnection, wire: bytes) -> list[int]:
    return [call.stream_id for call in server.receive_data(wire)]


def test_the_table_says_something_for_every_state_and_frame() -> None:
    assert set(TRANSITIONS) == {(state, kind) for state in Stream for kind in (REQUEST, RESPONSE, DATA, GIVE_UP)}
    # whatever happens, an id is never used again
    assert all(after is not Stream.OPEN for (state, _), (after, _) in TRANSITIONS.items() if state is not Stream.IDLE)
    assert [row for row, (_, verdict) in TRANSITIONS.items() if verdict is Verdict.DELIVER] == [
        (Stream.IDLE, REQUEST),
        (Stream.OPEN, RESPONSE),
    ]


def test_calls_are_answered_in_any_order_and_ids_are_odd_and_increase() -> None:
    client, server = ClientConnection(), ServerConnection(10)
    ids = [client.send_request("s", "m", bytes((n,)), n) for n in range(3)]
    assert ids == [1, 3, 5]
    assert client.outgoing_frames == 3
    calls = server.receive_data(client.data_to_send())
    assert [(call.stream_id, call.request.payload, call.request.timeout_nano) for call in calls] == [
        (1, b"\0", 0),
        (3, b"\1", 1),
        (5, b"\2", 2),
    ]
    server.send_reply(5, b"five")
    server.send_status(1, StatusCode.NOT_FOUND, "one")
    server.send_reply(3, b"")
    assert client.receive_data(server.data_to_send()) == [
        Replied(5, 0, "", b"five"),
        Replied(1, 5, "one", b""),
        Replied(3, 0, "", b""),
    ]
    assert (client.open_streams, server.open_streams, server.calls) == (0, 0, 0)
    assert client.data_to_send() == server.data_to_send() == b""
    assert client.outgoing_bytes == server.outgoing_bytes == 0


@given(st.data())
def test_any_split_of_the_bytes_gives_the_same_calls_and_replies(data: st.DataObject) -> None:
    client, server = ClientConnection(), ServerConnection(10)
    for n in range(4):
        client.send_request("s", "m", bytes(n * 50))
    calls: list[Called] = []
    for piece in _pieces(data, client.data_to_send()):
        calls += server.receive_data(piece)
    assert [len(call.request.payload) for call in calls] == [0, 50, 100, 150]
    for call in calls:
        server.send_reply(call.stream_id, call.request.payload)
    replies: list[Replied] = []
    for piece in _pieces(data, server.data_to_send()):
        replies += client.receive_data(piece)
    assert [(reply.stream_id, len(reply.payload)) for reply in replies] == [(1, 0), (3, 50), (5, 100), (7, 150)]


def _pieces(data: st.DataObject, wire: bytes) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    return [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


# The server and a client that breaks the rules


@pytest.mark.parametrize("stream_id", [0, 2, 2**32 - 2])
@pytest.mark.parametrize("kind", [REQUEST, DATA])
def test_an_even_id_is_refused_and_the_connection_lives(kind: int, stream_id: int) -> None:
    server = ServerConnection(10)
    assert _serve(server, encode_frame(kind, stream_id, b"") + _request(1)) == [1]
    assert _answers(server) == [(stream_id, 3, "StreamID must be odd for client initiated streams")]


def test_an_overtaken_id_serves_once() -> None:
    server = ServerConnection(10)
    assert _serve(server, _request(7) + _request(5) + _request(9)) == [7, 5, 9]
    assert _serve(server, encode_frame(DATA, 3, b"x")) == []
    assert _serve(server, _request(5) + _request(3)) == [3]
    assert _answers(server)[1:] == [(5, 3, "StreamID cannot be re-used and must increment")]


def test_a_reused_id_is_answered_once_and_the_first_call_s_answer_is_dropped() -> None:
    server = ServerConnection(10)
    assert _serve(server, _request(1) + _request(1)) == [1]
    assert _answers(server) == [(1, 3, "StreamID cannot be re-used and must increment")]
    assert server.calls == 1
    server.send_reply(1, b"late")
    assert (_answers(server), server.dropped_replies, server.calls) == ([], 1, 0)
    assert _serve(server, _request(1)) == []
    assert len(_answers(server)) == 1


def test_data_on_a_unary_call_is_refused_and_ends_it() -> None:
    server = ServerConnection(10)
    assert _serve(server, _request(1) + encode_frame(DATA, 1, b"x")) == [1]
    assert _answers(server) == [(1, 3, "StreamID is a unary call and takes no data")]
    server.send_status(1, 13, "late")
    assert (_answers(server), server.dropped_replies) == ([], 1)


def test_data_for_an_id_that_is_finished_or_was_never_used_is_refused() -> None:
    server = ServerConnection(10)
    _serve(server, _request(1))
    server.send_reply(1, b"")
    _answers(server)
    assert _serve(server, encode_frame(DATA, 1, b"", 5) + encode_frame(DATA, 3, b"", 5) + _request(3)) == [3]
    assert _answers(server) == [(1, 3, "StreamID is no longer active"), (3, 3, "StreamID is no longer active")]


@pytest.mark.parametrize("flags", [0, 1, 2, 6, 0xFF])
def test_flags_of_a_request_are_ignored(flags: int) -> None:
    server = ServerConnection(10)
    assert _serve(server, encode_frame(REQUEST, 1, encode_request(METHOD, b"", 0), flags)) == [1]


@pytest.mark.parametrize("kind", [0, RESPONSE, 4, 255])
def test_frames_that_a_server_does_not_know_are_ignored_even_oversize(kind: int) -> None:
    server = ServerConnection(10)
    oversize = (MAX_BODY + 1).to_bytes(4) + (5).to_bytes(4) + bytes((kind, 0)) + bytes(MAX_BODY + 1)
    assert _serve(server, encode_frame(kind, 3, b"?") + oversize + _request(1)) == [1]
    assert _answers(server) == []


def test_a_request_of_no_bytes_is_a_request() -> None:
    (call,) = ServerConnection(10).receive_data(encode_frame(REQUEST, 1, b""))
    assert (call.request.service, call.request.method, call.request.payload) == ("", "", b"")


def test_a_request_that_can_t_be_decoded_is_answered_3_and_uses_its_id_up() -> None:
    server = ServerConnection(10)
    assert _serve(server, encode_frame(REQUEST, 1, b"\x0a\x05") + _request(1) + _request(3)) == [3]
    first, second = _answers(server)
    assert first[:2] == (1, 3)
    assert first[2].startswith("unmarshal request error:")
    assert second == (1, 3, "StreamID cannot be re-used and must increment")
    assert server.calls == 1


@pytest.mark.parametrize("kind", [REQUEST, DATA])
def test_an_oversize_frame_is_answered_8_and_the_connection_lives(kind: int) -> None:
    server = ServerConnection(10)
    oversize = (MAX_BODY + 1).to_bytes(4) + (1).to_bytes(4) + bytes((kind, 0))
    assert _serve(server, oversize) == []
    assert _answers(server) == [(1, 8, "message length 4194305 exceed maximum message size of 4194304")]
    assert _serve(server, bytes(MAX_BODY + 1) + _request(3)) == [3]
    assert server.calls == 1


def test_a_request_of_exactly_4_mib_is_served() -> None:
    overhead = len(encode_request(METHOD, bytes(MAX_BODY - 100), 0)) - (MAX_BODY - 100)
    (call,) = ServerConnection(10).receive_data(_request(1, bytes(MAX_BODY - overhead)))
    assert len(call.request.payload) == MAX_BODY - overhead


def test_a_reply_of_4_mib_leaves_and_one_byte_more_becomes_8() -> None:
    server = ServerConnection(10)
    overhead = len(encode_response(bytes(MAX_BODY - 100))) - (MAX_BODY - 100)
    _serve(server, _request(1) + _request(3))
    server.send_reply(1, bytes(MAX_BODY - overhead))
    server.send_reply(3, bytes(MAX_BODY - overhead + 1))
    assert _answers(server) == [(1, 0, ""), (3, 8, "the response has 4194305 bytes and a frame carries 4194304")]


def test_a_negative_timeout_is_answered_4_at_once_and_the_longest_is_served() -> None:
    server = ServerConnection(10)
    negative = METHOD + b"\x20" + b"\xff" * 9 + b"\x01"
    calls = server.receive_data(encode_frame(REQUEST, 1, negative) + _request(3, nanos=2**63 - 1))
    assert [(call.stream_id, call.request.timeout_nano) for call in calls] == [(3, 2**63 - 1)]
    assert _answers(server) == [(1, 4, "context deadline exceeded")]


def test_a_call_above_the_bound_is_answered_8_until_another_ends() -> None:
    server = ServerConnection(2)
    assert _serve(server, _request(1) + _request(3) + _request(5)) == [1, 3]
    assert _answers(server) == [(5, 8, "2 calls are in progress on this connection; wait for one to end")]
    server.send_reply(1, b"")
    assert _serve(server, _request(7)) == [7]


def test_spoiled_calls_count_against_the_bound_until_their_handlers_end() -> None:
    server = ServerConnection(2)
    for stream_id in (1, 3):
        assert _serve(server, _request(stream_id) + encode_frame(DATA, stream_id, b"")) == [stream_id]
    assert server.open_streams == 0
    assert _serve(server, _request(5)) == []
    server.send_reply(1, b"")
    assert _serve(server, _request(7)) == [7]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 9), st.sampled_from([REQUEST, RESPONSE, DATA, 7]), st.sampled_from([b"", b"\x0a", METHOD])
        )
    )
)
def test_whatever_a_client_sends_each_id_is_answered_at_most_once_while_its_call_runs(
    frames: list[tuple[int, int, bytes]],
) -> None:
    server = ServerConnection(3)
    running: list[int] = []
    spoiled: set[int] = set()
    for stream_id, kind, body in frames:
        before = set(running)
        running += _serve(server, encode_frame(kind, stream_id, body))
        spoiled |= before & {refused for refused, *_ in _answers(server)}
        assert server.calls == len(running) <= 3
    assert len(set(running)) == len(running)
    for stream_id in running:
        server.send_reply(stream_id, b"")
    assert [replied for replied, *_ in _answers(server)] == [call for call in running if call not in spoiled]
    assert server.dropped_replies == len(spoiled)
    assert (server.calls, server.open_streams) == (0, 0)


# The client and a server that breaks the rules


def test_a_late_and_an_unknown_reply_are_counted_and_dropped() -> None:
    client = ClientConnection()
    stream_id = client.send_request("s", "m", b"")
    client.forget(stream_id)
    assert client.open_streams == 0
    for late in (stream_id, 2, 99):
        assert client.receive_data(encode_frame(RESPONSE, late, b"")) == []
    assert (client.dropped_replies, client.failure) == (3, None)
    assert client.send_request("s", "m", b"") == 3


def test_a_second_reply_is_dropped_and_data_without_a_call_too() -> None:
    client = ClientConnection()
    client.send_request("s", "m", b"")
    assert client.receive_data(encode_frame(RESPONSE, 1, b"") * 2) == [Replied(1, 0, "", b"")]
    assert client.receive_data(encode_frame(DATA, 1, b"x")) == []
    assert (client.dropped_replies, client.failure) == (2, None)


@pytest.mark.parametrize("kind", [0, REQUEST, 4, 255])
def test_frames_that_a_client_does_not_know_are_ignored(kind: int) -> None:
    client = ClientConnection()
    client.send_request("s", "m", b"")
    wire = encode_frame(kind, 1, b"?") + encode_frame(RESPONSE, 1, encode_response(b"yes"))
    assert client.receive_data(wire) == [Replied(1, 0, "", b"yes")]


def test_an_oversize_reply_fails_its_call_alone() -> None:
    client = ClientConnection()
    client.send_request("s", "m", b"")
    client.send_request("s", "m", b"")
    oversize = (MAX_BODY + 1).to_bytes(4) + (1).to_bytes(4) + bytes((RESPONSE, 0)) + bytes(MAX_BODY + 1)
    replies = client.receive_data(oversize + encode_frame(RESPONSE, 3, b""))
    assert [(reply.stream_id, reply.code) for reply in replies] == [(1, 8), (3, 0)]


def test_a_failure_with_a_payload_is_a_failure() -> None:
    client = ClientConnection()
    client.send_request("s", "m", b"")
    (reply,) = client.receive_data(encode_frame(RESPONSE, 1, encode_status(9, "no") + encode_response(b"p")))
    assert (reply.code, reply.message) == (9, "no")


@pytest.mark.parametrize(
    "frame", [encode_frame(RESPONSE, 3, b"\x0a\x05"), encode_frame(DATA, 3, b"x"), encode_frame(DATA, 3, b"", 5)]
)
def test_an_answer_that_is_none_fails_the_connection_for_good_after_the_replies_before_it(frame: bytes) -> None:
    client = ClientConnection()
    client.send_request("s", "m", b"")
    client.send_request("s", "m", b"")
    good = encode_frame(RESPONSE, 1, b"")
    assert client.receive_data(good + frame + good) == [Replied(1, 0, "", b"")]
    assert client.failure is not None
    assert "stream 3" in str(client.failure)
    assert client.receive_data(good) == []
    with pytest.raises(LocalProtocolError, match="failed"):
        client.send_request("s", "m", b"")


def test_a_request_over_4_mib_is_refused_before_anything_is_sent_and_uses_no_id() -> None:
    client = ClientConnection()
    overhead = len(encode_request(METHOD, bytes(MAX_BODY - 100), 0)) - (MAX_BODY - 100)
    with pytest.raises(MessageTooLarge, match="s/m: the request has 4194305 bytes"):
        client.send_request("s", "m", bytes(MAX_BODY - overhead + 1))
    assert (client.outgoing_bytes, client.open_streams) == (0, 0)
    assert client.send_request("s", "m", bytes(MAX_BODY - overhead)) == 1


@pytest.mark.parametrize("nanos", [-1, 2**63])
def test_a_timeout_out_of_range_is_refused(nanos: int) -> None:
    client = ClientConnection()
    with pytest.raises(LocalProtocolError, match="timeout_nano"):
        client.send_request("s", "m", b"", nanos)
    assert client.outgoing_bytes == 0


def test_ids_end_at_2_to_the_31() -> None:
    client = ClientConnection()
    client._numbers.highest = 2**31 - 3  # a billion calls take too long
    assert client.send_request("s", "m", b"") == 2**31 - 1
    with pytest.raises(LocalProtocolError, match="used up"):
        client.send_request("s", "m", b"")


@pytest.mark.parametrize(
    ("stray", "lawful"),
    [
        (encode_frame(RESPONSE, 1, encode_response(b"r")), 3),
        (encode_frame(RESPONSE, 99, encode_response(b"r")), 0),
        (encode_frame(DATA, 1, b"x"), 0),
    ],
    ids=["answers to calls that were given up", "answers to none", "data of a call that was given up"],
)
def test_only_so_many_answers_as_were_given_up_are_lawful_and_of_the_rest_a_few(stray: bytes, lawful: int) -> None:
    client = ClientConnection()
    for stream_id in [client.send_request("s", "m", b"", 0) for _ in range(3)]:
        client.forget(stream_id)
    for _ in range(lawful + MOST_STRAYS):
        assert client.receive_data(stray) == []
    assert client.failure is None
    client.receive_data(stray)
    assert client.failure is not None
