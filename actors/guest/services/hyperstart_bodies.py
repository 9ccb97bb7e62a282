"""From hyperstart's command bodies to the OCI values that engines take.

A real guest gives its containers full root in a VM; ours shares the machine with the host, so
they get the same confinement as all our containers.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, Unsupported
from actors.schemas import oci
from actors.schemas.agent import StringUser
from actors.schemas.defaults import CAPABILITIES, MASKED, MOUNTS, OCI_VERSION, READONLY
from actors.schemas.users import with_user

if TYPE_CHECKING:
    from transports.hyperstart.messages import Container, Process

__all__ = ["oci_process", "oci_spec"]


def oci_spec(body: Container, share: str) -> oci.Spec:
    """For a NEWCONTAINER. Raises: InvalidArgument, Unsupported."""
    if body.fstype:
        raise Unsupported("NEWCONTAINER: this guest has no block devices", field="fstype")
    inside = f"{body.image}/{body.rootfs}"
    if ".." in inside.split("/") or "\0" in inside:
        raise InvalidArgument(f"root {inside[:80]!r}: expected a path without '..'", field="rootfs")
    return oci.Spec(
        version=OCI_VERSION,
        process=oci_process(body.process),
        root=oci.Root(path=posixpath.normpath(f"{share}/{inside}"), readonly=body.readOnly),
        mounts=MOUNTS,
        linux=oci.Linux(
            resources=oci.LinuxResources(),
            namespaces=tuple(oci.LinuxNamespace(type=kind) for kind in ("mount", "ipc", "uts")),
            masked_paths=MASKED,
            readonly_paths=READONLY,
        ),
    )


def oci_process(body: Process) -> oci.Process:
    """One process. Raises: InvalidArgument."""
    if body.workdir and not body.workdir.startswith("/"):
        raise InvalidArgument(f"workdir {body.workdir[:80]!r}: expected an absolute path", field="cwd")
    process = oci.Process(
        terminal=body.terminal,
        args=body.args,
        env=tuple(f"{one.env}={one.value}" for one in body.envs),
        cwd=body.workdir or "/",
        capabilities=oci.LinuxCapabilities(bounding=CAPABILITIES, effective=CAPABILITIES, permitted=CAPABILITIES),
        no_new_privileges=True,
    )
    # names and numeric ids are looked up by the engine, in the container's own passwd
    return with_user(process, StringUser(uid=body.user, gid=body.group))
