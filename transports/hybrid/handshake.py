"""Both sides of the CONNECT/OK handshake of hybrid vsock, without I/O.

`sockets` feeds it byte by byte: the raw stream starts right after the line's end, and a byte read along with the line
would be lost to it. Descriptor passing (`passfd`), which some VMMs also offer, is not supported.
"""

from __future__ import annotations

import re

from transports.errors import RemoteProtocolError, Unreachable

__all__ = ["FIRST_LOCAL_PORT", "LINE_BYTES", "DialHandshake", "ListenHandshake"]

# "connect 4294967295" and its line end are 19; Firecracker's own limit is 32
LINE_BYTES = 32
# Firecracker and Dragonball number their own ends from here; n in "OK n" is that number, never the requested port
FIRST_LOCAL_PORT = 1 << 30
# "OK n": today's clients check only for OK
_OK = re.compile(rb"ok(?: +(\d{1,10}))? *\r?", re.IGNORECASE)
# implementations differ in case: CONNECT, connect
_CONNECT = re.compile(rb"connect +(\d{1,10}) *\r?", re.IGNORECASE)


class _Line:
    """The bytes of one line, with a bound."""

    def __init__(self) -> None:
        self.received = b""

    def add(self, byte: bytes) -> bytes | None:
        """The line without its end, once complete."""
        if len(byte) != 1:
            raise ValueError("a handshake is read byte by byte")
        if byte == b"\n":
            return self.received
        self.received += byte
        return None


class DialHandshake:
    """The host's side: asks a VMM for a port of its VM."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._line = _Line()
        self.local_port: int | None = None
        self.done = False

    def data_to_send(self) -> bytes:
        """The whole line; send it once, first."""
        return b"CONNECT %d\n" % self._port

    def receive_byte(self, byte: bytes) -> None:
        """Take one byte; empty is end of stream. Done at the line's end: later bytes belong to the raw stream.

        Raises:
            Unreachable: the VMM closed: nobody listens on that port in the VM (yet).
            RemoteProtocolError: not a VMM; `received` has what it sent.
        """
        if not byte:
            raise Unreachable(f"nobody listens on port {self._port} in the VM: its VMM closed the connection before OK")
        line = self._line.add(byte)
        if line is None:
            said = self.received.lower()
            if said[:2] != b"ok"[: len(said)] or len(said) >= LINE_BYTES:
                raise RemoteProtocolError(
                    f"answered {self.received!r} to CONNECT {self._port}; expected OK and a number"
                )
            return
        found = _OK.fullmatch(line)
        if found is None:
            raise RemoteProtocolError(f"answered {line!r} to CONNECT {self._port}; expected OK and a number")
        self.local_port = int(found[1]) if found[1] else None
        self.done = True

    @property
    def received(self) -> bytes:
        """What was received so far, without the line's end."""
        return self._line.received


class ListenHandshake:
    """The VMM's side: learns which port is requested."""

    def __init__(self) -> None:
        self._line = _Line()

    def receive_byte(self, byte: bytes) -> int | None:
        """Take one byte; returns the port once the line is complete.

        Raises:
            RemoteProtocolError: the peer closed, or sent something other than CONNECT and a port.
        """
        line = self._line.add(byte) if byte else None
        if line is None:
            said = self._line.received.lower()
            if not byte or said[:7] != b"connect"[: len(said)] or len(said) >= LINE_BYTES:
                raise RemoteProtocolError(f"{self._line.received!r} is not CONNECT, a port and a line's end")
            return None
        found = _CONNECT.fullmatch(line)
        if found is None or int(found[1]) > 0xFFFF_FFFF:
            raise RemoteProtocolError(f"{line!r} is not CONNECT and a port")
        return int(found[1])

    @staticmethod
    def accepted(local_port: int) -> bytes:
        """The reply, once a listener in the VM has accepted the connection."""
        return b"OK %d\n" % local_port
