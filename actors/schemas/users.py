"""The two ways in which a request says whom a process is to run as, made into one.

For guests, which look the result up in the container's own files (`actors.node.users.run_as`), and for hosts that do it for an
agent that looks nobody up. Pure: nothing is looked up here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.errors import InvalidArgument
from actors.schemas.agent import StringUser
from actors.schemas.oci import User
from actors.wire.fields import check_fields

if TYPE_CHECKING:
    from actors.schemas.oci import Process

__all__ = ["string_user_text", "with_user"]


def with_user(process: Process, asked: StringUser | None) -> Process:
    """`string_user`, which wins over numbers, put where names are looked for. A group or additional ones without a user are
    those of the uid that is there.

    Raises: InvalidArgument: what is no user or group (`string_user...`), or a `username` beside it.
    """
    if asked is None or asked == StringUser():
        return process
    check_fields(asked, "string_user")
    user = process.user or User(uid=0, gid=0)
    if user.username:
        raise InvalidArgument(
            f"user {user.username[:80]!r} beside string_user: only one of them can be meant", field="user.username"
        )
    whole = StringUser(
        uid=asked.uid or str(user.uid),
        gid=asked.gid or ("" if asked.uid else str(user.gid)),
        additionalGids=asked.additionalGids,
    )
    kept = () if asked.additionalGids else user.additional_gids
    named = User(uid=0, gid=0, additional_gids=kept, username=string_user_text(whole))
    return msgspec.structs.replace(process, user=named)


def string_user_text(user: StringUser) -> str:
    """As `actors.node.users.resolve_user` reads it."""
    parts = (user.uid, user.gid, ",".join(user.additionalGids))
    return ":".join(parts).rstrip(":")
