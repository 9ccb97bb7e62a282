"""How each engine handles each field of an OCI specification: one table, by which it refuses what it would ignore.

Engines check it first in `create` and `exec`. A field that an engine neither applies nor refuses is listed too, with
the reason. Pure. Values that are invalid for any engine are in `actors.wire.fields`, cgroup limits that are changed
later in `resources`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.guest.engines.oci_config import Document

__all__ = ["ROWS", "Handling", "Row", "refuse_unenforced"]


class Handling(StrEnum):
    """How a field that is set is handled."""

    APPLIED = "applied"
    REFUSED = "refused"
    # accepted and not applied: clients set it in every specification, so a refusal would refuse every container
    LEFT = "left"
    # some values are applied or harmless, the others refused
    PARTLY = "partly"


class Row(NamedTuple):
    """`field` as OCI's JSON has it, from the specification's root; `runtimes` is for runc and crun."""

    field: str
    runtimes: Handling
    processes: Handling
    simulated: Handling
    # why it is not applied everywhere
    why: str = ""
    # of PARTLY: what of a value (never empty) is refused; empty for what is not
    refuses: Callable[[str, list[Document]], str] | None = None

    def deed(self, engine: str) -> Handling:
        """By the engine's name."""
        match engine:
            case "processes":
                return self.processes
            case "simulated":
                return self.simulated
            case _:
                return self.runtimes


# of the machine's own, a plain process sees the same or the like at the same place
_KERNEL_MOUNTS = frozenset(("proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "devtmpfs"))
_SCRATCH = frozenset(("/dev", "/dev/shm", "/run", "/tmp", "/var/run", "/var/tmp"))
_NAMESPACES = frozenset(("pid", "mount", "cgroup", "network", "ipc", "uts"))
_SHOWN = 80


def _mounts(engine: str, mounts: list[Document]) -> str:
    """Memory can be mounted in a simulated container, and what a kernel mounts changes nothing there. A plain process finds
    the machine's own, so that only places are taken which are alike on every machine, and writable by all."""
    for mount in mounts:
        kind, place = mount.get("type", ""), mount["destination"]
        scratch = kind == "tmpfs" and (engine == "simulated" or place.rstrip("/") in _SCRATCH)
        if kind not in _KERNEL_MOUNTS and not scratch:
            return f"the one at {place[:_SHOWN]!r}"
    return ""


def _namespaces(_: str, namespaces: list[Document]) -> str:
    for namespace in namespaces:
        if namespace["type"] not in _NAMESPACES:
            return f"one of type {namespace['type'][:_SHOWN]!r}"
        if namespace.get("path"):
            return f"the one at {namespace['path'][:_SHOWN]!r}"
    return ""


_A, _R, _L, _P = Handling.APPLIED, Handling.REFUSED, Handling.LEFT, Handling.PARTLY
_NO_HOOKS = "a guest runs no programs of its client's beside containers"
_NO_LABELS = "a guest loads no policy of that kind"
_NO_USERS = "containers here have no user namespace, so that their root is the guest's"
_PLAIN = "the engine has nothing to apply it by; use a container runtime"
_EVERYBODY = "the engine isolates nothing, which its guest says in its details"
_SANDBOX = "the sandbox's own counts: the guest sets it, whatever the engine"

ROWS: tuple[Row, ...] = (
    Row("process.terminal", _A, _A, _A),
    Row("process.consoleSize", _A, _A, _A),
    Row("process.user", _A, _A, _A),
    Row("process.args", _A, _A, _A),
    Row("process.env", _A, _A, _A),
    Row("process.cwd", _A, _A, _A),
    Row("process.capabilities", _A, _L, _L, _EVERYBODY),
    Row("process.rlimits", _A, _A, _R, _PLAIN),
    Row("process.noNewPrivileges", _A, _L, _L, _EVERYBODY),
    Row("process.apparmorProfile", _R, _R, _R, _NO_LABELS),
    Row("process.oomScoreAdj", _A, _A, _R, _PLAIN),
    Row("process.selinuxLabel", _R, _R, _R, _NO_LABELS),
    Row("root.path", _A, _L, _L, "the engine has one root for all: the machine's own, or the simulated image"),
    Row("root.readonly", _A, _R, _A, _PLAIN),
    Row("hostname", _L, _L, _L, _SANDBOX),
    Row("mounts", _A, _P, _P, "its containers see none of the client's files; use a container runtime", _mounts),
    Row("hooks", _R, _R, _R, _NO_HOOKS),
    Row("annotations", _L, _L, _L, "the client's own words: the guest keeps them, and no runtime gets any to obey"),
    Row("solaris", _R, _R, _R, "containers here are Linux's"),
    Row("windows", _R, _R, _R, "containers here are Linux's"),
    Row("linux.uidMappings", _R, _R, _R, _NO_USERS),
    Row("linux.gidMappings", _R, _R, _R, _NO_USERS),
    Row("linux.sysctl", _L, _L, _L, _SANDBOX),
    # by its fields: see `resources` and the engines
    Row("linux.resources", _A, _A, _A),
    Row("linux.cgroupsPath", _L, _L, _L, "the guest names its groups, so that what is left can be found"),
    Row(
        "linux.namespaces", _P, _P, _P, "a container has its own or its sandbox's, as the guest makes them", _namespaces
    ),
    Row("linux.devices", _A, _R, _R, _PLAIN),
    Row("linux.seccomp", _A, _R, _R, _PLAIN),
    Row("linux.rootfsPropagation", _A, _R, _R, _PLAIN),
    Row("linux.maskedPaths", _A, _L, _L, _EVERYBODY),
    Row("linux.readonlyPaths", _A, _L, _L, _EVERYBODY),
    Row("linux.mountLabel", _R, _R, _R, _NO_LABELS),
    Row("linux.intelRdt", _R, _R, _R, "the guest has no share of this machine's caches to give"),
)


def refuse_unenforced(engine: str, container: str, document: Document) -> None:
    """A whole specification, or `{"process": ...}` alone, as plain values that leave out what is not set.

    Raises: Unsupported, `field` being the row's.
    """
    for row in ROWS:
        deed = row.deed(engine)
        value: Any = document
        for name in row.field.split("."):
            value = value.get(name) or {}
        if not value or deed in (Handling.APPLIED, Handling.LEFT):
            continue
        which = ""
        if deed is Handling.PARTLY:
            assert row.refuses is not None
            which = row.refuses(engine, value)
            if not which:
                continue
        raise Unsupported(
            f"container {container!r}: {row.field}{which and f' ({which})'} can't be applied by the engine {engine!r}: "
            f"{row.why}; leave it out",
            field=row.field,
        )
