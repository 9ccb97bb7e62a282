"""The syntax of ids: sandboxes, containers and processes.

An id becomes a path component, a cgroup name and a Kata id, so it can't be a path, can't use look-alike letters, and
has at least two characters (the Rust agent's rule). Addresses are ids joined by a slash.
"""

from __future__ import annotations

import re

from actors.errors import InvalidArgument

__all__ = ["check_id"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+", re.ASCII)


def check_id(value: str, field: str, longest: int) -> str:
    """Return `value` if it is an id of at most `longest` characters.

    Raises:
        InvalidArgument: naming `field`.
    """
    if len(value) <= longest and _ID.fullmatch(value):
        return value
    shown = value if len(value) <= 80 else value[:77] + "..."
    raise InvalidArgument(
        f"{field} {shown!r}: expected 2 to {longest} of A-Z a-z 0-9 . _ -, the first a letter or digit",
        field=field,
    )
