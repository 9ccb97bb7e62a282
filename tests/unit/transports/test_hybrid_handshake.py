"""The CONNECT/OK handshake without I/O: what is taken, what is refused, and nothing read past the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.errors import RemoteProtocolError, Unreachable
from transports.hybrid.handshake import LINE_BYTES, DialHandshake, ListenHandshake


def _bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def _dial(data: bytes) -> tuple[DialHandshake, int]:
    handshake = DialHandshake(1024)
    for read, byte in enumerate(_bytes(data), 1):
        handshake.receive_byte(byte)
        if handshake.done:
            return handshake, read
    return handshake, len(data)


def _listen(data: bytes) -> None:
    handshake = ListenHandshake()
    for byte in [*_bytes(data), b""]:
        handshake.receive_byte(byte)


def test_the_line_names_the_port() -> None:
    assert DialHandshake(1024).data_to_send() == b"CONNECT 1024\n"


@pytest.mark.parametrize("word", ["OK", "ok", "Ok", "oK"])
@pytest.mark.parametrize("rest", [" 1073741824", "", "  7", " 7 ", " 7\r"])
def test_any_letter_case_of_ok_is_taken_and_nothing_behind_it(word: str, rest: str) -> None:
    line = f"{word}{rest}\n".encode()
    handshake, read = _dial(line + b"\x00\x00\x12\x04")
    assert handshake.done
    assert read == len(line)
    assert handshake.local_port == (int(rest) if rest.strip() else None)


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n", b"\x00\x00\x12", b"OKAY\n", b"OK x\n", b"OK 1 2\n", b"\n", b"OK" + b" " * 40]
)
def test_what_is_not_ok_is_a_protocol_error_with_what_was_said(answer: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="to CONNECT 1024; expected OK and a number"):
        _dial(answer)


def test_a_close_before_ok_may_be_tried_again() -> None:
    for answer in (b"", b"O", b"OK 10"):
        handshake, _ = _dial(answer)
        with pytest.raises(Unreachable, match="nobody listens on port 1024 in the VM"):
            handshake.receive_byte(b"")


@pytest.mark.parametrize("word", [b"CONNECT", b"connect", b"CoNnEcT"])
def test_a_listener_takes_any_letter_case(word: bytes) -> None:
    handshake = ListenHandshake()
    *first, last = _bytes(word + b" 2718\n")
    assert [handshake.receive_byte(byte) for byte in first] == [None] * len(first)
    assert handshake.receive_byte(last) == 2718
    assert handshake.accepted(1 << 30) == b"OK 1073741824\n"


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n", b"connect\n", b"connect x\n", b"connect 4294967296\n", b"passfd\n", b""]
)
def test_a_listener_refuses_anything_else(said: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        _listen(said)


@given(st.binary(max_size=80))
def test_no_side_keeps_more_than_a_line_or_raises_anything_else(said: bytes) -> None:
    dialling, listening = DialHandshake(1), ListenHandshake()
    try:
        for byte in _bytes(said):
            if not dialling.done:
                dialling.receive_byte(byte)
            assert len(dialling.received) <= LINE_BYTES
    except RemoteProtocolError:
        pass
    try:
        for byte in _bytes(said):
            if listening.receive_byte(byte) is not None:
                break
    except RemoteProtocolError:
        pass
