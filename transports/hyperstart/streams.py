"""hyperstart's stream channel: input and output of every process, by sequence number. Without I/O, both sides.

A process has a sequence for input and output, and one for errors unless it has a terminal. An empty frame is the end: the guest sends it
on the first sequence alone, and it ends both. Nothing holds input back, so it goes in small slices. Not for how a process ended
(`control`).
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

# a guest keeps 512 bytes of input for each process, and drops what is over it without a word
INPUT_SLICE = 512
# the largest payload that a real guest was seen to write on a serial port
OUTPUT_SLICE = 10228


class Output(NamedTuple):
    """Host: bytes of a process; `sequence` tells output from errors."""

    sequence: int
    data: bytes


class Ended(NamedTuple):
    """Host: the process whose first sequence this is writes no more, nor to its errors."""

    sequence: int


class Input(NamedTuple):
    """Guest: bytes for a process; none: its input is closed."""

    sequence: int
    data: bytes


class HostStreams:
    """The host's side. A sequence is never used twice, for frames of an ended one may still come."""

    def __init__(self) -> None:
        self._decoder = StreamDecoder(STREAM_TO_HOST_BYTES)
        self._last = 0
        # of live processes: their first sequence -> the one of their errors, or 0
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
        """Sequences for one more process: of its input and output, and of its errors (0 with a terminal)."""
        stdio, stderr = self._last + 1, 0 if terminal else self._last + 2
        self._last = stderr or stdio
        self._open[stdio] = stderr
        if stderr:
            self._errors[stderr] = stdio
        return stdio, stderr

    def forget(self, stdio: int) -> None:
        """The process was never started, or nobody wants its output any more."""
        stderr = self._open.pop(stdio, None)
        if stderr is not None:
            self._errors.pop(stderr, None)
            self._strays.late += 1

    def send_input(self, stdio: int, data: bytes) -> None:
        """Queue input in slices; none of it is an end. Raises: LocalProtocolError for a process that is not open."""
        self._check(stdio)
        for start in range(0, len(data), INPUT_SLICE):
            self._queue_input(stdio, data[start : start + INPUT_SLICE])

    def close_input(self, stdio: int) -> None:
        """Queue the end of its input; a terminal ignores it. Raises: LocalProtocolError."""
        self._check(stdio)
        self._queue_input(stdio, b"")

    def _queue_input(self, stdio: int, data: bytes) -> None:
        self._outgoing.append(encode_stream(stdio, data))
        # each slice that comes after the process's end is answered by an empty frame
        self._strays.late += 1

    def data_to_send(self) -> list[bytes]:
        """Take the frames that are queued; write each with one call."""
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
        """What is for nobody. Raises: RemoteProtocolError when it is too much."""
        if not 0 < sequence <= self._last:
            self._strays.take(f"a frame of sequence {sequence}, which no process has had")
        elif not payload:
            # input that came too late is answered so, and so ends a process that nobody asks for any more
            self._strays.take_late(f"an end of sequence {sequence}, which has ended")

    def _check(self, stdio: int) -> None:
        if stdio not in self._open:
            raise LocalProtocolError(f"sequence {stdio} is no process's input")


class GuestStreams:
    """The guest's side. It answers a frame for a process that it does not have with an empty one."""

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
        """Another host is there: half a frame of the one before, or its offence, is not its own."""
        self._decoder = StreamDecoder(STREAM_TO_GUEST_BYTES)
        self._failure = None

    def open(self, stdio: int, stderr: int) -> None:
        """A process has started with these sequences."""
        self._open[stdio] = stderr

    def send_output(self, sequence: int, data: bytes) -> None:
        """Queue what a process wrote."""
        for start in range(0, len(data), OUTPUT_SLICE):
            self._outgoing.append(encode_stream(sequence, data[start : start + OUTPUT_SLICE], STREAM_TO_HOST_BYTES))

    def end(self, stdio: int) -> None:
        """Both outputs of a process are at their end."""
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
