"""The event that an actor's subscribers get.

For the stream verb `events` of every actor. Not for the envelope it travels in: `envelope.Event` has its number and
how many before it were left out.
"""

from __future__ import annotations

import msgspec

from actors.wire.spec import ExitStatus

__all__ = ["ActorEvent"]


class ActorEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something happened to the actor `source`.

    `kind` is "state" (with the new `state`), "exit" (a process ended: its name, the empty one is the init's, and
    how; no `exit` where its agent can't tell), "oom" (the kernel OOM-killed a process of it) or "deleted" (the last of this actor). A reader
    ignores kinds that it does not know.
    """

    source: str
    kind: str
    state: str = ""
    process: str = ""
    exit: ExitStatus | None = None
