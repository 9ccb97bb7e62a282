"""A VM's link to a hyperstart guest: the control and the stream channel, one command in flight, two readers.

Owned by the sandbox's agent, leased to its containers. Replies carry no id, so nothing can be retried: when a channel
ends, violates its protocol or times out on a command, the link ends, and everyone waiting is told so.
Commands are in `agent`, a process's events in `process`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

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

# a container's first process in the guest; others get a number, as ids are unique in the VM
INIT = "init"

# possible reasons: our guests send READY to each host
_SILENT = "it said nothing in time; a real hyperstart says it to the first host in its life alone, so that each sandbox needs a fresh one"


class _Channels(NamedTuple):
    """Both, once they are dialled, and where commands run."""

    control: trio.abc.Stream
    streams: trio.abc.Stream
    nursery: trio.Nursery


class HyperstartLink:
    """The owner runs `run` in its nursery; any number of tasks may call the other methods."""

    def __init__(self, dial_control: Dialer, dial_streams: Dialer, limits: Limits) -> None:
        self._dial_control = dial_control
        self._dial_streams = dial_streams
        self._limits = limits
        self._control = HostControl()
        self._streams = HostStreams()
        self._channels: _Channels | None = None
        # one command in flight, and one stream frame being written
        self._turn = trio.Lock()
        self._writing = trio.Lock()
        self._ready = trio.Event()
        self._answer: Answered | None = None
        self._answered = trio.Event()
        self._failure: str | None = None
        self._ended = trio.Event()
        self._by_sequence: dict[int, RunningProcess] = {}
        self._by_name: dict[tuple[str, str], RunningProcess] = {}
        self._execs = 0
        self.version = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Maintain both channels until cancelled; a link that ends is not redialled: its state can't be recovered.

        Raises (before it has started): AgentUnreachable; AgentProtocolError when the peer is no hyperstart.
        """
        try:
            async with open_collapsing_nursery() as nursery:
                await self._use(nursery, task_status)
        except Exhausted as error:
            raise ResourceExhausted(f"the guest can't be reached: {error}") from error
        except TransportError as error:
            raise AgentUnreachable(f"the guest can't be reached: {error}") from error
        except BaseExceptionGroup as group:
            # both channels report the same wrong peer; raise one
            named, others = group.split(WrongPeer)
            if named is None or others is not None:
                raise
            raise AgentUnreachable(f"the guest can't be reached: {named.exceptions[0]}") from None
        finally:
            self._fail("it was closed")

    async def _use(self, nursery: trio.Nursery, task_status: trio.TaskStatus[None]) -> None:
        seconds = self._limits.guest_start_seconds
        async with await dial_with_backoff(self._dial_control, seconds=seconds) as control:
            # at once: a wrong peer is detected before waiting for the second channel
            nursery.start_soon(self._read_control, control)
            async with await dial_with_backoff(self._dial_streams, seconds=seconds) as streams:
                self._channels = _Channels(control, streams, nursery)
                nursery.start_soon(self._read_streams, streams)
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
        """Wait until a started link has ended; returns the reason."""
        await self._ended.wait()
        return self._failure or "it was closed"

    async def command(self, code: int, payload: bytes = b"") -> Answered:
        """Send one command and return its answer. If the caller is cancelled, the answer is still received.

        Raises:
            GuestDied: the link had ended; nothing was sent.
            OutcomeUnknown: it ended meanwhile, or the answer timed out, which ends it.
            InvalidArgument: too large for a frame.
        """
        answers: list[Answered] = []
        sent = await self._do(partial(self._ask, code, payload, answers), self._turn)
        if answers:
            return answers[0]
        if not sent:
            raise self._gone()
        raise OutcomeUnknown(f"{command_name(code)}: the link ended while it ran: {self._failure}")

    async def _ask(self, code: int, payload: bytes, answers: list[Answered], channels: _Channels) -> None:
        name = command_name(code)
        try:
            self._control.send(code, payload)
        except MessageTooLarge as error:
            raise InvalidArgument(f"{name}: {error}", field="size") from None
        except LocalProtocolError as error:
            raise GuestDied(f"{name}: {error}") from None
        self._answer, self._answered = None, trio.Event()
        with trio.move_on_after(self._limits.mutate_seconds) as bound:
            await self._send(channels.control, self._control.data_to_send())
            await self._answered.wait()
        if bound.cancelled_caught:
            self._control.give_up(f"{name} was not answered in {self._limits.mutate_seconds:.0f} s")
            self._fail(f"{name} was not answered in time")
        answer: Answered | None = self._answer
        if answer is not None:
            answers.append(answer)

    async def _do(self, work: Callable[[_Channels], Awaitable[None]], turn: trio.Lock) -> bool:
        """Run `work` when it is its turn, in the link's own task: a cancelled caller need not wait for a hanging guest.

        Whether it was started; it is skipped if the caller was cancelled before. Raises: what `work` raises; GuestDied.
        """
        channels = self._alive()
        wanted, begun, ended = True, False, trio.Event()
        failures: list[KatrioError] = []

        async def in_turn() -> None:
            nonlocal begun
            try:
                async with turn:
                    if wanted:
                        self._alive()
                        begun = True
                        await work(channels)
            except KatrioError as error:
                failures.append(error)
            finally:
                ended.set()

        channels.nursery.start_soon(in_turn)
        try:
            await ended.wait()
        finally:
            wanted = False
        if failures:
            raise failures[0]
        return begun

    # processes

    def open_process(self, container: str, name: str, *, terminal: bool) -> RunningProcess:
        """Allocate sequences and an id for a process; an empty `name` is the container's init."""
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
        """It never ran, or nobody reads it any more: its output is dropped."""
        if not process.finished:
            self._control.forget_process()
        process.lose(GuestDied(f"process {process.wire_id!r} of container {process.container!r} was forgotten"))
        self._streams.forget(process.stdio)
        for sequence in (process.stdio, process.stderr):
            self._by_sequence.pop(sequence, None)
        if self._by_name.get((process.container, process.wire_id)) is process:
            del self._by_name[process.container, process.wire_id]

    async def write(self, process: RunningProcess, data: bytes) -> None:
        """Send input in slices of the guest's size; nothing confirms that it was read. Empty is end of file."""
        await self._do(partial(self._put, process, data), self._writing)

    async def _put(self, process: RunningProcess, data: bytes, channels: _Channels) -> None:
        try:
            if data:
                self._streams.send_input(process.stdio, data)
            else:
                self._streams.close_input(process.stdio)
        except LocalProtocolError:
            # its output has ended meanwhile, so the process has too
            return
        # complete a partly written frame, or the guest would take the next frame's bytes for its rest
        with trio.move_on_after(self._limits.mutate_seconds) as bound:
            for frame in self._streams.data_to_send():
                await self._send(channels.streams, frame)
        if bound.cancelled_caught:
            self._fail("the guest takes no input any more")

    # internals

    def _gone(self) -> GuestDied:
        return GuestDied(f"the link to the guest has ended: {self._failure}")

    def _alive(self) -> _Channels:
        if self._failure is not None or self._channels is None:
            raise self._gone()
        return self._channels

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
        """Whether this is news of a process of ours."""
        process = self._by_name.get((container, wire_id))
        if process is None or process.finished:
            return False
        process.told_finished(status)
        if wire_id == INIT:
            # the guest kills the others too, and reports them with status 0 as well
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
                    # the channel is shared: a slow reader of one process blocks the others
                    await process.room(event.sequence)
                else:
                    process.told_output_end()
            if self._streams.failure is not None:
                self._fail(str(self._streams.failure))


async def _receive(reader: PortionReader) -> bytes:
    """Empty at the end, for any reason. Raises: WrongPeer."""
    try:
        return await reader.receive()
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        if isinstance(error.__cause__, WrongPeer):
            raise error.__cause__ from None
        return b""
