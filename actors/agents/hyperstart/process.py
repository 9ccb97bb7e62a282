"""One process in a hyperstart guest, as what comes over both channels tells: its output, and how it ended.

For the link, which files bytes and events here, and for the agent, which reads and waits. A guest of this kind reports
death by a signal as status 0: what may be either is `unknown`. Not for sending anything.
"""

from __future__ import annotations

import signal

import trio

from actors.errors import GuestDied, KatrioError, OutcomeUnknown
from actors.wire.spec import ExitStatus

__all__ = ["RunningProcess"]

# these end nobody who has no handler for them
_HARMLESS = frozenset({signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH})


class _Buffer:
    """Output that was not read yet; full, it holds the channel back."""

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
    """`wire_id` is its name in the guest; `stderr` is 0 with a terminal. `bound`: of each stream's unread bytes."""

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
        # a signal of ours may be ending it, whatever it has written since
        self.signalled = False

    @property
    def finished(self) -> bool:
        """Whether the guest has told its end, or can't any more."""
        return self._status is not None or self._failure is not None

    # what the link tells

    def told_output(self, sequence: int, data: bytes) -> None:
        """It wrote; so a signal from before did not end it at once."""
        self._signal = 0
        self._outputs[sequence].put(data)

    async def room(self, sequence: int) -> None:
        """Wait until more of its output may come."""
        await self._outputs[sequence].room()

    def told_output_end(self) -> None:
        """Neither output brings more."""
        self._output_ended = True
        self._end_outputs()
        self._settle()

    def told_finished(self, status: int) -> None:
        """The guest has reaped it."""
        self._status = status
        self._finished.set()
        self._settle()

    def told_signal(self, signum: int) -> None:
        """A signal of ours is on its way to it."""
        if signum not in _HARMLESS and not self.finished:
            self._signal = signum
            self.signalled = True

    def lose(self, failure: KatrioError) -> None:
        """Its end can't be known any more; what was read stays readable."""
        if not self._ended.is_set():
            self._failure = failure
            self._finished.set()
            self._ended.set()
        self._end_outputs()

    def _end_outputs(self) -> None:
        for output in self._outputs.values():
            output.end()

    def _settle(self) -> None:
        # the channels are two sockets: either may be first, and only both together are the end
        if self._status is not None and self._output_ended:
            self._ended.set()

    # what the agent asks

    async def read(self, sequence: int, limit: int) -> bytes:
        """1 to `limit` bytes, waiting for them; empty is the end. Sequence 0 is always at its end."""
        if not sequence:
            await trio.lowlevel.checkpoint()
            return b""
        return await self._outputs[sequence].take(limit)

    async def wait_finished(self) -> None:
        """Wait until the guest has told its end, or can't any more; output may still come."""
        await self._finished.wait()

    async def wait_ended(self) -> None:
        """Wait until its end is known, or known to be unknowable."""
        await self._ended.wait()

    async def wait(self) -> ExitStatus:
        """How it ended.

        Raises:
            OutcomeUnknown: status 0 after a signal of ours (`signal` in the details) and no output since: exit code 0, or
                killed by it.
            GuestDied: nobody can tell any more.
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
