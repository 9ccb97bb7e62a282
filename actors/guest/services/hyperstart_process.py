"""One process of a hyperstart pod, in the guest: its ids, its queued input, and the status reported at its end.

Its output is pumped by the service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from transports.hyperstart.streams import INPUT_SLICE

if TYPE_CHECKING:
    from actors.guest.process_io import ProcessIo
    from actors.limits import Limits
    from actors.wire.spec import ExitStatus
    from transports.hyperstart.messages import Process

__all__ = ["LiveProcess"]


class LiveProcess:
    """`id` is the host's id for it, `name` the executor's: for an init, the container's id."""

    def __init__(self, container: str, body: Process, *, name: str, limits: Limits) -> None:
        self.container = container
        self.id = body.id
        self.name = name
        self.stdio = body.stdio
        self.stderr = 0 if body.terminal else body.stderr
        self._signals: list[int] = []
        # a real guest buffers 512 bytes beyond the pipe; this one as much as it keeps of output
        slices = limits.unread_output_bytes // INPUT_SLICE
        self._put, self._input = trio.open_memory_channel[bytes](slices)

    @property
    def key(self) -> tuple[str, str]:
        """The key by which the host names it."""
        return self.container, self.id

    def put_input(self, data: bytes) -> None:
        """Queue input from the stream channel; empty is end of file. Excess is dropped, as the protocol has no flow control."""
        try:
            self._put.send_nowait(data)
        except trio.WouldBlock:
            return

    async def feed(self, io: ProcessIo) -> None:
        """Write queued input, in order, until cancelled."""
        async for data in self._input:
            if data:
                await io.write(data)
            else:
                await io.close_stdin()

    def told_signal(self, signum: int) -> None:
        """Record that we sent it a signal."""
        if signum not in self._signals:
            self._signals.append(signum)

    def was_sent(self, signum: int) -> bool:
        """Whether we sent it that signal."""
        return signum in self._signals

    def told_status(self, status: ExitStatus) -> int:
        """The status reported to the host: 0 for death by a signal, as from a real guest.

        The engine doesn't distinguish exit code 128 + N from death by signal N; only a signal that we sent counts as a
        death.
        """
        return 0 if status.code - 128 in self._signals else status.code & 0xFF
