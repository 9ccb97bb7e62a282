"""Spoils sessions: frames lost, doubled, moved, spliced; header fields at their edges; bodies bent along their own grain.

Draws from one `random.Random` and from nothing else, so a run is a function of its seed, and Hypothesis may draw for it.
Not for knowing what is wrong with what comes out: most of it is, and some of it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.grain import spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.fuzz.layout import Frames, Layout

__all__ = ["MOST_BYTES", "MOST_FRAMES", "chopped", "mutated"]

# one case's size: longer ones find no more and take longer
MOST_FRAMES = 24
MOST_BYTES = 32 * 1024
# of one body that was made longer
_LONGEST_BODY = 8 * 1024
_PIECES = (1, 2, 3, 7, 16, 64, 1000)


def mutated(sessions: Sequence[Frames], layout: Layout, rng: Random) -> Frames:
    """A well-formed session with none to six things wrong."""
    session = list(rng.choice(sessions))
    if len(session) > MOST_FRAMES:
        # mostly from its beginning, since what follows would mean nothing; and sometimes from its middle
        start = rng.choice((0, 0, 0, rng.randrange(len(session))))
        session = session[start : start + MOST_FRAMES]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 6))):
        spoil = rng.choice(_OF_FRAMES if rng.randrange(3) == 0 else _OF_ONE_FRAME)
        if spoil in _OF_FRAMES or session:
            spoil(session, layout, rng, sessions)
    return _bounded(session)


def chopped(stream: bytes, rng: Random) -> Frames:
    """The same bytes as a socket may hand them over."""
    if rng.randrange(4) == 0:
        return (stream,)
    pieces: list[bytes] = []
    size = rng.choice(_PIECES)
    while stream:
        if rng.randrange(4) == 0:
            size = rng.choice(_PIECES)
        # a long one byte by byte proves nothing that a short one does not
        step = max(size, len(stream) // 200)
        pieces.append(stream[:step])
        stream = stream[step:]
    return tuple(pieces)


def _bounded(session: list[bytes]) -> Frames:
    kept: list[bytes] = []
    room = MOST_BYTES
    for frame in session[: 2 * MOST_FRAMES]:
        if len(frame) <= room:
            kept.append(frame)
            room -= len(frame)
    return tuple(kept)


# whole frames


def _drop(session: list[bytes], _layout: Layout, rng: Random, _sessions: Sequence[Frames]) -> None:
    if session:
        del session[rng.randrange(len(session))]


def _repeat(session: list[bytes], _layout: Layout, rng: Random, _sessions: Sequence[Frames]) -> None:
    if session:
        at = rng.randrange(len(session))
        session[at:at] = [session[at]] * rng.choice((1, 1, 2, 8))


def _move(session: list[bytes], _layout: Layout, rng: Random, _sessions: Sequence[Frames]) -> None:
    if session:
        frame = session.pop(rng.randrange(len(session)))
        session.insert(rng.randrange(len(session) + 1), frame)


def _splice(session: list[bytes], _layout: Layout, rng: Random, sessions: Sequence[Frames]) -> None:
    other = rng.choice(sessions)
    if other:
        start = rng.randrange(len(other))
        at = rng.randrange(len(session) + 1)
        session[at : at + rng.randrange(3)] = other[start : start + 1 + rng.randrange(4)]


def _end_early(session: list[bytes], _layout: Layout, rng: Random, _sessions: Sequence[Frames]) -> None:
    del session[rng.randrange(len(session) + 1) :]


def _noise(session: list[bytes], _layout: Layout, rng: Random, _sessions: Sequence[Frames]) -> None:
    size = rng.choice((1, 2, 8, 40))
    session.insert(rng.randrange(len(session) + 1), bytes(rng.randrange(256) for _ in range(size)))


# one frame


def _field(session: list[bytes], layout: Layout, rng: Random, _sessions: Sequence[Frames]) -> None:
    """A header's field, the length among them, is another number: an edge, a neighbour, another frame's."""
    at = rng.randrange(len(session))
    frame = bytearray(session[at])
    if not layout.fields or len(frame) < layout.header:
        return
    field = rng.choice(layout.fields)
    own = field.read(frame)
    other = session[rng.randrange(len(session))]
    choices = [own + 1, own - 1, own + 2, own * 2, rng.choice(field.values), rng.choice(field.values)]
    if len(other) >= layout.header:
        choices.append(field.read(other))
    field.write(frame, rng.choice(choices))
    session[at] = bytes(frame)


def _cut(session: list[bytes], _layout: Layout, rng: Random, _sessions: Sequence[Frames]) -> None:
    """The length stays: the next frame's bytes become this one's."""
    at = rng.randrange(len(session))
    session[at] = session[at][: rng.randrange(len(session[at]) + 1)]


def _flip(session: list[bytes], _layout: Layout, rng: Random, _sessions: Sequence[Frames]) -> None:
    at = rng.randrange(len(session))
    frame = bytearray(session[at])
    for _ in range(rng.choice((1, 1, 1, 3))):
        if frame:
            frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
    session[at] = bytes(frame)


def _body(session: list[bytes], layout: Layout, rng: Random, sessions: Sequence[Frames]) -> None:
    """The body is another, and its header knows; now and then it does not."""
    at = rng.randrange(len(session))
    frame = bytearray(session[at])
    if len(frame) < layout.header:
        return
    body = bytes(frame[layout.header :])
    found = spans(layout.body, body) or [(0, len(body))]
    start, end = rng.choice(found)
    inner = body[start:end]
    match rng.randrange(9):
        case 0:
            inner = b""
        case 1:
            inner += inner
        case 2:
            inner = rng.choice(layout.tokens) if layout.tokens else inner[::-1]
        case 3:
            donor = rng.choice(rng.choice(sessions) or (b"",))[layout.header :]
            first, last = rng.choice(spans(layout.body, donor) or [(0, len(donor))])
            inner = donor[first:last]
        case 4:
            inner = bytes(rng.choice(_BYTES) for _ in range(rng.choice((1, 1, 2, 4, 9, 10, 11))))
        case 5:
            # along the grain, and against it: what follows is read as this one's
            inner = inner[: rng.randrange(len(inner) + 1)]
        case 6:
            place = rng.randrange(len(inner) + 1)
            inner = inner[:place] + bytes((rng.choice(_BYTES),)) + inner[place:]
        case 7:
            inner = (inner * rng.choice((3, 16, 200)))[:_LONGEST_BODY]
        case _:
            first, last = rng.choice(found)
            inner = body[first:last] + inner
    frame[layout.header :] = (body[:start] + inner + body[end:])[:_LONGEST_BODY]
    if rng.randrange(8):
        layout.refit(frame)
    session[at] = bytes(frame)


# tags, lengths and signs as protobuf, msgpack and JSON write them
_BYTES = (0x00, 0x01, 0x08, 0x0A, 0x0B, 0x12, 0x1A, 0x22, 0x7F, 0x80, 0x81, 0x90, 0x91, 0xA0, 0xC0, 0xC1, 0xC4, 0xC6,
          0xCB, 0xCF, 0xD3, 0xD9, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xE0, 0xFE, 0xFF, *b'"{}[]:,\\0-.eE/')  # fmt: skip

_OF_FRAMES: tuple[Callable[[list[bytes], Layout, Random, Sequence[Frames]], None], ...] = (
    _drop,
    _repeat,
    _move,
    _splice,
    _splice,
    _end_early,
    _noise,
)
_OF_ONE_FRAME: tuple[Callable[[list[bytes], Layout, Random, Sequence[Frames]], None], ...] = (
    _field,
    _field,
    _cut,
    _flip,
    _body,
    _body,
    _body,
)
