"""A process's user in the numeric form that a hyperstart resolves to the same user, looked up on this host.

A real one looks up even numbers in the container's passwd and group, and its init crashes if they are
missing. So nothing is sent that it would not find, or would resolve differently: a uid missing in passwd gets
group 0, whatever group is sent (hyperstart's `hyper_setup_exec_user`). katrio's own guest gets names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import InvalidArgument

if TYPE_CHECKING:
    from actors.node.usertable import UserTable

__all__ = ["numeric_user"]


def numeric_user(user: str, table: UserTable) -> str:
    """`"uid"`, or `"uid:gid"` if the group is not the one in passwd; "" stays.

    Raises: InvalidArgument, its field `process.user`: an unknown name, or not expressible for such a guest.
    """
    if not user:
        return user
    if table.missing and not (user.isascii() and user.isdigit()):
        raise _refused(user, f"names and groups are looked up on this host, and it can't: {table.missing}; write a uid")
    try:
        found = table.resolve(user)
        sent = str(found.uid)
        seen = table.resolve(sent)
    except InvalidArgument as error:
        raise InvalidArgument(error.message, field="process.user") from None
    taken, _ = table.meant(sent)
    if taken != sent:
        raise _refused(user, f"a hyperstart would take its uid {sent} for the name of uid {taken}")
    if seen.gid == found.gid:
        return sent
    if found.uid not in table.uids:
        raise _refused(
            user, f"uid {sent} is not in the container's /etc/passwd: a hyperstart gives it group 0, and no other"
        )
    if found.gid not in table.gids:
        raise _refused(user, f"group {found.gid} is not in the container's /etc/group: a hyperstart crashes over it")
    _, taken = table.meant(str(found.gid))
    if taken != str(found.gid):
        raise _refused(user, f"a hyperstart would take its group {found.gid} for the name of group {taken}")
    return f"{sent}:{found.gid}"


def _refused(user: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"user {user[:80]!r}: {why}", field="process.user")
