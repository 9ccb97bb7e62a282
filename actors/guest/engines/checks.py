"""Checks, before a runtime is called, for what a runtime would get wrong or report unclearly.

For the OCI engine; each error names the client's field. Errors that only a runtime can detect are in `refusals`,
programs in `executables`.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, InvalidTransition
from actors.guest.engines.oci_config import Document, is_bind, process_document
from actors.guest.engines.rlimits import check_rlimits
from actors.guest.engines.rootfs import TEXT_BYTES
from actors.node.exhaustion import raise_if_exhausted
from actors.node.users import home_of, run_as

if TYPE_CHECKING:
    from actors.guest.engines.rootfs import Root

__all__ = ["check_container_users", "check_image_users", "check_mounts", "checked_process"]

_PASSWD, _GROUP = "/etc/passwd", "/etc/group"


def checked_process(asked: Document, root: Root, *, mounts: list[Document], most: int) -> Document:
    """The process as the runtime gets it: numeric user ids up to `most`, and the usual environment variables.

    Raises: InvalidArgument: no program, an unknown user, a missing working directory (which a runtime would create), or
    contradictory limits.
    """
    if not asked.get("args"):
        raise InvalidArgument("the process has no program to run: args is empty", field="args")
    cwd = asked.get("cwd") or "/"
    if not os.path.isabs(cwd) or not (_below_a_mount(cwd, mounts) or root.is_directory(cwd)):
        raise InvalidArgument(f"cwd {cwd!r}: no such directory in the container", field="cwd")
    check_rlimits(asked)
    found = run_as(asked.get("user") or {}, root.text, most)
    user = {"uid": found.uid, "gid": found.gid, "additionalGids": list(found.groups)}
    return process_document(asked, user, home=home_of(found.uid, root.text(_PASSWD)))


def check_mounts(mounts: list[Document]) -> None:
    """Raises: InvalidArgument for what runtimes treat differently: a mount on the root itself, a bind of a relative path."""
    for mount in mounts:
        destination, source = mount["destination"], mount.get("source") or ""
        if not [part for part in destination.split("/") if part not in ("", ".", "..")]:
            raise InvalidArgument(f"mount on {destination!r}: need a path below the container's root", field="mounts")
        if is_bind(mount) and not os.path.isabs(source):
            raise InvalidArgument(
                f"mount on {destination!r}: its source {source!r} is no absolute path in the guest's sight",
                field="mounts",
            )


def check_image_users(root: Root) -> None:
    """Check user files of a rootfs before anything has run in it, uniformly for every runtime. Opens nothing.

    Raises:
        InvalidArgument: /etc/passwd or /etc/group exists but is no regular file, or is over 1 MiB.
        OSError: no file descriptor is left.
    """
    path = _odd_user_file(root)
    if path:
        raise InvalidArgument(
            f"{path} of the container's root: expected a regular file of at most {TEXT_BYTES} bytes", field="root"
        )


def check_container_users(container: str, root: Root) -> None:
    """Before an exec by a runtime that looks up every user, even a number: a pipe would block it for ever, a device fill its memory.

    Raises: InvalidTransition: the container has replaced a user file by something else; OSError: as above.
    """
    path = _odd_user_file(root)
    if path:
        raise InvalidTransition(
            f"exec in container {container!r}: its own {path} is no regular file of at most {TEXT_BYTES} bytes any more, and no "
            "user can be looked up; remove the container",
            state="no users",
            verb="exec",
        )


def _odd_user_file(root: Root) -> str:
    for path in (_PASSWD, _GROUP):
        try:
            with root.opened(path, os.O_PATH) as descriptor:
                found = os.fstat(descriptor)
        except OSError as error:
            raise_if_exhausted(error)
            continue
        if not stat.S_ISREG(found.st_mode) or found.st_size > TEXT_BYTES:
            return path
    return ""


def _below_a_mount(path: str, mounts: list[Document]) -> bool:
    """Whether a directory would come from one of the mounts, and so can't be checked before they are made."""
    parts = Path(path).parts
    for mount in mounts:
        destination = Path(mount["destination"]).parts
        if len(destination) > 1 and parts[: len(destination)] == destination:
            rest = parts[len(destination) :]
            return not is_bind(mount) or Path(mount.get("source") or "/", *rest).is_dir()
    return False
