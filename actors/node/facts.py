"""This machine's capabilities, and the engine chosen from them.

For choosing an engine, the `doctor` command, and tests that need a runtime. `read_facts` inspects the machine;
`choose_engine` is pure. What a system takes by itself depends on a trial too: `actors.node.trials`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from actors.errors import InvalidArgument, Unsupported
from actors.node.busybox import end_of_child, find_static_busybox
from actors.node.cgroups import CgroupKind, read_layout
from actors.words import AUTO, ENGINES, FASTER, RUNTIMES

__all__ = ["Facts", "Tool", "choose_engine", "find_runtime", "missing_for", "read_facts"]


class Tool(NamedTuple):
    """One installed program, and the first line of its `--version`."""

    path: str
    version: str


class Facts(NamedTuple):
    """A snapshot of this machine.

    Attributes:
        trial: of the faster runtime (`actors.node.trials`): why it failed, empty when it works; None: it was not tried.
    """

    root: bool
    runc: Tool | None
    crun: Tool | None
    cgroups: CgroupKind
    freezer: bool
    busybox: str | None
    user_namespaces: bool
    overlayfs: bool
    trial: str | None = None

    def tool(self, runtime: str) -> Tool | None:
        """One of `RUNTIMES`."""
        found: Tool | None = getattr(self, runtime)
        return found


def find_runtime(name: str) -> str | None:
    """The path of a runtime's program, also in system directories missing from PATH; None if not installed."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def _tool(name: str) -> Tool | None:
    path = find_runtime(name)
    if path is None:
        return None
    read_end, write_end = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_CLOSE, read_end)]
    try:
        pid = os.posix_spawn(path, [path, "--version"], dict(os.environ), file_actions=actions)
    except OSError:
        os.close(read_end)
        return None
    finally:
        os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8", errors="replace") as file:
        first = file.read(4096).partition("\n")[0].strip()
    return Tool(path, first) if end_of_child(pid) == 0 else None


def _number(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return 0


def _user_namespaces(root: bool) -> bool:
    switch = Path("/proc/sys/kernel/unprivileged_userns_clone")
    allowed = root or not switch.exists() or _number(str(switch)) == 1
    return allowed and _number("/proc/sys/user/max_user_namespaces") > 0


def read_facts() -> Facts:
    """Inspect this machine. Runs `runc --version` and `crun --version` (a few ms each); changes nothing."""
    layout = read_layout()
    busybox = find_static_busybox()
    filesystems = Path("/proc/filesystems").read_text().split()
    freezer = layout.freezer
    root = os.geteuid() == 0
    return Facts(
        root=root,
        runc=_tool("runc"),
        crun=_tool("crun"),
        cgroups=layout.kind,
        freezer=freezer is not None and os.access(freezer.mount, os.W_OK),
        busybox=None if busybox is None else str(busybox),
        user_namespaces=_user_namespaces(root),
        overlayfs="overlay" in filesystems,
    )


def missing_for(facts: Facts, runtime: str) -> str:
    """Why this OCI runtime can't be used here, and what to install; empty if nothing is known to be missing."""
    if facts.tool(runtime) is None:
        return f"no {runtime} here (apt-get install {runtime})"
    if not facts.root:
        return "not root, and containers with control groups need root"
    if not facts.freezer:
        return f"no writable freezer here (cgroups: {facts.cgroups})"
    return ""


def choose_engine(facts: Facts, wanted: str = AUTO) -> tuple[str, str]:
    """The engine's name, and the reason in one line. One that is named is taken, whatever its trial showed.

    Raises:
        InvalidArgument: unknown engine.
        Unsupported: this machine can't run the named engine; says what to do.
    """
    if wanted not in (AUTO, *ENGINES):
        raise InvalidArgument(f"engine {wanted!r}: need {AUTO} or one of {', '.join(ENGINES)}", field="engine")
    if wanted == "processes":
        return "processes", "plain processes, as asked: no isolation"
    if wanted != AUTO:
        if missing := missing_for(facts, wanted):
            raise Unsupported(f"engine {wanted!r}: {missing}")
        return wanted, f"containers by {_version(facts, wanted)}, as asked"
    here = [runtime for runtime in RUNTIMES if not missing_for(facts, runtime)]
    if FASTER in here and facts.trial == "":
        return FASTER, f"containers by {_version(facts, FASTER)}, which a trial showed to work"
    if here:
        failed = f"; {FASTER} failed its trial: {facts.trial}" if facts.trial else ""
        return here[0], f"containers by {_version(facts, here[0])}{failed}"
    return "processes", f"plain processes without isolation: {missing_for(facts, RUNTIMES[0])}"


def _version(facts: Facts, runtime: str) -> str:
    tool = facts.tool(runtime)
    return runtime if tool is None else tool.version
