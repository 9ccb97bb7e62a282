"""Users of an unpacked root by their names, as its own passwd and group files have them, looked up on this host.

For agents that look nobody up, as a real Kata agent, which runs a process as the numbers that it is sent; and for a real
hyperstart, which crashes over whom it does not find. Read once, before the agent has the root, so that a container can't change afterwards who a name is. Not for katrio's own guest,
which looks in the container itself.
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
# no id has more, and Python refuses to read thousands of them
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class UserTable:
    """The texts of a root's files; empty where it has none. `missing`: why nothing could be read at all."""

    passwd: str = ""
    group: str = ""
    missing: str = ""

    @property
    def uids(self) -> frozenset[int]:
        """All that passwd has."""
        return _numbers(self.passwd)

    @property
    def gids(self) -> frozenset[int]:
        """All that group has."""
        return _numbers(self.group)

    def resolve(self, user: str) -> ResolvedUser:
        """As `actors.node.users.resolve_user`; numbers alone need no table.

        Raises: InvalidArgument, its field `user`: an unknown name, or a root that this host can't look into.
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
        """The uid and the gid that are taken for it where names are looked for before numbers; as they stand there."""
        return _named(self.passwd, number), _named(self.group, number)


def _named(text: str, name: str) -> str:
    rows = (line.split(":") for line in text.splitlines())
    return next((row[2] for row in rows if len(row) > 2 and row[0] == name), name)


def _numbers(text: str) -> frozenset[int]:
    """The third field of every line, which is the id in both files."""
    ids = (line.split(":")[2] for line in text.splitlines() if line.count(":") > 1)
    return frozenset(int(one) for one in ids if one.isascii() and one.isdigit() and len(one) <= _DIGITS)


def read_user_table(root: str) -> UserTable:
    """Of an unpacked root on this host. Two small files at the most: as short as any look at a file."""
    try:
        passwd, group = (read_in_root(Path(root), path, _FILE_BYTES) or b"" for path in ("etc/passwd", "etc/group"))
    except OSError as error:
        return UserTable(missing=f"{root}: {error.strerror}")
    except ValueError as error:
        return UserTable(missing=f"{root}: {error}")
    return UserTable(passwd.decode("utf-8", "replace"), group.decode("utf-8", "replace"))
