"""The event that an actor's subscribers receive.

For the stream verb `events` of every actor. `envelope.Event`, which carries it, has its number and
the number of lost ones before it.
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
