"""What one container's life costs through everything, against the same runc calls from a bare loop.

For `scripts/bench`; needs root and runc. A life is create, start, wait, remove of /bin/true. Both sides take turns in one
run and the median of each counts.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from actors.api import open_system
from actors.host.facts import choose_engine, read_facts
from actors.host.images import BUSYBOX, ImageStore, default_image_root, find_static_busybox
from actors.wire.spec import ContainerSpec, ProcessSpec

if TYPE_CHECKING:
    from actors.handles import SandboxHandle

ROUNDS = 20
GROUP = "/katrio-bench"
PR_SET_CHILD_SUBREAPER = 36
NAMESPACES = ("pid", "mount", "ipc", "uts")


async def measure() -> dict[str, dict[str, Any]]:
    """`container_life`, in ms; nothing where runc can't be used."""
    if choose_engine(read_facts())[0] != "runc":
        return {}
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    store = ImageStore(default_image_root(os.environ, os.geteuid()), find_static_busybox())
    ours: list[float] = []
    bare: list[float] = []
    with tempfile.TemporaryDirectory(prefix="katrio-bench") as name:
        bundle = Path(name)
        (bundle / "config.json").write_text(json.dumps(_config(store.resolve(BUSYBOX))))
        async with open_system(engine="runc") as system:
            box = await system.create_sandbox("bench")
            await box.start()
            for number in range(ROUNDS):
                ours.append(await _our_life(box, number))
                bare.append(await trio.to_thread.run_sync(partial(_bare_life, bundle, f"bench-{number}")))
    _remove_groups()
    value = statistics.median(ours)
    return {
        "container_life": {
            "value": round(value * 1000, 1),
            "unit": "ms",
            "against": "runc create, start, wait, delete from a bare loop",
            "ratio": round(value / statistics.median(bare), 2),
        }
    }


async def _our_life(box: SandboxHandle, number: int) -> float:
    spec = ContainerSpec(process=ProcessSpec(args=("/bin/true",)))
    began = time.perf_counter()
    container = await box.create_container(f"c{number}", spec)
    await container.start()
    await container.init.wait()
    await container.stop()
    await container.delete()
    return time.perf_counter() - began


def _bare_life(bundle: Path, container: str) -> float:
    pid_file = bundle / "pid"
    runc = partial(
        subprocess.run, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    began = time.perf_counter()
    runc(["runc", "create", "--bundle", str(bundle), "--pid-file", str(pid_file), container])
    descriptor = os.pidfd_open(int(pid_file.read_text()))
    runc(["runc", "start", container])
    os.waitid(os.P_PIDFD, descriptor, os.WEXITED)
    runc(["runc", "delete", container])
    os.close(descriptor)
    return time.perf_counter() - began


def _config(root: Path) -> dict[str, Any]:
    return {
        "ociVersion": "1.0.2",
        "process": {"args": ["/bin/true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
        "root": {"path": str(root), "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {"cgroupsPath": f"{GROUP}/one", "namespaces": [{"type": kind} for kind in NAMESPACES]},
    }


def _remove_groups() -> None:
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        group = hierarchy / GROUP.lstrip("/")
        if group.is_dir():
            group.rmdir()
