"""hyperstart's stream channel: stdin, stdout and stderr of every process, by sequence number. Without I/O, both sides.

A process has one sequence for stdin and stdout, and one for stderr unless it has a terminal. An empty frame is end of
stream: the guest sends it only on the first sequence, and it ends both. There is no flow control for input, so it is
sent in small slices. Exit statuses are in `control`.
"""

from __future__ import annotations

from typing import NamedTuple

from transports.errors import LocalProtocolError, RemoteProtocolError
from transports.hyperstart.codec import (
    STREAM_TO_GUEST_BYTES,
    STREAM_TO_HOST_BYTES,
    StreamDecoder,
    encode_stream,
)
from transports.strays import Strays

__all__ = ["Ended", "GuestStreams", "HostStreams", "Input", "Output"]

# a guest buffers 512 bytes of input per process, and silently drops more
INPUT_SLICE = 512
# the largest payload seen from a real guest on a serial port
OUTPUT_SLICE = 10228


class Output(NamedTuple):
    """Host: output of a process; `sequence` tells stdout from stderr."""

    sequence: int
    data: bytes


class Ended(NamedTuple):
    """Host: end of both outputs of the process with this first sequence."""

    sequence: int


class Input(NamedTuple):
    """Guest: input for a process; empty: close its stdin."""

    sequence: int
    data: bytes


class HostStreams:
    """The host's side. A sequence is never reused, as frames of an ended one may still come."""

    def __init__(self) -> None:
        self._decoder = StreamDecoder(STREAM_TO_HOST_BYTES)
        self._last = 0
        # live processes: first sequence -> sequence of stderr, or 0
        self._open: dict[int, int] = {}
        self._errors: dict[int, int] = {}
        self._outgoing: list[bytes] = []
        self._failure: RemoteProtocolError | None = None
        self._strays = Strays()
        self.dropped_frames = 0

    @property
    def failure(self) -> RemoteProtocolError | None:
        """The guest's protocol violation, if any; sticky."""
        return self._failure

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; 0 between frames."""
        return self._decoder.lacking

    def open(self, *, terminal: bool) -> tuple[int, int]:
        """Sequences for one more process: stdin and stdout, and stderr (0 with a terminal)."""
        stdio, stderr = self._last + 1, 0 if terminal else self._last + 2
        self._last = stderr or stdio
        self._open[stdio] = stderr
        if stderr:
            self._errors[stderr] = stdio
        return stdio, stderr

    def forget(self, stdio: int) -> None:
        """The process was never started, or nobody reads its output any more."""
        stderr = self._open.pop(stdio, None)
        if stderr is not None:
            self._errors.pop(stderr, None)
            self._strays.late += 1

    def send_input(self, stdio: int, data: bytes) -> None:
        """Queue input in slices, none of them empty. Raises: LocalProtocolError for a process that is not open."""
        self._check(stdio)
        for start in range(0, len(data), INPUT_SLICE):
            self._queue_input(stdio, data[start : start + INPUT_SLICE])

    def close_input(self, stdio: int) -> None:
        """Queue the end of stdin; a terminal ignores it. Raises: LocalProtocolError."""
        self._check(stdio)
        self._queue_input(stdio, b"")

    def _queue_input(self, stdio: int, data: bytes) -> None:
        self._outgoing.append(encode_stream(stdio, data))
        # the guest answers each slice after the process's end with an empty frame
        self._strays.late += 1

    def data_to_send(self) -> list[bytes]:
        """Take the queued frames; send each in one write."""
        frames, self._outgoing = self._outgoing, []
        return frames

    def receive_data(self, data: bytes) -> list[Output | Ended]:
        """Take bytes from the guest, split at any point; return the events they complete. Then check `failure`."""
        if self._failure is not None:
            return []
        frames = self._decoder.feed(data)
        self._failure = self._decoder.failure
        events: list[Output | Ended] = []
        for sequence, payload in frames:
            if payload and (sequence in self._open or sequence in self._errors):
                events.append(Output(sequence, payload))
            elif not payload and sequence in self._open:
                self.forget(sequence)
                events.append(Ended(sequence))
            else:
                self.dropped_frames += 1
                try:
                    self._overlook(sequence, payload)
                except RemoteProtocolError as error:
                    self._failure = self._failure or error
                    break
        return events

    def _overlook(self, sequence: int, payload: bytes) -> None:
        """Count a frame that nobody waits for. Raises: RemoteProtocolError when there are too many."""
        if not 0 < sequence <= self._last:
            self._strays.take(f"a frame of sequence {sequence}, which no process has had")
        elif not payload:
            # the guest answers late input so, and ends an abandoned process so
            self._strays.take_late(f"an end of sequence {sequence}, which has ended")

    def _check(self, stdio: int) -> None:
        if stdio not in self._open:
            raise LocalProtocolError(f"sequence {stdio} is no process's input")


class GuestStreams:
    """The guest's side. Answers a frame for an unknown process with an empty one."""

    def __init__(self) -> None:
        self._decoder = StreamDecoder(STREAM_TO_GUEST_BYTES)
        self._open: dict[int, int] = {}
        self._outgoing: list[bytes] = []
        self._failure: RemoteProtocolError | None = None

    @property
    def failure(self) -> RemoteProtocolError | None:
        """The error that would have killed a real guest; sticky until the next host."""
        return self._failure

    def begin_host(self) -> None:
        """A new host: its predecessor's partial frame or violation must not affect it."""
        self._decoder = StreamDecoder(STREAM_TO_GUEST_BYTES)
        self._failure = None

    def open(self, stdio: int, stderr: int) -> None:
        """A process has started with these sequences."""
        self._open[stdio] = stderr

    def send_output(self, sequence: int, data: bytes) -> None:
        """Queue output of a process."""
        for start in range(0, len(data), OUTPUT_SLICE):
            self._outgoing.append(encode_stream(sequence, data[start : start + OUTPUT_SLICE], STREAM_TO_HOST_BYTES))

    def end(self, stdio: int) -> None:
        """Both outputs of a process have ended."""
        if self._open.pop(stdio, None) is not None:
            self._outgoing.append(encode_stream(stdio, b""))

    def data_to_send(self) -> bytes:
        """Take what is queued; empty when nothing is."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def receive_data(self, data: bytes) -> list[Input]:
        """Take bytes from the host, split at any point. Then check `failure`."""
        if self._failure is not None:
            return []
        frames = self._decoder.feed(data)
        self._failure = self._decoder.failure
        inputs: list[Input] = []
        for sequence, payload in frames:
            if sequence in self._open:
                inputs.append(Input(sequence, payload))
            else:
                self._outgoing.append(encode_stream(sequence, b""))
        return inputs
