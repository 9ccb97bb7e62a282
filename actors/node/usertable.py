"""Users of an unpacked root by name, from its own passwd and group files, looked up on this host.

For agents that don't look up users: a real Kata agent, which runs a process with the numeric ids that it is sent, and a
real hyperstart, which crashes over unknown ones. Read once, before the agent gets the root, so that a container can't
change who a name is. katrio's own guest looks in the container itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.errors import InvalidArgument
from actors.node.inroot import read_in_root
from actors.node.users import run_as

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.node.users import ResolvedUser

__all__ = ["UserTable", "read_user_table"]

# a passwd file of ten thousand users has about half of it
_FILE_BYTES = 1024 * 1024
# more digits than any id has; Python refuses to parse thousands of them
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class UserTable:
    """The texts of a root's files; empty if missing. `missing`: why the root could not be read at all."""

    passwd: str = ""
    group: str = ""
    missing: str = ""

    @property
    def uids(self) -> frozenset[int]:
        """All uids in passwd."""
        return _numbers(self.passwd)

    @property
    def gids(self) -> frozenset[int]:
        """All gids in group."""
        return _numbers(self.group)

    def resolve(self, user: str) -> ResolvedUser:
        """As `actors.node.users.resolve_user`; numbers alone need no table.

        Raises: InvalidArgument, its field `user`: an unknown name, or the root can't be read by this host.
        """
        return self.run_as({"username": user})

    def run_as(self, user: Mapping[str, Any]) -> ResolvedUser:
        """As `actors.node.users.run_as`, and `resolve`."""
        name = str(user.get("username") or "")
        if self.missing and any(part and not (part.isascii() and part.isdigit()) for part in re.split("[:,]", name)):
            raise InvalidArgument(
                f"user {name[:80]!r}: this agent looks no names up, and this host can't: {self.missing}; write uid:gid",
                field="user",
            )
        return run_as(user, {"/etc/passwd": self.passwd, "/etc/group": self.group}.__getitem__)

    def meant(self, number: str) -> tuple[str, str]:
        """The uid and gid, as texts, that a reader who tries names before numbers would find for it."""
        return _named(self.passwd, number), _named(self.group, number)


def _named(text: str, name: str) -> str:
    rows = (line.split(":") for line in text.splitlines())
    return next((row[2] for row in rows if len(row) > 2 and row[0] == name), name)


def _numbers(text: str) -> frozenset[int]:
    """The third field of every line, the id in both files."""
    ids = (line.split(":")[2] for line in text.splitlines() if line.count(":") > 1)
    return frozenset(int(one) for one in ids if one.isascii() and one.isdigit() and len(one) <= _DIGITS)


def read_user_table(root: str) -> UserTable:
    """For an unpacked root on this host. Reads at most two small files: short enough not to need a thread."""
    try:
        passwd, group = (read_in_root(Path(root), path, _FILE_BYTES) or b"" for path in ("etc/passwd", "etc/group"))
    except OSError as error:
        return UserTable(missing=f"{root}: {error.strerror}")
    except ValueError as error:
        return UserTable(missing=f"{root}: {error}")
    return UserTable(passwd.decode("utf-8", "replace"), group.decode("utf-8", "replace"))
