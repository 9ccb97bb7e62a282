"""`katrio doctor`: what works on this machine, what does not and why, and what to do about it.

Engines are tried with a real container, through everything from the handle to the runtime; the rest is looked at. It
changes nothing but the image store and what is kept of a trial, and leaves nothing behind. Not for repairs: `katrio sweep` removes leftovers.

Exit codes: 0 when containers can be run here, by whatever engine; 3 when none can.
"""

from __future__ import annotations

import os
import platform
import resource
import socket
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import trio

from actors.api import open_embedded
from actors.cli.exits import Exit
from actors.cli.say import say
from actors.errors import InternalError, KatrioError
from actors.images.store import default_image_root
from actors.images.unpacked import abandoned_images, used_bytes
from actors.limits import DEFAULT_LIMITS
from actors.node import rundir
from actors.node.busybox import INSTALL
from actors.node.cgroups import CgroupKind, read_layout
from actors.node.facts import choose_engine, missing_for, read_facts
from actors.node.places import OWN_ADVICE, untrusted_reason
from actors.node.roots import default_roots, leftover_roots
from actors.node.trials import tried
from actors.nurseries import plain_error
from actors.reporting.texts import json_text
from actors.wire.spec import ContainerSpec, ProcessSpec
from actors.words import ENGINES, FASTER, RUNTIMES

if TYPE_CHECKING:
    from pathlib import Path

    from actors.node.facts import Facts

__all__ = ["Check", "Verdict", "doctor", "examine", "examine_images"]

# a guest, a container and its end take 0.5 s; one that needs this long does not work
_TRIAL_SECONDS = 20.0
# a sandbox needs some 20 descriptors here, a container 10 in its guest
_FILES, _PROCESSES = 1024, 512
_WIDTH = 16


class Verdict(StrEnum):
    """`MISSING` is worth knowing and stops nothing that is there; `BROKEN` should work and does not."""

    WORKS = "works"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, what was found, and what a person can do."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def doctor(*, as_json: bool, run_dir: Path | None) -> int:
    """Print every check; the exit code."""
    # whoever has mended something wants to know whether it works now
    facts = tried(read_facts(), anew=True)
    run_root = run_dir or rundir.default_run_root(os.environ, os.geteuid())
    checks = examine(facts, run_root)
    usable = [check.name for check in checks if check.name in ENGINES and check.verdict is Verdict.WORKS]
    chosen = choose_engine(facts)[0]
    if as_json:
        document = {"usable": chosen in usable, "engine": chosen, "checks": [asdict(check) for check in checks]}
        say(*json_text(document, indent=2).splitlines())
    else:
        for check in checks:
            _print(check)
        say()
        say(_summary(chosen, usable))
    return Exit.HELD if chosen in usable else Exit.INFRASTRUCTURE


def _print(check: Check) -> None:
    marks = {Verdict.WORKS: "ok", Verdict.MISSING: "--", Verdict.BROKEN: "!!"}
    say(f"{marks[check.verdict]}  {check.name:<{_WIDTH}}{check.found}")
    if check.advice:
        say(f"    {'':<{_WIDTH}}-> {check.advice}")


def _summary(chosen: str, usable: list[str]) -> str:
    if chosen in usable:
        others = [name for name in usable if name != chosen]
        return f"Containers run here, by {chosen}{' (or ' + ', '.join(others) + ')' if others else ''}."
    if usable:
        return f"{chosen} would be taken and does not work; name another one: katrio run --engine {usable[0]}"
    return "No container can be run here; see the lines marked !! above."


def examine(facts: Facts, run_root: Path) -> list[Check]:
    """Every check, in the order of a person's questions."""
    return [
        Check(
            "python", Verdict.WORKS, f"{platform.python_version()} on Linux {platform.release()}, {platform.machine()}"
        ),
        _rights(facts),
        _control_groups(facts),
        *(_runtime(facts, name, run_root) for name in RUNTIMES),
        _engine(facts),
        _trial("processes", run_root, "plain processes: no isolation, no limits, no images"),
        examine_images(facts),
        _overlay(facts),
        _run_directory(run_root),
        _limits(),
        _leftovers(run_root),
        _device("kvm", "/dev/kvm", "virtual machines would run without acceleration"),
        _vsock(),
    ]


