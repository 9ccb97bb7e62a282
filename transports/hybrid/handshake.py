"""Both sides of the CONNECT/OK handshake of hybrid vsock, without I/O.

For `sockets`, which feeds them byte by byte: the raw stream begins right behind the line's end, and a byte that was read
along with the line would be lost to it. Not for passing descriptors (`passfd`), which some VMMs offer beside it.
"""

from __future__ import annotations

import re

from transports.errors import RemoteProtocolError, Unreachable

__all__ = ["FIRST_LOCAL_PORT", "LINE_BYTES", "DialHandshake", "ListenHandshake"]

# "connect 4294967295" and its end are 19; Firecracker's own bound is 32
LINE_BYTES = 32
# what Firecracker and Dragonball number their own ends from: n of OK is that, never the port that was asked for
FIRST_LOCAL_PORT = 1 << 30
# "OK n": the clients of today look for the word alone
_OK = re.compile(rb"ok(?: +(\d{1,10}))? *\r?", re.IGNORECASE)
# one writes CONNECT, another connect
_CONNECT = re.compile(rb"connect +(\d{1,10}) *\r?", re.IGNORECASE)


class _Line:
    """The bytes of one line, bounded."""

    def __init__(self) -> None:
        self.received = b""

    def add(self, byte: bytes) -> bytes | None:
        """The line without its end, once that is there."""
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
        """The whole line; to be sent once, at first."""
        return b"CONNECT %d\n" % self._port

    def receive_byte(self, byte: bytes) -> None:
        """One byte; empty is the stream's end. Done once the line has ended: what follows is not ours.

        Raises:
            Unreachable: the VMM closed: nobody listens on that port in the VM, yet.
            RemoteProtocolError: this is no VMM; `received` has what it said so far.
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
        """What came so far, without the line's end."""
        return self._line.received


class ListenHandshake:
    """The VMM's side: learns which port is asked for."""

    def __init__(self) -> None:
        self._line = _Line()

    def receive_byte(self, byte: bytes) -> int | None:
        """One byte; the port, once the line has ended.

        Raises:
            RemoteProtocolError: the peer closed, or says something else than CONNECT and a port.
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
        """The answer, once somebody in the VM has taken the connection."""
        return b"OK %d\n" % local_port
