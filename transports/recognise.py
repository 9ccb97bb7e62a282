"""Identify the protocol at an address by the first bytes received: pure.

Used by `recognising`, which reads them, and probes where a server never speaks first. A pattern here only
distinguishes a peer from the others; it does not parse the protocol.
"""

from __future__ import annotations

import re
import struct
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PROBES", "Peer", "advice", "recognise"]


class Peer(StrEnum):
    """The protocols that can be identified."""

    TTRPC = "ttRPC"
    GRPC = "HTTP/2"
    CONTROL = "hyperstart's control channel"
    STREAMS = "hyperstart's stream channel"
    YAMUX = "yamux"
    HYBRID = "hybrid vsock"
    SSH = "ssh"
    HTTP = "HTTP/1"


# hyperstart codes that a guest sends: READY, ACK, ERROR, NEXT, PROCESSASYNCEVENT; the largest plausible frame
_CODES = frozenset({8, 9, 10, 14, 23})
_MOST_FRAME = 4 * 1024 * 1024
# to a hyperstart control channel: PING with four bytes of ignored payload; to its stream channel: an empty frame for an
# unknown stream, which it echoes; to yamux: a ping. A whole frame in each, as a partial one kills a hyperstart guest
_PING = struct.pack(">BBHII", 0, 2, 1, 12, 12)
# a request to a service that does not exist: UNIMPLEMENTED. Its stream id equals its length, so that to hyperstart it
# is a whole control frame with an unknown code
_SERVICE = b"\x0a\x0ekatrio.Nothing\x12\x03Ask"
_TTRPC = struct.pack(">IIBB", len(_SERVICE), 10 + len(_SERVICE), 1, 0) + _SERVICE
# HTTP/1 servers answer with an error line, HTTP/2 servers with SETTINGS
_HTTP = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


# least harmful first, for a guest that speaks another protocol
PROBES = (_PING, _TTRPC, _HTTP, b"CONNECT 1024\n")


def recognise(first: bytes, *, expected: Peer | None = None) -> Peer | None:
    """Who sends these first bytes; None: unknown, or too few bytes. `expected` wins where several match."""
    for peer, test in _STRONG.items():
        if test(first):
            return peer
    if expected is not None and expected in _WEAK and _WEAK[expected](first):
        return expected
    for peer, test in _WEAK.items():
        if test(first):
            return peer
    return None


def _is_settings(first: bytes) -> bool:
    if len(first) < 9:
        return False
    size = int.from_bytes(first[:3], "big")
    return first[3] == 4 and first[4] in {0, 1} and not any(first[5:9]) and size % 6 == 0 and size <= 600


def _is_control(first: bytes) -> bool:
    if len(first) < 8:
        return False
    code, length = struct.unpack_from(">II", first)
    return bool(code in _CODES and 8 <= length <= _MOST_FRAME)


def _is_ttrpc(first: bytes) -> bool:
    if len(first) < 10:
        return False
    length, stream, kind, flags = struct.unpack_from(">IIBB", first)
    return bool(length <= _MOST_FRAME and stream % 2 == 1 and kind in {2, 3} and flags < 8)


def _is_yamux(first: bytes) -> bool:
    if len(first) < 12:
        return False
    version, kind, flags, stream, number = struct.unpack_from(">BBHII", first)
    pong = kind == 2 and flags in {1, 2} and stream == 0
    opened = kind == 1 and 0 < flags < 16 and stream > 0
    return bool(version == 0 and (pong or opened or (kind == 3 and stream == 0 and number <= 2)))


def _is_streams(first: bytes) -> bool:
    # only an echo of our probe; any other frame would be ambiguous
    return first[:12] == _PING


_STRONG: Mapping[Peer, Callable[[bytes], bool]] = {
    Peer.SSH: lambda first: first.startswith(b"SSH-"),
    Peer.HTTP: lambda first: re.match(rb"HTTP/\d", first) is not None,
    Peer.HYBRID: lambda first: re.match(rb"ok( \d{1,10})?\r?\n", first, re.IGNORECASE) is not None,
    Peer.GRPC: _is_settings,
    Peer.STREAMS: _is_streams,
}
_WEAK: Mapping[Peer, Callable[[bytes], bool]] = {
    Peer.TTRPC: _is_ttrpc,
    Peer.CONTROL: _is_control,
    Peer.YAMUX: _is_yamux,
}


def advice(found: Peer, expected: Peer) -> str:
    """What to tell a user who expected another peer, and how to fix it."""
    known = _ADVICE.get((found, expected)) or _ADVICE_FOR[found]
    return f"it speaks {found}, not {expected}: {known}"


_SWAPPED = "are --address and --tty-address swapped?"
# for every command with a Kata agent's address; not all of them have the option
_HYPERSTART = "if it is hyperstart, use --agent hyperstart (katrio call is for Kata agents alone)"
_DIRECT = "it takes connections by itself; write unix:///path"
_NO_VMM = "no VMM stands before it; write unix:///path"
_ADVICE: Mapping[tuple[Peer, Peer], str] = {
    (Peer.STREAMS, Peer.CONTROL): _SWAPPED,
    (Peer.CONTROL, Peer.STREAMS): _SWAPPED,
    (Peer.TTRPC, Peer.GRPC): "Kata agents since 2.0 do; use --dialect ttrpc",
    (Peer.GRPC, Peer.TTRPC): "agents of Kata 1.x do; use --dialect grpc",
    (Peer.CONTROL, Peer.TTRPC): _HYPERSTART,
    (Peer.CONTROL, Peer.GRPC): _HYPERSTART,
    (Peer.TTRPC, Peer.YAMUX): _DIRECT,
    (Peer.GRPC, Peer.YAMUX): _DIRECT,
    (Peer.TTRPC, Peer.HYBRID): _NO_VMM,
    (Peer.GRPC, Peer.HYBRID): _NO_VMM,
    (Peer.CONTROL, Peer.HYBRID): _NO_VMM,
    (Peer.STREAMS, Peer.HYBRID): _NO_VMM,
}
_ADVICE_FOR: Mapping[Peer, str] = {
    Peer.TTRPC: "Kata agents since 2.0 do; use --agent kata --dialect ttrpc",
    Peer.GRPC: "agents of Kata 1.x do; use --agent kata --dialect grpc",
    Peer.CONTROL: "use --agent hyperstart",
    Peer.STREAMS: "use --agent hyperstart, with its control channel as --address",
    Peer.YAMUX: "agents of Kata 1.x do on a serial channel; write serial:/path",
    Peer.HYBRID: "VMMs do before their VM's ports; write hvsock:///path:PORT",
    Peer.SSH: "it is no agent",
    Peer.HTTP: "it is no agent, but a web server",
}
