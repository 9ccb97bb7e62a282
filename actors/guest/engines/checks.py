"""What of a client's document a runtime would get wrong, or tell in words of its own, checked before it is called.

For the OCI engine; each refusal names the client's field. Not for what only a runtime finds out (`refusals`), and not for
programs (`executables`).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.errors import InvalidArgument, InvalidTransition
from actors.guest.engines.oci_config import Document, process_document
from actors.host.exhaustion import raise_if_exhausted
from actors.host.users import check_ids, home_of, resolve_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.guest.engines.rootfs import Root

__all__ = ["check_mounts", "check_user_files", "checked_process", "is_bind"]

_PASSWD, _GROUP = "/etc/passwd", "/etc/group"


def checked_process(asked: Document, root: Root, *, mounts: list[Document], most: int) -> Document:
    """As a runtime gets it: with numbers for its user, up to `most`, and with the variables that each program expects.

    Raises: InvalidArgument: no program, an unknown user, a directory that isn't there (which a runtime would make), or limits
    that contradict each other.
    """
    if not asked.get("args"):
        raise InvalidArgument("the process has no program to run: args is empty", field="args")
    cwd = asked.get("cwd") or "/"
    if not os.path.isabs(cwd) or not (_below_a_mount(cwd, mounts) or root.is_directory(cwd)):
        raise InvalidArgument(f"cwd {cwd!r}: no such directory in the container", field="cwd")
    for limit in asked.get("rlimits") or ():
        if limit.get("soft", 0) > limit.get("hard", 0):
            raise InvalidArgument(f"{limit['type']}: the soft limit is above the hard one", field="rlimits")
    passwd = root.text(_PASSWD)
    user = _user(asked.get("user") or {}, root, passwd, most)
    return process_document(asked, user, home=home_of(user["uid"], passwd))


def check_mounts(mounts: list[Document]) -> None:
    """Raises: InvalidArgument: what no two runtimes take alike: a mount on the root itself, and a bind of no absolute path."""
    for mount in mounts:
        destination, source = mount["destination"], mount.get("source") or ""
        if not [part for part in destination.split("/") if part not in ("", ".", "..")]:
            raise InvalidArgument(f"mount on {destination!r}: need a path below the container's root", field="mounts")
        if is_bind(mount) and not os.path.isabs(source):
            raise InvalidArgument(
                f"mount on {destination!r}: its source {source!r} is no absolute path in the guest's sight",
                field="mounts",
            )


def check_user_files(container: str, verb: str, root: Root) -> None:
    """For a runtime that looks each user up, a number too: a pipe would hold it up for ever, a device fill its memory.

    Raises: InvalidTransition: the container has made one of its files of users into something else.
    """
    for path in (_PASSWD, _GROUP):
        try:
            with root.opened(path, os.O_PATH) as descriptor:
                mode = os.fstat(descriptor).st_mode
        except OSError as error:
            raise_if_exhausted(error)
            continue
        if not stat.S_ISREG(mode):
            raise InvalidTransition(
                f"{verb} in container {container!r}: its own {path} is no regular file any more, and no user can be looked up; "
                "remove the container",
                state="no users",
                verb=verb,
            )


def is_bind(mount: Document) -> bool:
    """Whether it shows what is at its source, and is no file system of its own."""
    return not {"bind", "rbind"}.isdisjoint(mount.get("options") or [])


def _user(user: Mapping[str, Any], root: Root, passwd: str, most: int) -> Document:
    """A name is resolved against the container's passwd; numbers are taken as they are, up to what the runtime takes."""
    check_ids(user, most)
    name = user.get("username") or ""
    if not name:
        found = {key: value for key, value in user.items() if key in ("uid", "gid", "umask", "additionalGids")}
        return {"uid": 0, "gid": 0, **found}
    resolved = resolve_user(name, passwd, root.text(_GROUP), most)
    groups = user.get("additionalGids") or resolved.groups
    return {"uid": resolved.uid, "gid": resolved.gid, "additionalGids": list(groups)}


def _below_a_mount(path: str, mounts: list[Document]) -> bool:
    """Whether a directory would come with one of the mounts, and so can't be looked up before they are made."""
    parts = Path(path).parts
    for mount in mounts:
        destination = Path(mount["destination"]).parts
        if len(destination) > 1 and parts[: len(destination)] == destination:
            rest = parts[len(destination) :]
            return not is_bind(mount) or Path(mount.get("source") or "/", *rest).is_dir()
    return False
