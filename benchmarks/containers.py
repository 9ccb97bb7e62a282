"""What a container's life and single verbs cost through everything, against the same runc calls from a bare loop.

Need root and runc. Ours is the whole way: handle, nng, actor, ttRPC, guest, engine, runc. A life is create, start,
wait, stop, delete of /bin/true.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from actors.api import open_system
from actors.images.store import BUSYBOX, ImageStore, default_image_root
from actors.node.busybox import find_static_busybox
from actors.node.facts import choose_engine, read_facts
from actors.wire.spec import ContainerSpec, ProcessSpec
from actors.words import AUTO
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, Skipped, take_turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from actors.handles import ContainerHandle, SandboxHandle

ROUNDS = 20
CROWD = 100
# bare runc processes at once: as many as our own guest runs, more only wait for each other
AT_ONCE = 2 * (os.cpu_count() or 1)
GROUP = "/katrio-bench"
PR_SET_CHILD_SUBREAPER = 36
NAMESPACES = ("pid", "mount", "ipc", "uts")
TRUE = ("/bin/true",)
SLEEP = ("/bin/sleep", "1000")


@asynccontextmanager
async def open_box(engine: str = "runc") -> AsyncGenerator[SandboxHandle]:
    """A started sandbox whose guest uses that engine."""
    if choose_engine(read_facts())[0] != "runc":
        raise Skipped("needs root and runc")
    async with open_system(engine=engine) as system:
        box = await system.create_sandbox("bench")
        await box.start()
        yield box


@asynccontextmanager
async def open_bundle(*args: str) -> AsyncGenerator[Path]:
    """A directory that runc runs `args` from; its control groups go with it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    store = ImageStore(default_image_root(os.environ, os.geteuid()), find_static_busybox())
    with tempfile.TemporaryDirectory(prefix="katrio-bench") as name:
        bundle = Path(name)
        (bundle / "config.json").write_text(json.dumps(_config(store.resolve(BUSYBOX), args)))
        yield bundle
    _remove_groups()


@asynccontextmanager
async def _open_pair() -> AsyncGenerator[tuple[ContainerHandle, str]]:
    """A running container of ours, and the id of a bare one; both sleep."""
    async with open_box() as box, open_bundle(*SLEEP) as bundle:
        container = await box.create_container("pair", ContainerSpec(process=ProcessSpec(args=SLEEP)))
        await container.start()
        _runc("create", "--bundle", str(bundle), "--pid-file", str(bundle / "pid"), "bench-pair")
        try:
            _runc("start", "bench-pair")
            yield container, "bench-pair"
        finally:
            _runc("delete", "--force", "bench-pair")


def in_thread(work: Callable[..., object], *args: object) -> Callable[[], Awaitable[float]]:
    """One turn: how many ms `work` takes in a thread."""

    async def turn() -> float:
        return await trio.to_thread.run_sync(_milliseconds, partial(work, *args))

    return turn


def _milliseconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return (perf_counter() - began) * 1000


async def _life(effort: Effort) -> Measured:
    numbers = iter(range(1_000_000))
    # with the engine that a system takes by itself: what is compared is what one would use without katrio
    async with open_box(AUTO) as box, open_bundle(*TRUE) as bundle:

        async def ours() -> float:
            began = perf_counter()
            await _our_life(box, next(numbers))
            return (perf_counter() - began) * 1000

        mine, bare = await take_turns(
            effort.rounds(ROUNDS), ours, in_thread(lambda: _bare_life(bundle, f"bench-{next(numbers)}"))
        )
    return Measured(mine, [Comparison("runc create, start, wait, delete from a bare loop", bare, Goal(most=0.8))])


async def _exec(effort: Effort) -> Measured:
    numbers = iter(range(1_000_000))
    async with _open_pair() as (container, bare):

        async def ours() -> float:
            began = perf_counter()
            process = await container.exec(f"e{next(numbers)}", ProcessSpec(args=TRUE))
            await process.wait()
            return (perf_counter() - began) * 1000

        mine, theirs = await take_turns(effort.rounds(ROUNDS), ours, in_thread(_runc, "exec", bare, *TRUE))
    return Measured(mine, [Comparison("runc exec", theirs, Goal(most=1.3))])


