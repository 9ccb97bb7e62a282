"""Who a process runs as: names and numbers resolved against the container's own passwd and group files.

Pure: the files' texts come in. For engines, before they call a runtime (which takes numbers). Not for the guest's
own users, which have nothing to do with a container's.
"""

from __future__ import annotations

from dataclasses import dataclass

from actors.errors import InvalidArgument

__all__ = ["ResolvedUser", "resolve_user"]

_MAX_ID = 2**32 - 2


@dataclass(frozen=True, slots=True)
class ResolvedUser:
    """Numbers for the kernel; `groups` are the additional ones."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def _rows(text: str, fields: int) -> list[list[str]]:
    rows = [line.split(":") for line in text.splitlines()]
    return [row for row in rows if len(row) >= fields]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _MAX_ID else None


def _group(name: str, group: str) -> int:
    for row in _rows(group, 3):
        gid = _number(row[2])
        if row[0] == name and gid is not None:
            return gid
    gid = _number(name)
    if gid is None:
        raise InvalidArgument(f"group {name!r}: not in the container's /etc/group", field="user")
    return gid


def resolve_user(user: str, passwd: str, group: str) -> ResolvedUser:
    """`user` is "", "uid", "uid:gid", "name" or "name:group"; a name that is a number counts as a name first.

    A number that passwd doesn't have is fine (its group is 0, as with other runtimes). Naming a group drops the
    additional ones that /etc/group would give.

    Raises:
        InvalidArgument: a name that the container doesn't know, or a number out of range.
    """
    name, colon, group_name = (user or "0").partition(":")
    row = next((row for row in _rows(passwd, 4) if row[0] == name), None)
    if row is None:
        uid = _number(name)
        if uid is None:
            raise InvalidArgument(f"user {name!r}: not in the container's /etc/passwd", field="user")
        row = next((row for row in _rows(passwd, 4) if _number(row[2]) == uid), None)
    else:
        uid = _number(row[2])
        if uid is None:
            raise InvalidArgument(f"user {name!r}: the container's /etc/passwd has no number for it", field="user")
    if colon:
        return ResolvedUser(uid, _group(group_name, group))
    if row is None:
        return ResolvedUser(uid, 0)
    gid = _number(row[3]) or 0
    extra = [_number(entry[2]) for entry in _rows(group, 4) if row[0] in entry[3].split(",")]
    return ResolvedUser(uid, gid, tuple(found for found in extra if found is not None and found != gid))
