"""The grammar of ids: sandboxes, containers and processes, and the directories that are named after them.

For whoever accepts an id from a caller or a peer. An id becomes a path component, a cgroup's name and a
Kata id, so it can't be a path, can't hide behind look-alike letters, and is at least two characters long
(the Rust agent's rule). Not for addresses: those are ids joined by a slash. Names in a scenario's file
are ids without a dot; hyperstart's client has a bound of its peer's own (`transports.hyperstart`).
"""

from __future__ import annotations

import re

from actors.errors import InvalidArgument

__all__ = ["check_id", "is_plain"]

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def is_plain(name: str, longest: int) -> bool:
    """Whether it is 1 to `longest` of A-Z a-z 0-9 . _ -, the first a letter or digit."""
    return len(name) <= longest and _PLAIN.fullmatch(name) is not None


def check_id(value: str, what: str, longest: int) -> str:
    """`value`, when it is an id of at most `longest` characters.

    Raises:
        InvalidArgument: its field is `what`, as "id" or "exec id", with underscores.
    """
    if len(value) > 1 and is_plain(value, longest):
        return value
    shown = value if len(value) <= 80 else value[:77] + "..."
    raise InvalidArgument(
        f"{what} {shown!r}: expected 2 to {longest} of A-Z a-z 0-9 . _ -, the first a letter or digit",
        field=what.replace(" ", "_"),
    )
