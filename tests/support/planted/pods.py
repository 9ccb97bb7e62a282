"""Defects of a hyperstart guest: its replies, its events, its streams, and what it takes signals for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.errors import AlreadyExists, KatrioError
from actors.guest.services.hyperstart import HyperstartService
from actors.node.protocols import GuestProtocol
from actors.wire.spec import ExitStatus
from tests.support.planted.defect import Defect, Kit
from tests.support.planted.wire import Meddler
from transports.hyperstart import messages
from transports.hyperstart.codec import Code, encode_control, encode_stream

if TYPE_CHECKING:
    import trio

    from actors.guest.services.hyperstart_process import LiveProcess

__all__ = ["DEFECTS", "ControlMeddler", "StreamMeddler"]

CONTROL_HEADER, STREAM_HEADER = 8, 12


class ControlMeddler(Meddler):
    """Changes whole frames of the control channel on their way to the host."""

    def sent(self, data: bytes) -> bytes:
        self.outgoing += data
        passed: list[tuple[int, bytes]] = []
        while len(self.outgoing) >= CONTROL_HEADER:
            end = int.from_bytes(self.outgoing[4:8])
            if len(self.outgoing) < end:
                break
            passed += self.frame(int.from_bytes(self.outgoing[:4]), bytes(self.outgoing[CONTROL_HEADER:end]))
            del self.outgoing[:end]
        return b"".join(encode_control(code, payload) for code, payload in passed)

    def frame(self, code: int, payload: bytes) -> list[tuple[int, bytes]]:
        """What is sent instead of one frame."""
        return [(code, payload)]


class StreamMeddler(Meddler):
    """Changes whole frames of the stream channel on their way to the host."""

    def sent(self, data: bytes) -> bytes:
        self.outgoing += data
        passed: list[tuple[int, bytes]] = []
        while len(self.outgoing) >= STREAM_HEADER:
            end = int.from_bytes(self.outgoing[8:12])
            if len(self.outgoing) < end:
                break
            passed += self.frame(int.from_bytes(self.outgoing[:8]), bytes(self.outgoing[STREAM_HEADER:end]))
            del self.outgoing[:end]
        return b"".join(encode_stream(sequence, payload) for sequence, payload in passed)

    def frame(self, sequence: int, payload: bytes) -> list[tuple[int, bytes]]:
        """What is sent instead of one frame."""
        return [(sequence, payload)]


class NoNext(ControlMeddler):
    """Bytes that were read are never told."""

    def frame(self, code: int, payload: bytes) -> list[tuple[int, bytes]]:
        return [] if code == Code.NEXT else [(code, payload)]


class NextOfTheBody(ControlMeddler):
    """Headers are not counted."""

    def frame(self, code: int, payload: bytes) -> list[tuple[int, bytes]]:
        if code == Code.NEXT and int.from_bytes(payload) == CONTROL_HEADER:
            return []
        return [(code, payload)]


class ErrorsAreAcks(ControlMeddler):
    """Whatever is asked is done, it says."""

    def frame(self, code: int, payload: bytes) -> list[tuple[int, bytes]]:
        return [(Code.ACK if code == Code.ERROR else code, payload)]


class NoEvents(ControlMeddler):
    """The end of a process is not told."""

    def frame(self, code: int, payload: bytes) -> list[tuple[int, bytes]]:
        return [] if code == Code.PROCESSASYNCEVENT else [(code, payload)]


class EventsTwice(ControlMeddler):
    def frame(self, code: int, payload: bytes) -> list[tuple[int, bytes]]:
        return [(code, payload)] * (2 if code == Code.PROCESSASYNCEVENT else 1)


class SilentKillErrors(ControlMeddler):
    """Why a kill failed is not said."""

    def frame(self, code: int, payload: bytes) -> list[tuple[int, bytes]]:
        return [(code, b"" if code == Code.ERROR else payload)]


class NoEndOfOutput(StreamMeddler):
    """The end of an output is not told."""

    def frame(self, sequence: int, payload: bytes) -> list[tuple[int, bytes]]:
        return [(sequence, payload)] if payload else []


class ErrorsOnOutput(HyperstartService):
    """Both outputs come on one sequence."""

    async def _pump(self, sequence: int, read: Any) -> None:
        stdio = next((each.stdio for each in self._live.values() if sequence in (each.stdio, each.stderr)), sequence)
        await super()._pump(stdio, read)


class EndOfErrorsToo(HyperstartService):
    """The error output gets an end of its own."""

    async def _tell_end(self, process: LiveProcess, status: ExitStatus) -> None:
        if process.stderr:
            self._streams.open(process.stderr, 0)
            self._streams.end(process.stderr)
        await super()._tell_end(process, status)


class SignalIsForInit(HyperstartService):
    """Which process a signal is for is not looked at."""

    async def _signal_process(self, payload: bytes) -> bytes:
        body = messages.decode_json(payload, messages.SignalProcess)
        await self._signal(self._inits[body.container], body.signal)
        return b""


class IdsUsedTwice(HyperstartService):
    """A process of a taken id takes its place."""

    def _reserve(self, container: str, body: messages.Process, *, name: str) -> LiveProcess:
        try:
            return super()._reserve(container, body, name=name)
        except AlreadyExists:
            raise _Taken("taken") from None

    async def _exec(self, payload: bytes) -> bytes:
        try:
            return await super()._exec(payload)
        except _Taken:
            return b""


class _Taken(KatrioError):
    pass


class StatusIsAlwaysZero(HyperstartService):
    async def _tell_end(self, process: LiveProcess, status: ExitStatus) -> None:
        await super()._tell_end(process, ExitStatus(0))


class WrongVersion(HyperstartService):
    """An API before the events of ends."""

    async def _version(self, _: bytes) -> bytes:
        return (4242).to_bytes(4)


class InputEndIgnored(HyperstartService):
    async def serve_streams(self, stream: trio.abc.Stream) -> None:
        await super().serve_streams(_NoInputEnd(stream))


class _NoInputEnd(Meddler):
    def received(self, data: bytes) -> bytes:
        self.incoming += data
        passed = b""
        while len(self.incoming) >= STREAM_HEADER:
            end = int.from_bytes(self.incoming[8:12])
            if len(self.incoming) < end:
                break
            if end > STREAM_HEADER:
                passed += bytes(self.incoming[:end])
            del self.incoming[:end]
        return passed


class InitEndsAlone(HyperstartService):
    """The ends of a container's other processes are told by nobody once its init has ended."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._quiet: dict[str, None] = {}

    async def _end_others(self, init: LiveProcess) -> None:
        self._quiet[init.container] = None
        await super()._end_others(init)

    async def _tell_end(self, process: LiveProcess, status: ExitStatus) -> None:
        if process.container in self._quiet and process.name != process.container:
            del self._live[process.key]
            self._changed.unpark_all()
        else:
            await super()._tell_end(process, status)


