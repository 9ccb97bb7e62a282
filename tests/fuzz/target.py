"""One target: what is attacked, with what, and what must hold whatever comes.

A check is given pieces of bytes and raises when something does not hold. It is a function of them alone, so that a failure
can be had again and made smaller. Not for how pieces come about (`mutate`) nor for running (`engine`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import trio
import trio.testing

from tests.fuzz.grain import spans
from tests.fuzz.layout import Body, Frames, Layout
from tests.fuzz.mutate import chopped, mutated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from random import Random

__all__ = ["Case", "Target", "Wrong", "case_of", "claims_of", "expect", "in_virtual_time", "make_case"]

KIB = 1024
# what a reader is fed after a header that claims more than will ever come
_CLAIMED_REST = 64 * KIB
# of virtual time: longer than any bound of ours, so that only what waits for ever meets it
_FOR_EVER = 3600.0


class Wrong(AssertionError):
    """Something does not hold; the text says what."""


@dataclass(frozen=True, slots=True)
class Target:
    """See the module.

    Attributes:
        attacks: what, in a line.
        sessions: well-formed ones, to be spoiled.
        stream: frames follow each other in one stream, which may be cut anywhere; otherwise each is a message.
        share: how many frames it gets of a run, beside the others; slow ones get fewer.
        calls: calls of functions that it may make, once and for each byte.
        memory: bytes that it may allocate, once and for each byte.
    """

    name: str
    attacks: str
    layout: Layout
    sessions: Callable[[], Sequence[Frames]]
    check: Callable[[Frames], None]
    stream: bool = True
    share: int = 4
    calls: tuple[int, int] = (4000, 200)
    memory: tuple[int, int] = (1024 * KIB, 64)


class Case(NamedTuple):
    """What a target is given, and how many frames it was made from."""

    frames: int
    pieces: Frames


def case_of(target: Target, seed: int, number: int) -> Case:
    """Always the same for the same three."""
    return make_case(target, random.Random(f"{seed}/{target.name}/{number}"))


def make_case(target: Target, rng: Random) -> Case:
    """One more."""
    frames = mutated(_sessions(target), target.layout, rng)
    return Case(len(frames), chopped(b"".join(frames), rng) if target.stream else frames)


@cache
def _sessions(target: Target) -> Sequence[Frames]:
    return target.sessions()


# a number of 4 GiB where each language tells how long something is
_CLAIMS: Mapping[Body, tuple[bytes, ...]] = {
    Body.BYTES: (),
    Body.TEXT: (b"9" * 40, b"[" * 2000, b'"' + b"\\u0000" * 500),
    Body.PROTOBUF: (b"\x0a\xff\xff\xff\xff\x0f", b"\x12\xff\xff\xff\xff\x0f", b"\x1a\x80\x80\x80\x80\x10"),
    Body.MSGPACK: (b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"),
}


def claims_of(target: Target) -> Iterator[Frames]:
    """Cases that say something of 4 GiB follows; nothing near it does."""
    layout = target.layout
    for session in _sessions(target)[:8]:
        for at, frame in enumerate(session[:4]):
            if layout.length is not None:
                for value in (2**32 - 1, 2**31, *(edge for edge in layout.length.edges if edge > _CLAIMED_REST)):
                    header = bytearray(frame)
                    layout.length.write(header, value)
                    yield (*session[:at], bytes(header), bytes(_CLAIMED_REST))
            elif layout.body is Body.BYTES:
                # whoever reads a number there reads 4 GiB
                yield (*session[:at], b"\xff" * 8 + frame + bytes(_CLAIMED_REST))
            body = frame[layout.header :]
            for start, end in (spans(layout.body, body) or [(0, len(body))])[:12]:
                for claim in _CLAIMS[layout.body]:
                    claiming = bytearray(frame[: layout.header] + body[:start] + claim + body[end:])
                    layout.refit(claiming)
                    yield (*session[:at], bytes(claiming), *session[at + 1 :])


def expect(holds: object, what: str) -> None:
    """Raises: Wrong, unless it holds."""
    if not holds:
        raise Wrong(what)


def in_virtual_time(check: Callable[[Frames], Awaitable[None]]) -> Callable[[Frames], None]:
    """A check of its own Trio run, which may wait for anything but for ever."""

    async def bounded(pieces: Frames) -> None:
        with trio.move_on_after(_FOR_EVER) as scope:
            await check(pieces)
        expect(not scope.cancelled_caught, "it waits for something that never comes")

    def run(pieces: Frames) -> None:
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(bounded, pieces, clock=clock, strict_exception_groups=True)

    return run


def outcome_of(found: Any) -> str:
    """A value in a form in which two can be compared, errors among them."""
    return f"{type(found).__name__}: {found}" if isinstance(found, Exception) else repr(found)
