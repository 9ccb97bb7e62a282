"""Resolves a process's user and groups, names or numbers, in the container's own passwd and group files.

Pure: takes the files' texts. Used by engines before they call a runtime (which takes numbers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from actors.errors import InvalidArgument
from actors.limits import LARGEST_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ResolvedUser", "home_of", "resolve_user", "run_as"]

# more digits than any id has; Python refuses to parse thousands of them
_DIGITS = 10


class ResolvedUser(NamedTuple):
    """Numeric ids; `groups` are the supplementary ones."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def _rows(text: str, fields: int) -> list[list[str]]:
    rows = [line.split(":") for line in text.splitlines()]
    return [row for row in rows if len(row) >= fields]


def _number(text: str, most: int) -> int | None:
    plain = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    return int(text) if plain and int(text) <= most else None


def _refused(kind: str, name: str, file: str, most: int) -> InvalidArgument:
    why = f"expected 0 to {most}" if name.isdecimal() else f"not in the container's {file}"
    return InvalidArgument(f"{kind} {name[:80]!r}: {why}", field="user")


def _group(name: str, group: str, most: int) -> int:
    gid = _number(name, most)
    if gid is None and not name.isdecimal():
        gid = next((_number(row[2], most) for row in _rows(group, 3) if row[0] == name), None)
    if gid is None:
        raise _refused("group", name, "/etc/group", most)
    return gid


def home_of(uid: int, passwd: str) -> str:
    """A user's home directory in passwd; `/` if there is none, or it is not valid in a variable."""
    home = next((row[5] for row in _rows(passwd, 6) if _number(row[2], LARGEST_ID) == uid), "")
    return home if home.isprintable() and home else "/"


def resolve_user(user: str, passwd: str, group: str, most: int = LARGEST_ID) -> ResolvedUser:
    """`user` is "", "uid", "uid:gid", "name" or "name:group", or has a third part, "name:group:GROUP,GROUP": supplementary groups
    that replace those in /etc/group; the middle part may be empty for passwd's own group. A number is always an id,
    even if passwd has it as a name.

    So an image whose passwd maps the name "1000" to uid 0 gives nobody root who asked for uid 1000. A number that
    passwd lacks is no error (its group is 0, as with other runtimes). Naming a group drops the supplementary groups of
    /etc/group.

    Args:
        most: the largest uid and gid that the runtime or agent accepts.

    Raises:
        InvalidArgument: an unknown name, or a number out of range.
    """
    name, colon, rest = (user or "0").partition(":")
    group_name, has_extra, extra_names = rest.partition(":")
    colon = "" if has_extra and not group_name else colon
    named = tuple(_group(one, group, most) for one in extra_names.split(",")) if has_extra else None
    uid = _number(name, most)
    if uid is not None:
        row = next((row for row in _rows(passwd, 4) if _number(row[2], most) == uid), None)
    else:
        row = None if name.isdecimal() else next((row for row in _rows(passwd, 4) if row[0] == name), None)
        if row is None:
            raise _refused("user", name, "/etc/passwd", most)
        uid = _number(row[2], most)
        if uid is None:
            raise InvalidArgument(f"user {name[:80]!r}: the container's /etc/passwd has no number for it", field="user")
    if colon:
        return ResolvedUser(uid, _group(group_name, group, most), named or ())
    if row is None:
        return ResolvedUser(uid, 0, named or ())
    gid = _number(row[3], most)
    if gid is None:
        raise InvalidArgument(f"user {name[:80]!r}: the container's /etc/passwd has no group for it", field="user")
    if named is not None:
        return ResolvedUser(uid, gid, named)
    extra = [_number(entry[2], most) for entry in _rows(group, 4) if row[0] in entry[3].split(",")]
    return ResolvedUser(uid, gid, tuple(found for found in extra if found is not None and found != gid))


def run_as(user: Mapping[str, Any], text: Callable[[str], str], most: int = LARGEST_ID) -> ResolvedUser:
    """Resolve OCI's `user`. Its numbers are taken as given; a `username`, in the form of `resolve_user`, is looked up
    if they are 0, which means unset on that wire; beside a uid it must be that uid's name.

    Args:
        text: reads a file of the root.
        most: the largest uid and gid that the runtime or agent accepts.

    Raises:
        InvalidArgument: as `resolve_user`, or numbers out of range, or a name with another uid.
    """
    uid, gid, extra = user.get("uid") or 0, user.get("gid") or 0, tuple(user.get("additionalGids") or ())
    for number in (uid, gid, *extra):
        if not 0 <= number <= most:
            raise InvalidArgument(f"user or group {number}: expected 0 to {most}", field="user")
    name = user.get("username") or ""
    if not name:
        return ResolvedUser(uid, gid, extra)
    found = resolve_user(name, text("/etc/passwd"), text("/etc/group"), most)
    if uid == 0:
        return ResolvedUser(found.uid, gid or found.gid, extra or found.groups)
    if uid != found.uid:
        raise InvalidArgument(
            f"user {name[:80]!r} beside uid {uid}: the container's /etc/passwd has uid {found.uid} for it; leave one out",
            field="user.username",
        )
    return ResolvedUser(uid, gid, extra)
