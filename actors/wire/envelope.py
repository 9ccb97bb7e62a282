"""The envelopes of a mailbox link, as typed msgpack arrays; `docs/protocol.md` describes them for other languages.

Every envelope is an array whose first element names its type; a reader ignores elements after those it knows, so a
later version may append. Framing, acks and credit of the transport are below; what verbs carry is in
`actors.wire.verbs`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = [
    "CHUNK_COST",
    "VERSIONS",
    "AnyHello",
    "Ask",
    "Cancel",
    "Chunk",
    "Credit",
    "Envelope",
    "Event",
    "Failure",
    "Goodbye",
    "Hello",
    "Reply",
    "Welcome",
]

# the protocol versions that we speak
VERSIONS = (1,)
# charged for each chunk or event besides its bytes, so that many tiny ones can't exceed a window's memory (bytes)
CHUNK_COST = 64

NOTHING_MORE = msgspec.Raw(b"\x80")

Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Counter = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Address = Annotated[str, msgspec.Meta(max_length=256)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]


Versions = Annotated[tuple[Natural, ...], msgspec.Meta(min_length=1, max_length=16)]


class AnyHello(msgspec.Struct, frozen=True, array_like=True):
    """The common start of every version's hello, so that a server can refuse one that it can't read further."""

    kind: Annotated[str, msgspec.Meta(pattern="^hello$")]
    versions: Versions


class Hello(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="hello"):
    """The client's first envelope: its versions and its identity. One client has one link at a time.

    `unused` is the lowest counter that this (client, epoch) has never used; a server that does not know
    the client refuses lower ones as `unknown`, since another server may have run them.
    """

    versions: Versions
    client: Name
    epoch: Natural
    unused: Counter


class Welcome(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="welcome"):
    """The server's answer to `Hello`: the highest common version, which both use from now on, and the
    server's limits: requests in flight per client, bytes of one envelope.
    """

    version: Natural
    server: Name
    asks_in_flight: Natural
    message_bytes: Natural


class Goodbye(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="goodbye"):
    """Why the sender is about to close the link; `code` is an error code, "" for no error.

    `details` is a failure's: with `unsupported`, the `versions` that the sender speaks.
    """

    code: Address
    reason: Text
    details: msgspec.Raw = NOTHING_MORE


class Ask(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="ask"):
    """One request; its id is (client, epoch, counter), the first two from the link's `Hello`.

    `budget_ms`: the caller's remaining time, nil for no limit. `watermark`: the lowest counter whose answer
    is still wanted. `window`: bytes of chunks and events the client accepts ahead of its credit; 0: no stream.
    """

    counter: Counter
    to: Address
    verb: Name
    args: msgspec.Raw
    budget_ms: Natural | None
    watermark: Natural
    window: Natural = 0
    trace: Address | None = None


class Reply(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="reply"):
    """The answer; for a stream, its end, after every chunk."""

    counter: Counter
    result: msgspec.Raw


class Failure(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="failure"):
    """An error as the answer: a stable code, text for humans, a map of plain values for programs."""

    counter: Counter
    code: Name
    message: Text
    details: msgspec.Raw


class Cancel(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="cancel"):
    """The client no longer wants the answer. This envelope has no reply."""

    counter: Counter


class Chunk(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="chunk"):
    """Bytes of a stream. `offset`: of the first one; `gap`: bytes lost before it."""

    counter: Counter
    offset: Natural
    data: bytes
    gap: Natural = 0


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="event"):
    """One event of a subscription (a stream request). `number` counts from 0; `lost`: events lost before it."""

    counter: Counter
    number: Natural
    value: msgspec.Raw
    lost: Natural = 0


class Credit(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="credit"):
    """The client has consumed chunks or events worth `amount` bytes, `CHUNK_COST` for each included."""

    counter: Counter
    amount: Natural


Envelope = Hello | Welcome | Goodbye | Ask | Reply | Failure | Cancel | Chunk | Event | Credit