def _rights(facts: Facts) -> Check:
    if facts.root:
        return Check("rights", Verdict.WORKS, "root: namespaces, mounts and control groups are ours to make")
    if facts.user_namespaces:
        found = f"uid {os.geteuid()} with user namespaces: plain processes only"
        return Check("rights", Verdict.MISSING, found, "run as root for containers with images and limits")
    return Check(
        "rights",
        Verdict.MISSING,
        f"uid {os.geteuid()} without user namespaces: guests share this machine's processes",
        "run as root, or sysctl kernel.unprivileged_userns_clone=1",
    )


def _control_groups(facts: Facts) -> Check:
    layout = read_layout()
    names = [name for name in ("cpu", "memory", "pids", "cpuset", "blkio") if layout.controller(name) is not None]
    if facts.cgroups is CgroupKind.NONE:
        return Check("control groups", Verdict.MISSING, "none mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    if not facts.freezer:
        found = f"{facts.cgroups}, and its freezer can't be written"
        return Check("control groups", Verdict.MISSING, found, "run as root, in a container: with --privileged")
    return Check("control groups", Verdict.WORKS, f"{facts.cgroups}, writable: freezer {' '.join(names)}")


def _runtime(facts: Facts, name: str, run_root: Path) -> Check:
    missing = missing_for(facts, name)
    tool = facts.tool(name)
    if missing or tool is None:
        return Check(
            name, Verdict.MISSING, missing.partition(" (")[0], f"apt-get install {name}" if tool is None else ""
        )
    return _trial(name, run_root, tool.version)


def _engine(facts: Facts) -> Check:
    """What is taken where none is named. A faster one that failed stops nothing."""
    engine, reason = choose_engine(facts)
    advice = f"katrio run --engine {FASTER} shows more" if facts.trial and engine != FASTER else ""
    return Check("engine", Verdict.MISSING if facts.trial else Verdict.WORKS, f"{engine}: {_one_line(reason)}", advice)


def _trial(engine: str, run_root: Path, what: str) -> Check:
    """A sandbox, a container that ends with 7, and nothing left."""
    try:
        seconds = trio.run(_try_engine, engine, run_root)
    except (KatrioError, trio.TooSlowError) as error:
        return Check(engine, Verdict.BROKEN, f"{what}; tried, and: {_one_line(error)}")
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise
        return Check(engine, Verdict.BROKEN, f"{what}; tried, and: {_one_line(plain_error(group))}")
    except OSError as error:
        return Check(engine, Verdict.BROKEN, f"{what}; tried, and: {_one_line(error)}")
    return Check(engine, Verdict.WORKS, f"{what}; a sandbox with a container ran and ended in {seconds:.2f} s")


def _one_line(error: BaseException | str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


async def _try_engine(engine: str, run_root: Path) -> float:
    began = trio.current_time()
    with trio.fail_after(_TRIAL_SECONDS):
        async with open_embedded(agent="kata", engine=engine, run_dir=run_root) as world:
            box = await world.system.create_sandbox("doctor")
            await box.start()
            spec = ContainerSpec(process=ProcessSpec(args=("sh", "-c", "exit 7")))
            container = await box.create_container("trial", spec)
            await container.start()
            code = (await container.init.wait()).code
    if code != 7:
        raise InternalError(f"its process should have ended with 7, and ended with {code}")
    return trio.current_time() - began


def examine_images(facts: Facts) -> Check:
    """Whether images can be unpacked here, and what of it is there."""
    root = default_image_root(os.environ, os.geteuid())
    place = root
    # what lies behind a directory that is closed to us is as good as not there
    while not os.path.lexists(place):
        place = place.parent
    if wrong := _unusable(root, place):
        if not facts.root:
            found = f"{root} {wrong}; plain processes, which run here without root, have no images"
            return Check("images", Verdict.MISSING, found, f"for conformance and call {OWN_ADVICE}")
        return Check("images", Verdict.BROKEN, f"{root} {wrong}", "see docs/images.md")
    free = os.statvfs(place)
    used, most = used_bytes(root) >> 20, DEFAULT_LIMITS.image_store_bytes >> 20
    room = f"{root}, {used} MiB used (at most {most >> 10} GiB), {free.f_bavail * free.f_frsize >> 30} GiB free"
    if facts.busybox is None:
        return Check("images", Verdict.MISSING, f"{room}; no static busybox for the built-in image", INSTALL)
    return Check("images", Verdict.WORKS, f"{room}; built-in image from {facts.busybox}")


def _unusable(root: Path, place: Path) -> str:
    """Why images can't be unpacked below a store's directory, of which `place` is there; empty when they can."""
    if why := untrusted_reason(root):
        return f"can be written by others and is not taken: {why}"
    return "" if os.access(place, os.W_OK | os.X_OK) else "can't be written"


def _overlay(facts: Facts) -> Check:
    if facts.overlayfs:
        return Check("overlayfs", Verdict.WORKS, "a container's writes go to a layer of its own")
    return Check("overlayfs", Verdict.MISSING, "each container gets a copy of its image", "modprobe overlay")


def _run_directory(root: Path) -> Check:
    try:
        rundir.RunDirectory(root / ("x" * 40))
    except KatrioError as error:
        return Check("run directory", Verdict.BROKEN, _one_line(error), "name a shorter one with --run-dir")
    try:
        rundir.check_run_root(root)
    except KatrioError as error:
        found, _, advice = _one_line(error).partition("; ")
        return Check("run directory", Verdict.BROKEN, found, advice)
    return Check("run directory", Verdict.WORKS, f"{root}")


def _limits() -> Check:
    files, processes = resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_NPROC)
    found = f"{_number(files[0])} open files, {_number(processes[0])} processes"
    if 0 <= files[0] < _FILES or (os.geteuid() != 0 and 0 <= processes[0] < _PROCESSES):
        return Check("limits", Verdict.BROKEN, f"{found}: enough for a few containers only", f"ulimit -n {_FILES * 4}")
    return Check("limits", Verdict.WORKS, found)


def _number(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def _leftovers(run_root: Path) -> Check:
    user = os.geteuid()
    try:
        dead = rundir.abandoned(run_root) + abandoned_images(default_image_root(os.environ, user))
    except OSError as error:
        return Check("leftovers", Verdict.BROKEN, f"{error.strerror}", "let it go on, or kill it")
    place = default_roots(os.environ, user)
    if why := untrusted_reason(place):
        return Check("leftovers", Verdict.BROKEN, f"{place}: others may write it: {why}", OWN_ADVICE)
    roots = leftover_roots(place)
    dead += [left.directory.name for left in roots if left.dead]
    if dead:
        return Check("leftovers", Verdict.BROKEN, f"of dead owners: {', '.join(dead[:10])}", "katrio sweep")
    used = [f"{left.directory.name} of the agent at {left.why}" for left in roots]
    return Check("leftovers", Verdict.WORKS, f"none; roots may be in use: {', '.join(used[:10])}" if used else "none")


def _device(name: str, path: str, otherwise: str) -> Check:
    if os.access(path, os.R_OK | os.W_OK):
        return Check(name, Verdict.WORKS, path)
    return Check(
        name, Verdict.MISSING, f"{path} is {'not ours to open' if os.path.exists(path) else 'not here'}: {otherwise}"
    )


def _vsock() -> Check:
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError as error:
        return Check("vsock", Verdict.MISSING, f"{error.strerror}: a VM would be reached over hybrid vsock")
    if not os.path.exists("/dev/vhost-vsock"):
        return Check("vsock", Verdict.MISSING, "no /dev/vhost-vsock: a VM would be reached over hybrid vsock")
    return Check("vsock", Verdict.WORKS, "/dev/vhost-vsock")
