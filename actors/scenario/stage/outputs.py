"""What processes print, kept bounded: a tail for people and expectations, counts for the rest.

For the stage, whose pumps feed it, and steps, which look at it. Not for whole outputs: a scenario that
wants every byte compares their number and their SHA-256.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import trio

from actors.errors import KatrioError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from actors.handles import ProcessHandle
    from actors.mailbox import StreamPart

__all__ = ["KEPT_BYTES", "Decoding", "Output", "ProcessView", "tail_text"]

# what is kept of one stream: expectations see this much, counts see everything
KEPT_BYTES = 64 * 1024


class Decoding:
    """The text of one stream, piece by piece: a character that two pieces share comes with the second, whole."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, data: bytes) -> str:
        """Of the next piece."""
        return self._decoder.decode(data)


def tail_text(data: bytes | bytearray, *, cut: bool) -> str:
    """The text of a stream's end; of a character that was `cut` at its beginning nothing is left."""
    begin = 0
    # a character has at most three bytes after its first
    while cut and begin < min(3, len(data)) and data[begin] & 0xC0 == 0x80:
        begin += 1
    return data[begin:].decode(errors="replace").replace("\r\n", "\n")


class _Digest(Protocol):
    """Of hashlib, whose own class has no public name."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(slots=True)
class Output:
    """One stream of one process. `size` and `lines` count all that came; `lost` what the system could not keep."""

    size: int = 0
    lines: int = 0
    lost: int = 0
    kept: bytearray = field(default_factory=bytearray)
    digest: _Digest = field(default_factory=hashlib.sha256)
    ended: trio.Event = field(default_factory=trio.Event)

    def feed(self, part: StreamPart) -> None:
        """Take one part."""
        self.size += len(part.data)
        self.lines += part.data.count(b"\n")
        self.lost += part.gap
        self.kept += part.data
        self.digest.update(part.data)
        if len(self.kept) > KEPT_BYTES:
            del self.kept[:-KEPT_BYTES]

    def text(self) -> str:
        """What is kept, line ends as `\\n`; bytes that are no UTF-8 are replaced."""
        return tail_text(self.kept, cut=len(self.kept) < self.size)

    def last_lines(self, count: int) -> str:
        """The last lines of it."""
        return "\n".join(self.text().splitlines()[-count:])


@dataclass(slots=True)
class ProcessView:
    """One process that the scenario started: its handle, and what it has printed so far.

    `refused`: why it never started, when its start was refused as its step expected.
    """

    label: str
    container: str
    handle: ProcessHandle
    stdout: Output = field(default_factory=Output)
    stderr: Output = field(default_factory=Output)
    refused: str = ""

    async def pump(self, printed: Callable[[ProcessView, str, bytes], None]) -> None:
        """Read both streams to their ends; a stream that breaks has ended."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, self.handle.open_stdout(), "stdout", printed)
            nursery.start_soon(self._read, self.handle.open_stderr(), "stderr", printed)

    async def _read(
        self,
        opening: AbstractAsyncContextManager[AsyncIterator[StreamPart]],
        stream: str,
        printed: Callable[[ProcessView, str, bytes], None],
    ) -> None:
        output = self.stdout if stream == "stdout" else self.stderr
        try:
            async with opening as parts:
                async for part in parts:
                    output.feed(part)
                    printed(self, stream, part.data)
        except KatrioError:
            # the verb that the scenario waits on tells of a lost container; here it only means no more output
            pass
        finally:
            output.ended.set()
