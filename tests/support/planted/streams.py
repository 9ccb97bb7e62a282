"""Defects of standard streams and terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio

from actors.errors import AgentError, InvalidTransition
from actors.guest.services.kata_processes import ProcessCalls
from actors.schemas.agent import Empty, ReadStreamResponse, WriteStreamResponse
from tests.support.planted.defect import Defect, Kit

if TYPE_CHECKING:
    from actors.guest.process_io import ProcessIo
    from actors.schemas import agent as api

__all__ = ["DEFECTS"]

PIPE_BYTES = 64 * 1024
KEPT_INPUT_BYTES = 512
KEPT_READS = 100


def _process(service: ProcessCalls, request: api.CloseStdinRequest | api.ReadStreamRequest) -> ProcessIo:
    return service._executor.process(request.container_id, request.exec_id)  # a part of it, put outside


class WaitClosesOutput(ProcessCalls):
    """The streams are closed with the first answer to a wait; what was not read is lost."""

    async def _wait(self, request: api.WaitProcessRequest) -> msgspec.Struct:
        told = await super()._wait(request)
        await self._executor.process(request.container_id, request.exec_id).aclose()
        return told


class CloseEndsTerminal(ProcessCalls):
    """Closing the input of a terminal closes its master, and hangs up the session."""

    async def _close_stdin(self, request: api.CloseStdinRequest) -> msgspec.Struct:
        process = _process(self, request)
        if process.engine.stderr is None:
            await process.aclose()
        return await super()._close_stdin(request)


class SecondCloseFails(ProcessCalls):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._closed: dict[tuple[str, str], None] = {}

    async def _close_stdin(self, request: api.CloseStdinRequest) -> msgspec.Struct:
        key = request.container_id, request.exec_id
        if key in self._closed:
            raise AgentError("file already closed", status="internal")
        self._closed[key] = None
        return await super()._close_stdin(request)


class CloseDoesNothing(ProcessCalls):
    async def _close_stdin(self, request: api.CloseStdinRequest) -> msgspec.Struct:
        _process(self, request)
        return Empty()


class CloseWaitsForWriter(ProcessCalls):
    """The writer holds what the closer needs, for as long as nobody reads."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._turn = trio.Lock()

    async def _write(self, request: api.WriteStreamRequest) -> msgspec.Struct:
        async with self._turn:
            return await super()._write(request)

    async def _close_stdin(self, request: api.CloseStdinRequest) -> msgspec.Struct:
        async with self._turn:
            return await super()._close_stdin(request)


