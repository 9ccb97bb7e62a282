"""The state of hyperstart's control channel: the host's side and the guest's, without I/O.

Bytes in (`receive_data`), events out, bytes out (`data_to_send`). Replies carry no id and are matched by order, so the
host has one command in flight. After each read the guest reports how many bytes it took (NEXT). Process I/O is in
`streams`.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from transports.errors import LocalProtocolError, RemoteProtocolError
from transports.hyperstart.codec import (
    CONTROL_HEADER_BYTES,
    Code,
    ControlDecoder,
    ControlFrame,
    command_name,
    encode_control,
)
from transports.hyperstart.messages import Finished, decode_finished
from transports.strays import Strays

__all__ = ["Answered", "Command", "ControlEvent", "GuestControl", "HostControl", "Ready"]

# read ahead of the command in progress, at most; the rest waits in the socket (backpressure)
HELD_BYTES = 64 * 1024


class Ready(NamedTuple):
    """The guest is ready; reported once, before anything else."""


class Answered(NamedTuple):
    """The reply to the command in flight; its payload has a meaning only for a refused KILLCONTAINER."""

    code: int
    accepted: bool
    payload: bytes


ControlEvent: TypeAlias = "Ready | Answered | Finished"


class HostControl:
    """The commanding side.

    Args:
        reattached: the guest had another host before: it sends no READY, and may still answer an old command.
    """

    def __init__(self, *, reattached: bool = False) -> None:
        self._decoder = ControlDecoder()
        self._reattached = reattached
        self._ready = reattached
        self._sent_any = False
        self._in_flight: int | None = None
        self._destroying = False
        self._outgoing: list[bytes] = []
        self._untaken = 0
        self._failure: RemoteProtocolError | None = None
        self._strays = Strays()
        self.dropped_replies = 0

    @property
    def failure(self) -> RemoteProtocolError | None:
        """The guest's protocol violation, or the reason of `give_up`; sticky. Treat the VM as lost."""
        return self._failure

    @property
    def in_flight(self) -> int | None:
        """The code of the command without a reply yet."""
        return self._in_flight

    @property
    def lacking(self) -> int:
        """Bytes still missing from the partly received frame; 0 between frames."""
        return self._decoder.lacking

    @property
    def untaken_bytes(self) -> int:
        """Bytes sent that the guest has not confirmed reading (NEXT)."""
        return self._untaken

    def send(self, code: int, payload: bytes = b"") -> None:
        """Queue one command. The frame must leave whole: send what `data_to_send` returns in one write.

        Raises:
            LocalProtocolError: another is in flight, no READY came yet, DESTROYPOD was sent, or the channel has failed.
            MessageTooLarge: nothing was queued.
        """
        if self._failure is not None:
            raise LocalProtocolError(f"no command on a channel that failed: {self._failure}")
        if not self._ready:
            raise LocalProtocolError(
                f"{command_name(code)} before the guest said READY: its answer would be taken for that"
            )
        if self._destroying:
            raise LocalProtocolError(f"{command_name(code)} after DESTROYPOD: nothing may follow it")
        if self._in_flight is not None:
            raise LocalProtocolError(
                f"{command_name(code)} while {command_name(self._in_flight)} is in flight: replies have no id"
            )
        frame = encode_control(code, payload)
        self._outgoing.append(frame)
        self._untaken += len(frame)
        self._in_flight = code
        self._sent_any = True
        self._destroying = code == Code.DESTROYPOD

    def forget_process(self) -> None:
        """One more process is no longer of interest; its end may still be reported."""
        self._strays.late += 1

    def overlook(self, finished: Finished) -> None:
        """Count a report of the end of an unknown or already ended process. Dozens of them set `failure`."""
        try:
            self._strays.take_late(f"the end of a process {finished.process[:80]!r} that is none of ours")
        except RemoteProtocolError as error:
            self._failure = self._failure or error

    def give_up(self, why: str) -> None:
        """The command in flight timed out. It can't be cancelled, and a late reply would match the next: fail the channel."""
        if self._failure is None:
            self._failure = RemoteProtocolError(why)

    def data_to_send(self) -> bytes:
        """Take what is queued; empty when nothing is."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def receive_data(self, data: bytes) -> list[ControlEvent]:
        """Take bytes from the guest, split at any point; return the events they complete. Then check `failure`."""
        events: list[ControlEvent] = []
        if self._failure is not None:
            return events
        try:
            for frame in self._decoder.feed(data):
                event = self._receive(frame)
                if event is not None:
                    events.append(event)
            self._failure = self._decoder.failure
        except RemoteProtocolError as error:
            self._failure = error
        return events

    def receive_eof(self) -> list[ControlEvent]:
        """The guest closed: this counts as the reply to DESTROYPOD, which may get no other, and fails anything else."""
        if self._failure is not None:
            return []
        self._failure = RemoteProtocolError("the guest closed its control channel")
        if not self._destroying or self._in_flight is None:
            return []
        self._in_flight = None
        return [Answered(Code.DESTROYPOD, accepted=True, payload=b"")]

    def _receive(self, frame: ControlFrame) -> ControlEvent | None:
        if not self._ready and frame.code != Code.READY:
            raise RemoteProtocolError(f"{command_name(frame.code)} before READY")
        if frame.code == Code.NEXT:
            self._take(frame.payload)
            return None
        if frame.code == Code.PROCESSASYNCEVENT:
            return decode_finished(frame.payload)
        if frame.code in (Code.ACK, Code.ERROR):
            return self._answer(frame)
        if frame.code != Code.READY:
            raise RemoteProtocolError(f"{command_name(frame.code)} is not for a guest to say")
        if self._ready:
            raise RemoteProtocolError("READY a second time: the guest has started anew")
        self._ready = True
        return Ready()

    def _take(self, payload: bytes) -> None:
        count = int.from_bytes(payload)
        if len(payload) != 4:
            raise RemoteProtocolError(f"NEXT with {len(payload)} bytes; expected 4")
        if count == 0:
            self._strays.take("NEXT of no bytes")
        if count > self._untaken:
            if self._reattached:
                # for a frame that was sent over the previous link
                return
            raise RemoteProtocolError(f"NEXT of {count} bytes, where {self._untaken} were sent")
        self._untaken -= count

    def _answer(self, frame: ControlFrame) -> Answered | None:
        code = self._in_flight
        if code is None:
            if self._reattached and not self._sent_any:
                self.dropped_replies += 1
                return None
            raise RemoteProtocolError(f"{command_name(frame.code)} where nothing was asked")
        self._in_flight = None
        return Answered(code, frame.code == Code.ACK, frame.payload)


class Command(NamedTuple):
    """Guest: a command to run and to answer; `number` counts them."""

    number: int
    code: int
    payload: bytes


class GuestControl:
    """The obeying side: reads one command, has it run and answered, and only then reads on.

    Args:
        fragile: like a real guest on a serial port, fail when a header arrives without its body. For tests of hosts.
    """

    def __init__(self, *, fragile: bool = False) -> None:
        self._fragile = fragile
        self._held = bytearray()
        self._frame = bytearray()
        self._numbers = 0
        self._busy: int | None = None
        self._deferred: int | None = None
        self._failure: RemoteProtocolError | None = None
        self._outgoing: list[bytes] = [encode_control(Code.READY)]

    @property
    def failure(self) -> RemoteProtocolError | None:
        """The error that would have killed a real guest; sticky."""
        return self._failure

    @property
    def full(self) -> bool:
        """Enough is buffered: stop reading the socket until a command is answered (backpressure)."""
        return len(self._held) >= HELD_BYTES

    def data_to_send(self) -> bytes:
        """Take what is queued; empty when nothing is."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the host, split at any point; then call `next_command`."""
        self._held += data

    def next_command(self) -> Command | None:
        """The next command, once the previous one is answered; None: more bytes are needed, or the channel has failed."""
        while self._busy is None and self._failure is None and self._held:
            wanted = self._wanted()
            if wanted < 0:
                break
            taken = self._held[:wanted]
            del self._held[:wanted]
            self._frame += taken
            self._outgoing.append(encode_control(Code.NEXT, len(taken).to_bytes(4)))
            if len(self._frame) >= CONTROL_HEADER_BYTES and self._wanted() == 0:
                return self._complete()
            if self._fragile and len(self._frame) == CONTROL_HEADER_BYTES and not self._held:
                self._failure = RemoteProtocolError("a header was readable alone")
        return None

    def answer(self, command: Command, payload: bytes = b"", *, accepted: bool = True) -> None:
        """Queue the reply. Raises: LocalProtocolError if the command is not the current one."""
        if command.number == self._deferred:
            self._deferred = None
        elif command.number == self._busy:
            self._busy = None
        else:
            raise LocalProtocolError(f"command {command.number} is answered already, or another is due")
        self._outgoing.append(encode_control(Code.ACK if accepted else Code.ERROR, payload))

    def defer(self, command: Command) -> None:
        """Read on before this command is answered: DESTROYPOD's reply comes when the last container has ended."""
        if command.code != Code.DESTROYPOD or command.number != self._busy:
            raise LocalProtocolError(f"{command_name(command.code)} can't be deferred")
        self._busy, self._deferred = None, command.number

    def tell_finished(self, container: str, process: str, status: int) -> None:
        """Queue the event of a process's end. Its ids came in through `next_command` and are valid."""
        text = f'{{"container":"{container}","process":"{process}","event":"finished","status":{status}}}'
        self._outgoing.append(encode_control(Code.PROCESSASYNCEVENT, text.encode()))

    def _wanted(self) -> int:
        """Bytes missing from the header, then from the body; -1 for a length that would kill a real guest."""
        if len(self._frame) < CONTROL_HEADER_BYTES:
            return CONTROL_HEADER_BYTES - len(self._frame)
        length = int.from_bytes(self._frame[4:8])
        if not CONTROL_HEADER_BYTES <= length <= 4 * 1024 * 1024:
            self._failure = RemoteProtocolError(f"a control frame of {length} bytes")
            return -1
        return length - len(self._frame)

    def _complete(self) -> Command:
        self._numbers += 1
        self._busy = self._numbers
        command = Command(self._numbers, int.from_bytes(self._frame[:4]), bytes(self._frame[CONTROL_HEADER_BYTES:]))
        self._frame.clear()
        return command