async def _pause_resume(effort: Effort) -> Measured:
    async with _open_pair() as (container, bare):

        async def ours() -> float:
            began = perf_counter()
            await container.pause()
            await container.resume()
            return (perf_counter() - began) * 1000

        def theirs() -> None:
            _runc("pause", bare)
            _runc("resume", bare)

        mine, other = await take_turns(effort.rounds(ROUNDS), ours, in_thread(theirs))
    return Measured(mine, [Comparison("runc pause + runc resume", other, Goal(most=0.5))])


async def _stats(effort: Effort) -> Measured:
    async with _open_pair() as (container, bare):

        async def ours() -> float:
            began = perf_counter()
            await container.stats()
            return (perf_counter() - began) * 1000

        mine, theirs = await take_turns(effort.rounds(ROUNDS), ours, in_thread(_runc, "events", "--stats", bare))
    return Measured(mine, [Comparison("runc events --stats", theirs, Goal(most=0.1))])


async def _crowd(effort: Effort) -> Measured:
    """Starts of many at once, each waiting for its /bin/sleep to run."""
    crowd = effort.times(CROWD)
    async with open_box() as box, open_bundle(*SLEEP) as bundle:

        async def ours() -> float:
            spec = ContainerSpec(process=ProcessSpec(args=SLEEP))
            made: list[ContainerHandle] = []

            async def start(number: int) -> None:
                container = await box.create_container(f"crowd{number}", spec)
                await container.start()
                made.append(container)

            began = perf_counter()
            async with trio.open_nursery() as nursery:
                for number in range(crowd):
                    nursery.start_soon(start, number)
            rate = crowd / (perf_counter() - began)
            async with trio.open_nursery() as nursery:
                for container in made:
                    nursery.start_soon(_end, container)
            return rate

        limiter = trio.CapacityLimiter(AT_ONCE)

        async def theirs() -> float:

            def start(number: int) -> None:
                name = f"bench-crowd{number}"
                _runc("create", "--bundle", str(bundle), "--pid-file", str(bundle / f"pid{number}"), name)
                _runc("start", name)

            async def bare(work: Callable[[int], None], number: int) -> None:
                await trio.to_thread.run_sync(work, number, limiter=limiter)

            async def each(work: Callable[[int], None]) -> None:
                async with trio.open_nursery() as nursery:
                    for number in range(crowd):
                        nursery.start_soon(bare, work, number)

            began = perf_counter()
            await each(start)
            rate = crowd / (perf_counter() - began)
            await each(lambda number: _runc("delete", "--force", f"bench-crowd{number}"))
            return rate

        mine, other = await take_turns(effort.rounds(3), ours, theirs)
    return Measured(mine, [Comparison(f"runc create + start, {AT_ONCE} at once", other, Goal(least=0.7))])


async def _our_life(box: SandboxHandle, number: int) -> None:
    container = await box.create_container(f"c{number}", ContainerSpec(process=ProcessSpec(args=TRUE)))
    await container.start()
    await container.init.wait()
    await container.stop()
    await container.delete()


async def _end(container: ContainerHandle) -> None:
    await container.stop(grace=0)
    await container.delete()


def _runc(*arguments: str) -> None:
    subprocess.run(
        ["runc", *arguments], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _bare_life(bundle: Path, container: str) -> None:
    pid_file = bundle / "pid"
    _runc("create", "--bundle", str(bundle), "--pid-file", str(pid_file), container)
    descriptor = os.pidfd_open(int(pid_file.read_text()))
    _runc("start", container)
    os.waitid(os.P_PIDFD, descriptor, os.WEXITED)
    _runc("delete", container)
    os.close(descriptor)


def _config(root: Path, args: tuple[str, ...]) -> dict[str, Any]:
    return {
        "ociVersion": "1.0.2",
        "process": {"args": args, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
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


FIGURES = (
    Figure(
        "container_life",
        "create, start, wait, stop, delete of /bin/true, with the engine that is taken by itself",
        "ms",
        _life,
    ),
    Figure("exec_true", "exec of /bin/true in a running container, and its wait", "ms", _exec),
    Figure("pause_resume", "pause and resume of a running container", "ms", _pause_resume),
    Figure("stats", "one container's counters", "ms", _stats),
    Figure("containers_100", f"{CROWD} containers created and started at once", "containers/s", _crowd),
)