class CloseOvertakesWrite(ProcessCalls):
    """A write is answered before its bytes are in; the end of file comes before the last of them."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._held: dict[tuple[str, str], bytes] = {}

    async def _write(self, request: api.WriteStreamRequest) -> msgspec.Struct:
        key = request.container_id, request.exec_id
        held, self._held[key] = self._held.get(key, b""), request.data
        await super()._write(msgspec.structs.replace(request, data=held))
        return WriteStreamResponse(len=len(request.data))


class WriteClaimsAll(ProcessCalls):
    """Whatever became of it, all was written."""

    async def _write(self, request: api.WriteStreamRequest) -> msgspec.Struct:
        await super()._write(request)
        return WriteStreamResponse(len=len(request.data))


class WriteKeepsLittle(ProcessCalls):
    """Of a large write the process gets the first 512 bytes."""

    async def _write(self, request: api.WriteStreamRequest) -> msgspec.Struct:
        await super()._write(msgspec.structs.replace(request, data=request.data[:KEPT_INPUT_BYTES]))
        return WriteStreamResponse(len=len(request.data))


class EmptyWriteCloses(ProcessCalls):
    async def _write(self, request: api.WriteStreamRequest) -> msgspec.Struct:
        if not request.data:
            await self._executor.process(request.container_id, request.exec_id).close_stdin()
        return await super()._write(request)


class ErrorsReadTheTerminal(ProcessCalls):
    """Both readers of a terminal read its master, and share what comes."""

    async def _read_stderr(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        if _process(self, request).engine.stderr is None:
            return await self._read_stdout(request)
        return await super()._read_stderr(request)


class TerminalIsRepeated(ProcessCalls):
    """What a terminal prints comes on stdout, and once more on stderr."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._copies: dict[tuple[str, str], tuple[trio.MemorySendChannel[bytes], trio.MemoryReceiveChannel[bytes]]] = {}

    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        reply = await super()._read_stdout(request)
        if _process(self, request).engine.stderr is None and isinstance(reply, ReadStreamResponse):
            self._copy(request)[0].send_nowait(reply.data)
        return reply

    async def _read_stderr(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        if _process(self, request).engine.stderr is None:
            return ReadStreamResponse(data=await self._copy(request)[1].receive())
        return await super()._read_stderr(request)

    def _copy(
        self, request: api.ReadStreamRequest
    ) -> tuple[trio.MemorySendChannel[bytes], trio.MemoryReceiveChannel[bytes]]:
        key = request.container_id, request.exec_id
        if key not in self._copies:
            self._copies[key] = trio.open_memory_channel[bytes](KEPT_READS)
        return self._copies[key]


class StreamsSwapped(ProcessCalls):
    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        return await super()._read_stderr(request)

    async def _read_stderr(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        return await super()._read_stdout(request)


class LostChunk(ProcessCalls):
    """A read that was given up is not: it takes the next bytes with it."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._given_up: dict[tuple[str, str], None] = {}

    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        key = request.container_id, request.exec_id
        if self._given_up.pop(key, self) is None:
            await super()._read_stdout(request)
        answered = False
        try:
            reply = await super()._read_stdout(request)
            answered = True
        finally:
            if not answered:
                self._given_up[key] = None
        return reply


class LengthIgnored(ProcessCalls):
    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        return await super()._read_stdout(msgspec.structs.replace(request, len=2**32 - 1))


class EndIsFailure(ProcessCalls):
    """The end of an output is a failed call."""

    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        reply = await super()._read_stdout(request)
        if isinstance(reply, ReadStreamResponse) and not reply.data:
            raise AgentError("EOF", status="unknown")
        return reply


class NothingYetIsTheEnd(ProcessCalls):
    """A read does not wait: what has nothing to say for a moment is at its end."""

    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        with trio.move_on_after(0.01):
            return await super()._read_stdout(request)
        return ReadStreamResponse()


class LongOutputIsCut(ProcessCalls):
    """What is more than a pipe holds is lost."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._passed: dict[tuple[str, str], int] = {}

    async def _read_stdout(self, request: api.ReadStreamRequest) -> msgspec.Struct:
        key = request.container_id, request.exec_id
        while True:
            reply = await super()._read_stdout(request)
            assert isinstance(reply, ReadStreamResponse)
            room = PIPE_BYTES - self._passed.get(key, 0)
            self._passed[key] = self._passed.get(key, 0) + len(reply.data)
            if room > 0 or not reply.data:
                return ReadStreamResponse(data=reply.data[: max(room, 0)])


class ResizeOfNothingAccepted(ProcessCalls):
    async def _resize(self, request: api.TtyWinResizeRequest) -> msgspec.Struct:
        try:
            return await super()._resize(request)
        except InvalidTransition:
            return Empty()


class ResizeOfEndedForgets(ProcessCalls):
    """A failure of the resize takes the whole container down."""

    async def _resize(self, request: api.TtyWinResizeRequest) -> msgspec.Struct:
        if self._executor.process(request.container_id, request.exec_id).ended.is_set():
            await self._executor.remove(request.container_id)
            return Empty()
        return await super()._resize(request)


class RowsAreColumns(ProcessCalls):
    async def _resize(self, request: api.TtyWinResizeRequest) -> msgspec.Struct:
        return await super()._resize(msgspec.structs.replace(request, row=request.column, column=request.row))


class ResizeDoesNothing(ProcessCalls):
    async def _resize(self, request: api.TtyWinResizeRequest) -> msgspec.Struct:
        self._executor.process(request.container_id, request.exec_id)
        return Empty()


_KATA_AGENT = "kata-agent (Rust), src/rpc.rs"

DEFECTS = (
    Defect(
        "output is lost when wait comes first",
        "kata-containers #1713, #9186",
        Kit(processes=WaitClosesOutput),
        ("wait.keeps-output",),
    ),
    Defect(
        "closing a terminal's input hangs up",
        "rustjail process.rs close_stdin",
        Kit(processes=CloseEndsTerminal),
        ("tty.close-stdin-spares-session",),
    ),
    Defect(
        "a second close of the input fails", "kata-agent 1.x", Kit(processes=SecondCloseFails), ("stdin.close-twice",)
    ),
    Defect(
        "closing the input does nothing",
        "virtcontainers' hyperstart agent",
        Kit(processes=CloseDoesNothing),
        ("stdin.close-ends-input",),
    ),
    Defect(
        "closing the input waits for a writer",
        "runtime #439, kata-containers #2884",
        Kit(processes=CloseWaitsForWriter),
        ("stdin.close-beside-write",),
    ),
    Defect(
        "the end of the input overtakes it",
        "clearcontainers #932",
        Kit(processes=CloseOvertakesWrite),
        ("stdin.close-ends-input",),
    ),
    Defect(
        "a write claims all",
        f"{_KATA_AGENT} do_write_stream",
        Kit(processes=WriteClaimsAll),
        ("stdin.write-after-close",),
    ),
    Defect(
        "large input is cut",
        "hyperstart: 512 bytes are kept",
        Kit(processes=WriteKeepsLittle),
        ("stdin.large",),
    ),
    Defect(
        "an empty write closes the input",
        "kata-containers #9532",
        Kit(processes=EmptyWriteCloses),
        ("stdin.empty-write",),
    ),
    Defect(
        "two readers share a terminal",
        f"{_KATA_AGENT} do_read_stream",
        Kit(processes=ErrorsReadTheTerminal),
        ("tty.stderr-on-stdout",),
    ),
    Defect(
        "a terminal's output comes on stderr too",
        "an agent that copies one master to both streams",
        Kit(processes=TerminalIsRepeated),
        ("tty.stderr-on-stdout",),
    ),
    Defect(
        "output and errors are swapped",
        "an agent that mixes its pipes",
        Kit(processes=StreamsSwapped),
        ("exec.output",),
    ),
    Defect(
        "a read that is given up loses a chunk",
        f"{_KATA_AGENT} do_read_stream",
        Kit(processes=LostChunk),
        ("race.reader-gone", "ttrpc.deadline-of-read"),
    ),
    Defect(
        "a read returns more than it may",
        "kata-containers read_stream",
        Kit(processes=LengthIgnored),
        ("stdout.at-most-asked",),
    ),
    Defect(
        "the end of output is a failure", "kata-agent before 700bddeecc", Kit(processes=EndIsFailure), ("exec.output",)
    ),
    Defect(
        "silence is the end of output",
        "virtcontainers' noop agent",
        Kit(processes=NothingYetIsTheEnd),
        ("stdout.waits-for-data",),
    ),
    Defect("long output is cut", "kata-containers #6714", Kit(processes=LongOutputIsCut), ("stdout.large",)),
    Defect(
        "winsize without a terminal is accepted",
        "virtcontainers' hyperstart agent",
        Kit(processes=ResizeOfNothingAccepted),
        ("resize.without-terminal-refused",),
    ),
    Defect(
        "winsize of what has ended takes its container down",
        "a handler whose failure is a container's",
        Kit(processes=ResizeOfEndedForgets),
        ("resize.after-exit",),
    ),
    Defect(
        "rows are columns",
        "virtcontainers' winsizeProcess(height, width)",
        Kit(processes=RowsAreColumns),
        ("resize.seen",),
    ),
    Defect(
        "winsize does nothing",
        "virtcontainers' hyperstart agent",
        Kit(processes=ResizeDoesNothing),
        ("resize.seen", "resize.before-start"),
    ),
)