class WinsizeAlwaysAccepted(HyperstartService):
    async def _winsize(self, payload: bytes) -> bytes:
        try:
            return await super()._winsize(payload)
        except KatrioError:
            return b""


class UnknownSequenceIsSilence(StreamMeddler):
    """Input for nobody is not answered."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        super().__init__(inner)
        self._protocol: dict[int, None] = {}

    def frame(self, sequence: int, payload: bytes) -> list[tuple[int, bytes]]:
        if payload:
            self._protocol[sequence] = None
        return [(sequence, payload)] if payload or sequence in self._protocol else []


def _row(name: str, source: str, kit: Kit, *caught_by: str) -> Defect:
    return Defect(name, source, kit, caught_by, GuestProtocol.HYPERSTART)


DEFECTS = (
    _row("hyperstart: no NEXT", "runv waits for every one", Kit(control=NoNext), "hyperstart.next"),
    _row(
        "hyperstart: headers are not counted", "runv waits for the sum", Kit(control=NextOfTheBody), "hyperstart.next"
    ),
    _row(
        "hyperstart: everything is done",
        "virtcontainers: what is not sent succeeds",
        Kit(control=ErrorsAreAcks),
        "hyperstart.unknown-command",
    ),
    _row(
        "hyperstart: ends are not told",
        "pkg/hyperstart: the event's decoder fails",
        Kit(control=NoEvents),
        "hyperstart.exec-statuses",
    ),
    _row(
        "hyperstart: ends are told twice", "an agent that reaps twice", Kit(control=EventsTwice), "hyperstart.one-end"
    ),
    _row(
        "hyperstart: a failed kill says nothing",
        "hyperstart before KILLCONTAINER's texts",
        Kit(control=SilentKillErrors),
        "hyperstart.kill-refusals",
    ),
    _row(
        "hyperstart: output has no end", "hyperstart before 4243", Kit(streams=NoEndOfOutput), "hyperstart.exec-output"
    ),
    _row(
        "hyperstart: errors come as output",
        "a process without a stderr sequence",
        Kit(hyperstart=ErrorsOnOutput),
        "hyperstart.exec-output",
    ),
    _row(
        "hyperstart: errors have an end of their own",
        "a guest that closes each pipe",
        Kit(hyperstart=EndOfErrorsToo),
        "hyperstart.one-end",
    ),
    _row(
        "hyperstart: a signal is for the init",
        "hyperstart before SIGNALPROCESS",
        Kit(hyperstart=SignalIsForInit),
        "hyperstart.signal-process",
    ),
    _row(
        "hyperstart: a process id is taken twice",
        "an agent that overwrites",
        Kit(hyperstart=IdsUsedTwice),
        "hyperstart.exec-duplicate",
    ),
    _row(
        "hyperstart: every status is 0",
        "virtcontainers waitProcess",
        Kit(hyperstart=StatusIsAlwaysZero),
        "hyperstart.exec-statuses",
    ),
    _row("hyperstart: an old version", "hyperstart 4242", Kit(hyperstart=WrongVersion), "hyperstart.version"),
    _row(
        "hyperstart: the end of input is ignored",
        "a terminal's rule for a pipe",
        Kit(hyperstart=InputEndIgnored),
        "hyperstart.input",
    ),
    _row(
        "hyperstart: execs outlive the init silently",
        "kata-containers #5366",
        Kit(hyperstart=InitEndsAlone),
        "hyperstart.kill-init",
    ),
    _row(
        "hyperstart: any winsize is accepted",
        "virtcontainers winsizeProcess",
        Kit(hyperstart=WinsizeAlwaysAccepted),
        "hyperstart.winsize-refused",
    ),
    _row(
        "hyperstart: input for nobody is not answered",
        "a guest that drops it",
        Kit(streams=UnknownSequenceIsSilence),
        "hyperstart.input-for-nobody",
    ),
)
