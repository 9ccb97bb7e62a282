"""One VM's link to a hyperstart guest: the control and the stream channel, one command in flight, two readers.

The sandbox's agent owns it, and its containers' lease it. Replies carry no id, so nothing can be asked again: a channel
that ends, breaks its protocol or lets a command wait too long is the end of the link, and all that wait are told so.
Not for what a command says (`agent`), nor for what a process's events mean (`process`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.agents.hyperstart.process import RunningProcess
from actors.errors import (
    AgentProtocolError,
    AgentUnreachable,
    GuestDied,
    InvalidArgument,
    KatrioError,
    OutcomeUnknown,
    ResourceExhausted,
)
from actors.nurseries import open_collapsing_nursery
from transports.errors import (
    Exhausted,
    LocalProtocolError,
    MessageTooLarge,
    RemoteProtocolError,
    TransportError,
    WrongPeer,
)
from transports.hyperstart.codec import Code, command_name
from transports.hyperstart.control import Answered, HostControl, Ready
from transports.hyperstart.messages import decode_version
from transports.hyperstart.streams import HostStreams, Output
from transports.portions import PortionReader
from transports.stream import dial_with_backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.limits import Limits
    from transports.base import Dialer

__all__ = ["HyperstartLink"]

# the container's first process in the guest; others are counted, as an id must be one of all in the VM
INIT = "init"

# what it may be: the guests of ours say READY to each host
_SILENT = "it said nothing in time; a real hyperstart says it to the first host in its life alone, so that each sandbox needs a fresh one"


class HyperstartLink:
    """The owner runs `run` in its nursery; the other methods may be used by any number of tasks."""

    def __init__(self, dial_control: Dialer, dial_streams: Dialer, limits: Limits) -> None:
        self._dial_control = dial_control
        self._dial_streams = dial_streams
        self._limits = limits
        self._control = HostControl()
        self._streams = HostStreams()
        self._control_stream: trio.abc.Stream | None = None
        self._streams_stream: trio.abc.Stream | None = None
        # one command in flight, and one frame of the stream channel being written
        self._turn = trio.Lock()
        self._writing = trio.Lock()
        self._ready = trio.Event()
        self._answer: Answered | None = None
        self._answered = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._failure: str | None = None
        self._ended = trio.Event()
        self._by_sequence: dict[int, RunningProcess] = {}
        self._by_name: dict[tuple[str, str], RunningProcess] = {}
        self._execs = 0
        self.version = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep both channels until cancelled; a link that ends is not dialled again: its guest can't be asked twice.

        Raises (before it has started): AgentUnreachable; AgentProtocolError when what answers is no hyperstart.
        """
        try:
            async with open_collapsing_nursery() as nursery:
                self._nursery = nursery
                await self._use(task_status)
        except Exhausted as error:
            raise ResourceExhausted(f"the guest can't be reached: {error}") from error
        except TransportError as error:
            raise AgentUnreachable(f"the guest can't be reached: {error}") from error
        except BaseExceptionGroup as group:
            # both channels name at once who is there instead; one says it
            named, others = group.split(WrongPeer)
            if named is None or others is not None:
                raise
            raise AgentUnreachable(f"the guest can't be reached: {named.exceptions[0]}") from None
        finally:
            self._fail("it was closed")

    async def _use(self, task_status: trio.TaskStatus[None]) -> None:
        assert self._nursery is not None
        seconds = self._limits.guest_start_seconds
        async with await dial_with_backoff(self._dial_control, seconds=seconds) as control:
            self._control_stream = control
            # at once: what is no hyperstart is told before a second channel is waited for
            self._nursery.start_soon(self._read_control, control)
            async with await dial_with_backoff(self._dial_streams, seconds=seconds) as streams:
                self._streams_stream = streams
                self._nursery.start_soon(self._read_streams, streams)
                with trio.move_on_after(seconds):
                    await self._ready.wait()
                if not self._ready.is_set() or self._failure is not None:
                    raise AgentUnreachable(f"no READY from the guest: {self._failure or _SILENT}")
                answer = await self.command(Code.GETVERSION)
                try:
                    self.version = decode_version(answer.payload)
                except RemoteProtocolError as error:
                    raise AgentProtocolError(f"GETVERSION: {error}") from None
                task_status.started()
                await trio.sleep_forever()

    async def wait_ended(self) -> str:
        """Wait until it has ended, after it had begun; why."""
        await self._ended.wait()
        return self._failure or "it was closed"

    async def command(self, code: int, payload: bytes = b"") -> Answered:
        """One command and its answer. A caller that gives up leaves what was sent to be answered all the same.

        Raises:
            GuestDied: the link had ended before; nothing was sent.
            OutcomeUnknown: it ended meanwhile, or the answer took too long, which ends it.
            InvalidArgument: more than a frame takes.
        """
        answers: list[Answered] = []
        sent = await self._do(partial(self._ask, code, payload, answers), self._control_stream, self._turn)
        if answers:
            return answers[0]
        if not sent:
            raise self._gone()
        raise OutcomeUnknown(f"{command_name(code)}: the link ended while it ran: {self._failure}")

    async def _ask(self, code: int, payload: bytes, answers: list[Answered], stream: trio.abc.Stream) -> None:
        name = command_name(code)
        try:
            self._control.send(code, payload)
        except MessageTooLarge as error:
            raise InvalidArgument(f"{name}: {error}", field="size") from None
        except LocalProtocolError as error:
            raise GuestDied(f"{name}: {error}") from None
        self._answer, self._answered = None, trio.Event()
        with trio.move_on_after(self._limits.mutate_seconds) as bound:
            await self._send(stream, self._control.data_to_send())
            await self._answered.wait()
        if bound.cancelled_caught:
            self._control.give_up(f"{name} was not answered in {self._limits.mutate_seconds:.0f} s")
            self._fail(f"{name} was not answered in time")
        answer: Answered | None = self._answer
        if answer is not None:
            answers.append(answer)

    async def _do(
        self, work: Callable[[trio.abc.Stream], Awaitable[None]], stream: trio.abc.Stream | None, turn: trio.Lock
    ) -> bool:
        """Do `work` in its turn, in a task of the link's: a caller that gives up need not wait for a guest that hangs.

        Whether it was begun; what the caller no longer wants is not. Raises: what `work` raises; GuestDied.
        """
        alive, nursery = self._alive(stream), self._nursery
        assert nursery is not None, "a link that lives is run"
        wanted, begun, ended = True, False, trio.Event()
        failures: list[KatrioError] = []

        async def in_turn() -> None:
            nonlocal begun
            try:
                async with turn:
                    if wanted:
                        self._alive(alive)
                        begun = True
                        await work(alive)
            except KatrioError as error:
                failures.append(error)
            finally:
                ended.set()

        nursery.start_soon(in_turn)
        try:
            await ended.wait()
        finally:
            wanted = False
        if failures:
            raise failures[0]
        return begun

    # processes

    def open_process(self, container: str, name: str, *, terminal: bool) -> RunningProcess:
        """Sequences and an id for one more; an empty `name` is the container's init."""
        sequences = self._streams.open(terminal=terminal)
        self._execs += bool(name)
        process = RunningProcess(
            container=container,
            wire_id=f"p{self._execs}" if name else INIT,
            terminal=terminal,
            sequences=sequences,
            bound=self._limits.unread_output_bytes,
        )
        for sequence in filter(None, sequences):
            self._by_sequence[sequence] = process
        self._by_name[container, process.wire_id] = process
        if self._failure is not None:
            process.lose(self._gone())
        return process

    def forget(self, process: RunningProcess) -> None:
        """It never ran, or nobody asks for it any more: what it still writes is dropped."""
        if not process.finished:
            self._control.forget_process()
        process.lose(GuestDied(f"process {process.wire_id!r} of container {process.container!r} was forgotten"))
        self._streams.forget(process.stdio)
        for sequence in (process.stdio, process.stderr):
            self._by_sequence.pop(sequence, None)
        if self._by_name.get((process.container, process.wire_id)) is process:
            del self._by_name[process.container, process.wire_id]

    async def write(self, process: RunningProcess, data: bytes) -> None:
        """Input for it in the slices that a guest takes; nothing tells whether it was read. Empty is its end."""
        await self._do(partial(self._put, process, data), self._streams_stream, self._writing)

    async def _put(self, process: RunningProcess, data: bytes, stream: trio.abc.Stream) -> None:
        try:
            if data:
                self._streams.send_input(process.stdio, data)
            else:
                self._streams.close_input(process.stdio)
        except LocalProtocolError:
            # its output has ended meanwhile, and so has it
            return
        # a frame that was begun is ended, or the guest would take the next one's bytes for its rest
        with trio.move_on_after(self._limits.mutate_seconds) as bound:
            for frame in self._streams.data_to_send():
                await self._send(stream, frame)
        if bound.cancelled_caught:
            self._fail("the guest takes no input any more")

    # internals

    def _gone(self) -> GuestDied:
        return GuestDied(f"the link to the guest has ended: {self._failure}")

    def _alive(self, stream: trio.abc.Stream | None) -> trio.abc.Stream:
        if self._failure is not None or stream is None:
            raise self._gone()
        return stream

    async def _send(self, stream: trio.abc.Stream, data: bytes) -> None:
        try:
            await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._fail(str(error))

    def _fail(self, why: str) -> None:
        if self._failure is not None:
            return
        self._failure = why
        self._ended.set()
        self._ready.set()
        self._answered.set()
        for process in list(self._by_name.values()):
            process.lose(self._gone())

    async def _read_control(self, stream: trio.abc.Stream) -> None:
        reader = PortionReader(stream, lambda: self._control.lacking)
        while self._failure is None:
            data = await _receive(reader)
            for event in self._control.receive_data(data) if data else self._control.receive_eof():
                if isinstance(event, Ready):
                    self._ready.set()
                elif isinstance(event, Answered):
                    self._answer = event
                    self._answered.set()
                elif not self._finished(event.container, event.process, event.status):
                    self._control.overlook(event)
            if self._control.failure is not None:
                self._fail(str(self._control.failure))

    def _finished(self, container: str, wire_id: str, status: int) -> bool:
        """Whether that is news of a process of ours."""
        process = self._by_name.get((container, wire_id))
        if process is None or process.finished:
            return False
        process.told_finished(status)
        if wire_id == INIT:
            # the guest takes the others along, and says 0 of them as well
            for other in self._by_name.values():
                if other.container == container:
                    other.told_signal(9)
        return True

    async def _read_streams(self, stream: trio.abc.Stream) -> None:
        reader = PortionReader(stream, lambda: self._streams.lacking)
        while self._failure is None:
            data = await _receive(reader)
            if not data:
                self._fail("the guest closed its stream channel")
            for event in self._streams.receive_data(data):
                process = self._by_sequence.get(event.sequence)
                if process is None:
                    continue
                if isinstance(event, Output):
                    process.told_output(event.sequence, event.data)
                    # the channel is everybody's: one whose reader is slow holds the others back
                    await process.room(event.sequence)
                else:
                    process.told_output_end()
            if self._streams.failure is not None:
                self._fail(str(self._streams.failure))


async def _receive(reader: PortionReader) -> bytes:
    """Empty is the end, however it came. Raises: WrongPeer."""
    try:
        return await reader.receive()
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        if isinstance(error.__cause__, WrongPeer):
            raise error.__cause__ from None
        return b""
