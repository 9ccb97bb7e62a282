"""One process in a hyperstart guest, as seen over both channels: its output, and its end.

The link files bytes and events here, the agent reads and waits. A guest reports death by a signal as status 0: an
ambiguous one is `unknown`.
"""

from __future__ import annotations

import signal

import trio

from actors.errors import GuestDied, KatrioError, OutcomeUnknown
from actors.wire.spec import ExitStatus

__all__ = ["RunningProcess"]

# signals whose default action does not terminate
_HARMLESS = frozenset({signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH})


class _Buffer:
    """Unread output; backpressure on the channel when full."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._held = bytearray()
        self._ended = False
        self._changed = trio.lowlevel.ParkingLot()

    def put(self, data: bytes) -> None:
        if not self._ended:
            self._held += data
            self._changed.unpark_all()

    async def room(self) -> None:
        while len(self._held) >= self._bound and not self._ended:
            await self._changed.park()

    def end(self) -> None:
        self._ended = True
        self._changed.unpark_all()

    async def take(self, limit: int) -> bytes:
        while not self._held:
            if self._ended:
                await trio.lowlevel.checkpoint()
                return b""
            await self._changed.park()
        data = bytes(self._held[:limit])
        del self._held[:limit]
        self._changed.unpark_all()
        return data


class RunningProcess:
    """`wire_id` is its id in the guest; `stderr` is 0 with a terminal. `bound`: unread bytes per stream."""

    def __init__(self, *, container: str, wire_id: str, terminal: bool, sequences: tuple[int, int], bound: int) -> None:
        self.container = container
        self.wire_id = wire_id
        self.terminal = terminal
        self.stdio, self.stderr = sequences
        self.input_closed = False
        self._outputs = {sequence: _Buffer(bound) for sequence in sequences if sequence}
        self._signal = 0
        self._status: int | None = None
        self._failure: KatrioError | None = None
        self._output_ended = False
        self._ended = trio.Event()
        self._finished = trio.Event()
        # a signal of ours may have killed it, as it has written nothing since
        self.signalled = False

    @property
    def finished(self) -> bool:
        """Whether the guest has reported its end, or can't any more."""
        return self._status is not None or self._failure is not None

    # called by the link

    def told_output(self, sequence: int, data: bytes) -> None:
        """It wrote output, so an earlier signal did not kill it at once."""
        self._signal = 0
        self._outputs[sequence].put(data)

    async def room(self, sequence: int) -> None:
        """Wait until there is room for more output."""
        await self._outputs[sequence].room()

    def told_output_end(self) -> None:
        """Both outputs have ended."""
        self._output_ended = True
        self._end_outputs()
        self._settle()

    def told_finished(self, status: int) -> None:
        """The guest has reaped it."""
        self._status = status
        self._finished.set()
        self._settle()

    def told_signal(self, signum: int) -> None:
        """A signal of ours is being sent to it."""
        if signum not in _HARMLESS and not self.finished:
            self._signal = signum
            self.signalled = True

    def lose(self, failure: KatrioError) -> None:
        """Its exit status can't be known any more; received output stays readable."""
        if not self._ended.is_set():
            self._failure = failure
            self._finished.set()
            self._ended.set()
        self._end_outputs()

    def _end_outputs(self) -> None:
        for output in self._outputs.values():
            output.end()

    def _settle(self) -> None:
        # two sockets, in any order: the process has ended when both have said so
        if self._status is not None and self._output_ended:
            self._ended.set()

    # called by the agent

    async def read(self, sequence: int, limit: int) -> bytes:
        """Wait for 1 to `limit` bytes; empty at end of file. Sequence 0 is always at end of file."""
        if not sequence:
            await trio.lowlevel.checkpoint()
            return b""
        return await self._outputs[sequence].take(limit)

    async def wait_finished(self) -> None:
        """Wait until the guest has reported its end, or can't any more; output may still come."""
        await self._finished.wait()

    async def wait_ended(self) -> None:
        """Wait until its exit status is known, or can't be known any more."""
        await self._ended.wait()

    async def wait(self) -> ExitStatus:
        """Its exit status.

        Raises:
            OutcomeUnknown: status 0 after a signal of ours (`signal` in the details) and no output since: either exit code 0 or
            death by it.
            GuestDied: it can't be known any more.
        """
        await self._ended.wait()
        if self._failure is not None:
            raise type(self._failure)(self._failure.message, **self._failure.details)
        if self._status is None:
            raise GuestDied(f"process {self.wire_id!r} of container {self.container!r}: its guest is gone")
        if self._status == 0 and self._signal:
            raise OutcomeUnknown(
                f"process {self.wire_id!r} of container {self.container!r} was told to have ended with 0 after signal"
                f" {self._signal}: hyperstart says the same of one that it killed",
                signal=self._signal,
            )
        return ExitStatus(self._status)
