"""The handle on a process: its input, its outputs, its end.

For a container's init and for what `exec` started alike.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from actors.errors import InvalidArgument, KatrioError
from actors.handles.base import UNSET, Deadline, Handle, Timeout, check_bytes
from actors.nurseries import open_collapsing_nursery
from actors.wire.spec import ExitStatus, TerminalSize
from actors.wire.verbs import ContainerVerbs, ProcessRef, ReadOutput, Signal, Signalled, Winsize, WriteStdin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.mailbox import Client, StreamPart

__all__ = ["Completed", "ProcessHandle", "checked_bound"]


@dataclass(frozen=True, slots=True)
class Completed:
    """What `collect` has of a process.

    Attributes:
        code: how it ended, as a shell tells it; None: it still ran when the timeout was over.
        stdout, stderr: from the start, but for what is missing.
        lost: how many bytes are missing, at the least: nobody read them in time, somebody else read them, they were
            more than `max_bytes`, or the link broke while they were under way.
    """

    code: int | None
    stdout: bytes
    stderr: bytes
    lost: int = 0

    @property
    def timed_out(self) -> bool:
        """Whether it still ran when the timeout was over: the output is what it wrote up to then."""
        return self.code is None


def checked_bound(client: Client, max_bytes: int | None) -> int:
    """The most to keep of an output. Raises: InvalidArgument."""
    bound = client.limits.collected_bytes if max_bytes is None else max_bytes
    if not isinstance(bound, int) or bound < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidArgument(f"max_bytes is {str(bound)[:60]}: expected 0 or more", field="max_bytes")
    return bound


class _Gathered:
    """One output, from its first byte on, up to a bound; what is not kept is counted."""

    def __init__(self, bound: int) -> None:
        self.data = bytearray()
        self.lost = 0
        self._bound = bound
        self._position = 0

    def add(self, part: StreamPart) -> None:
        # a reply that was lost with its link has a gap and no offset; what another reader had, an offset and no gap
        self.lost += max(part.gap, part.offset - self._position)
        self._position = part.offset + len(part.data)
        kept = part.data[: self._bound - len(self.data)]
        self.data += kept
        self.lost += len(part.data) - len(kept)


@dataclass(frozen=True, slots=True)
class ProcessHandle(Handle):
    """One process of a container; the empty id is the container's init."""

    id: str

    async def wait(self, *, timeout: float | None = None) -> ExitStatus:
        """Wait for its end; the same answer for every asker until the container is deleted."""
        return await self._ask(ContainerVerbs.wait, ProcessRef(self.id), timeout)

    async def signal(self, signum: int, *, timeout: Timeout = UNSET) -> Signalled:
        """Signal it; one that has ended is no error and counts 0."""
        return await self._ask(ContainerVerbs.signal, Signal(signum, self.id), timeout)

    async def winsize(self, rows: int, columns: int, *, timeout: Timeout = UNSET) -> None:
        """Resize its terminal. Raises: InvalidTransition when it has none."""
        args = Winsize(TerminalSize(rows, columns), self.id)
        await self._ask(ContainerVerbs.winsize, args, timeout)

    async def write(self, data: bytes, *, timeout: Timeout = UNSET) -> int:
        """Write to its input, in chunks; how many bytes went in, less than given once it was closed.

        Up to 1 MiB, a pipe's buffer, goes in before the process reads any of it. `timeout` is for all of it together.

        Raises: KatrioError, `details["written"]` of which says how many bytes went in; when it is OutcomeUnknown (the
            timeout was over, the link broke), up to one chunk more may have.
        """
        check_bytes(data)
        sent = 0
        deadline = Deadline(self.client, timeout)
        while sent < len(data):
            chunk = data[sent : sent + self.client.limits.chunk_bytes]
            args = WriteStdin(chunk, self.id)
            try:
                answer = await self._ask(ContainerVerbs.write_stdin, args, deadline.left())
            except KatrioError as error:
                error.details["written"] = sent
                raise
            sent += answer.length
            if answer.length == 0:
                break
        return sent

    async def close_stdin(self, *, timeout: Timeout = UNSET) -> None:
        """End of file on its input; idempotent."""
        await self._ask(ContainerVerbs.close_stdin, ProcessRef(self.id), timeout)

    @asynccontextmanager
    async def _open(self, verb: str) -> AsyncGenerator[AsyncIterator[StreamPart]]:
        async with self.client.open_stream(self.address, verb, ReadOutput(self.id)) as parts:
            yield parts

    def open_stdout(self) -> AbstractAsyncContextManager[AsyncIterator[StreamPart]]:
        """Its output from where the last reader stopped; the iterator ends with the output."""
        return self._open("read_stdout")

    def open_stderr(self) -> AbstractAsyncContextManager[AsyncIterator[StreamPart]]:
        """Like `open_stdout`; ends at once for a process with a terminal."""
        return self._open("read_stderr")

    async def collect(
        self, *, timeout: float | None = None, max_bytes: int | None = None
    ) -> Completed:  # a cancel scope would lose what was read
        """Read both outputs to their end, then wait.

        What was read is gone for the next reader, so a cancel scope around this throws it away; `timeout` does not.

        Args:
            timeout: seconds; the process runs on after them, and what it wrote up to then is given. None: no end.
            max_bytes: the most to keep of each output; what comes after is read and counted, so that the process is
                never held up. Default: the limits' `collected_bytes`.

        Raises: GuestDied, NotFound, OutcomeUnknown (nobody can tell how it ended), Busy (an output has a reader already),
            InvalidArgument.
        """
        bound = checked_bound(self.client, max_bytes)
        deadline = Deadline(self.client, timeout)
        outputs = {"read_stdout": _Gathered(bound), "read_stderr": _Gathered(bound)}

        async def drain(verb: str) -> None:
            async with self._open(verb) as parts:
                async for part in parts:
                    outputs[verb].add(part)

        code: int | None = None
        with trio.move_on_at(deadline.at):
            async with open_collapsing_nursery() as nursery:
                for verb in outputs:
                    nursery.start_soon(drain, verb)
            code = (await self.wait()).code
        stdout, stderr = outputs.values()
        return Completed(code, bytes(stdout.data), bytes(stderr.data), stdout.lost + stderr.lost)
