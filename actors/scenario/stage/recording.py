"""A client that writes down what is asked through it: for Python scenarios' journals, and for `katrio record`.

Wraps the client of a handle, so that every handle made from it is recorded as well. What is read of outputs is recorded as it passes;
nothing is read that nobody asked for, since an output has one reader. Events pass through unrecorded. Not for turning what was
asked into a file: `transcript`.
"""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from actors.errors import KatrioError
from actors.handles import SystemHandle
from actors.wire.verbs import Exec, ReadOutput

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from actors.mailbox import Client, StreamPart

__all__ = ["RECORDED_OUTPUT_BYTES", "Asked", "RecordedOutput", "RecordedOutputs", "recorded"]

# of one output: more of it is known by its size and digest
RECORDED_OUTPUT_BYTES = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """One ask that has ended: with an answer, or with the code of an error (`cancelled` when nobody waited any more)."""

    to: str
    verb: str
    args: object
    began: float
    ended: float
    answer: object = None
    code: str = ""


@dataclass(slots=True)
class RecordedOutput:
    """One output of one process, as far as it was read: its first bytes, its size, and a digest of all of it."""

    data: bytearray = field(default_factory=bytearray)
    size: int = 0
    # nothing of it was missed, and its end has come
    whole: bool = True
    ended: bool = False
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, part: StreamPart) -> None:
        """Hear one part."""
        self.whole = self.whole and not part.gap and part.offset == self.size
        self.size = part.offset + len(part.data)
        self._digest.update(part.data)
        self.data += part.data[: RECORDED_OUTPUT_BYTES - len(self.data)]

    @property
    def sha256(self) -> str:
        """Of all that was read."""
        return str(self._digest.hexdigest())


class RecordedOutputs:
    """What was read of outputs, by the process's container, its name there, and the stream verb."""

    def __init__(self) -> None:
        self._outputs: dict[tuple[str, str, str], RecordedOutput] = {}
        self._started: dict[tuple[str, str], int] = {}

    def started(self, to: str, process: str) -> None:
        """A process of this name was started; the empty one is the container's init."""
        self._started[to, process] = self._started.get((to, process), 0) + 1

    def output(self, to: str, process: str, verb: str) -> RecordedOutput:
        """One that is being read."""
        return self._outputs.setdefault((to, process, verb), RecordedOutput())

    def find(self, to: str, process: str, verb: str) -> RecordedOutput | None:
        """One that was read whole; None also where several processes had the name, one after the other."""
        found = self._outputs.get((to, process, verb))
        if found is None or not (found.whole and found.ended) or self._started.get((to, process), 0) > 1:
            return None
        return found


class _Now(Protocol):
    def __call__(self) -> float: ...


def recorded(
    system: SystemHandle, now: _Now, listener: Callable[[Asked], None], outputs: RecordedOutputs | None = None
) -> SystemHandle:
    """A handle on the same system; the listener gets every ask through it, when it has ended, `outputs` the outputs."""
    return SystemHandle(cast("Client", _Recorded(system.client, now, listener, outputs)))


class _Recorded:
    def __init__(
        self, client: Client, now: _Now, listener: Callable[[Asked], None], outputs: RecordedOutputs | None
    ) -> None:
        self._client = client
        self.limits = client.limits
        self._now = now
        self._listener = listener
        self._outputs = outputs

    async def ask(self, to: str, verb: str, args: object, result: type[T], **options: Any) -> T:
        began = self._now()
        answer: object = None
        code = "cancelled"
        try:
            answer = value = await self._client.ask(to, verb, args, result, **options)
            code = ""
            return value
        except KatrioError as error:
            code = error.code
            raise
        finally:
            if self._outputs is not None and not code and verb in ("exec", "start"):
                self._outputs.started(to, args.id if isinstance(args, Exec) else "")
            self._listener(Asked(to, verb, args, began, self._now(), answer, code))

    def open_stream(self, to: str, verb: str, args: object, **options: Any) -> AbstractAsyncContextManager[Any]:
        opening = self._client.open_stream(to, verb, args, **options)
        if self._outputs is None or not isinstance(args, ReadOutput):
            return opening
        return _listened(opening, self._outputs.output(to, args.process, verb))

    def open_events(self, to: str, verb: str, args: object, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._client.open_events(to, verb, args, **options)


@asynccontextmanager
async def _listened(
    opening: AbstractAsyncContextManager[AsyncIterator[StreamPart]], output: RecordedOutput
) -> AsyncGenerator[AsyncIterator[StreamPart]]:
    async with opening as parts:
        yield _Listened(parts, output)


class _Listened:
    """The parts of a stream, recorded as they are taken."""

    def __init__(self, parts: AsyncIterator[StreamPart], output: RecordedOutput) -> None:
        self._parts = parts
        self._output = output

    def __aiter__(self) -> _Listened:
        return self

    async def __anext__(self) -> StreamPart:
        try:
            part = await anext(self._parts)
        except StopAsyncIteration:
            self._output.ended = True
            raise
        self._output.add(part)
        return part
