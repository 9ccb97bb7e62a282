"""Guests are forked from one template: what they share, what they must not, and who outlives whom.

A second for each sandbox that is the first of its template, a tenth for each other.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import open_system
from actors.errors import GuestDied
from actors.launchers import templates
from actors.launchers.embedded import open_guests
from actors.launchers.forked import first_report
from actors.launchers.templates import open_template, open_templates
from actors.limits import DEFAULT_LIMITS
from actors.node.marks import read_process
from actors.nurseries import open_collapsing_nursery
from actors.seams import real_seams
from tests.support.boxes import guest_pid

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from actors.handles import SandboxHandle, SystemHandle
    from actors.launchers.embedded import EmbeddedGuests
    from actors.launchers.template import GuestTemplate

TEMPLATE = (sys.executable, "-P", "-m", "actors.guest.template", "--engine", "processes")
SECONDS = DEFAULT_LIMITS.guest_start_seconds


def owner(run_dir: Path, sandbox: str) -> Path:
    """The sandbox's run directory."""
    (found,) = (path for path in run_dir.glob(f"{sandbox}-*") if path.is_dir())
    return found


def names_below(run_dir: Path) -> set[str]:
    return {path.name for path in run_dir.glob("*")}


def family(directory: Path) -> tuple[int, int, int]:
    """The pids of the sandbox's template, launcher and guest."""
    guest = read_process(guest_pid(directory))
    assert guest is not None
    launcher = read_process(guest.parent)
    assert launcher is not None
    return launcher.parent, launcher.pid, guest.pid


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def template_of(directory: Path) -> int:
    return family(directory)[0]


@pytest.fixture(autouse=True)
def each_system_has_its_own() -> Iterator[None]:
    """As in a program that shares none; the session's are for the other tests."""
    before = templates.SHARED.set(None)
    yield
    templates.SHARED.reset(before)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@asynccontextmanager
async def a_system(run_dir: Path) -> AsyncGenerator[SystemHandle]:
    async with open_system(engine="processes", run_dir=run_dir) as system:
        yield system


async def started(system: SystemHandle, name: str) -> SandboxHandle:
    box = await system.create_sandbox(name)
    await box.start()
    return box


async def test_all_guests_of_a_system_are_forked_from_one_template(run_dir: Path) -> None:
    async with a_system(run_dir) as system:
        async with trio.open_nursery() as nursery:
            for name in ("aa", "bb", "cc"):
                nursery.start_soon(started, system, name)
        await started(system, "dd")
        templates = {template_of(owner(run_dir, name)) for name in ("aa", "bb", "cc", "dd")}
        names = [name_of(pid) for pid in family(owner(run_dir, "dd"))]
    assert names == ["katrio-template", "katrio-launcher", "katrio-guest"]
    assert len(templates) == 1
    assert read_process(templates.pop()) is None, "it ends with its system"


async def test_a_template_that_is_killed_costs_the_next_start_alone(run_dir: Path) -> None:
    async with a_system(run_dir) as system:
        box = await started(system, "aa")
        first = template_of(owner(run_dir, "aa"))
        os.kill(first, signal.SIGKILL)
        assert (await box.info()).state == "running"
        await started(system, "bb")
        assert template_of(owner(run_dir, "bb")) != first
        assert (await box.info()).state == "running"


async def test_nothing_of_a_sandbox_is_in_its_template_nor_in_the_next_guest(run_dir: Path) -> None:
    """The name, searched in all memory: it is in the run directory's path and in every request, as other data is."""
    # short: it is in the path of a socket
    name = "x" + os.urandom(5).hex()
    async with a_system(run_dir) as system:
        # what is searched for is found where it belongs
        box = await started(system, name)
        directory = owner(run_dir, name)
        assert name.encode() in memory_of(guest_pid(directory))
        template = template_of(directory)
        await box.stop()
        await box.delete()
        await started(system, "next")
        assert template_of(owner(run_dir, "next")) == template
        assert name.encode() not in memory_of(template)
        assert name.encode() not in memory_of(guest_pid(owner(run_dir, "next")))


def memory_of(pid: int) -> bytes:
    """What a process can write to."""
    areas = re.findall(r"^(\w+)-(\w+) rw", Path(f"/proc/{pid}/maps").read_text(), re.MULTILINE)
    found = bytearray()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for begin, end in areas:
            memory.seek(int(begin, 16))
            found += memory.read(int(end, 16) - int(begin, 16))
    return bytes(found)


@asynccontextmanager
async def guests_of(module: str, run_dir: Path) -> AsyncGenerator[EmbeddedGuests]:
    async with open_guests(
        run_root=run_dir,
        engine="processes",
        environment=os.environ,
        seams=real_seams(),
        limits=DEFAULT_LIMITS,
        template=(module,),
    ) as guests:
        yield guests


async def why_not(guests: EmbeddedGuests, sandbox: str) -> str:
    async with open_collapsing_nursery() as nursery:
        with pytest.raises(GuestDied) as caught:
            await nursery.start(guests, sandbox)
    return str(caught.value)


async def test_what_is_drawn_at_random_is_drawn_anew_in_each_guest(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    async with guests_of("tests.support.drawing", run_dir) as guests:
        drawn = [re.findall(r"0\.\d+", await why_not(guests, name)) for name in ("a", "b")]
    assert [len(draws) for draws in drawn] == [3, 3], drawn
    assert len({draw for draws in drawn for draw in draws}) == 6, drawn


async def test_a_template_that_can_t_come_up_is_told_with_its_words(run_dir: Path) -> None:
    async with guests_of("tests.support.nowhere", run_dir) as guests:
        told = await why_not(guests, "a")
    assert "its template ended with code 1; the last it said: " in told
    assert "No module named" in told


@asynccontextmanager
async def a_template(*argv: str) -> AsyncGenerator[GuestTemplate]:
    environment = {"PATH": os.environ["PATH"]}
    async with open_template(argv or TEMPLATE, environment=environment, processes=real_seams().processes) as template:
        yield template


async def test_a_template_that_hangs_is_replaced(tmp_path: Path) -> None:
    async with a_template() as template:
        launcher = await template.fork(tmp_path / "log", seconds=SECONDS)
        stopped = read_process(launcher.pid)
        assert stopped is not None
        os.kill(stopped.parent, signal.SIGSTOP)
        with pytest.raises(GuestDied, match=r"did not come up within 0.2 s: its template runs"):
            await template.fork(tmp_path / "log", seconds=0.2)
        assert read_process(stopped.parent) is None
        other = await template.fork(tmp_path / "log", seconds=SECONDS)
        assert launcher.poll() is None, "what it had forked lives on"
        for each in (launcher, other):
            each.close_lifeline()
            assert await each.wait() == 3, "nothing was asked of it"


async def test_a_launcher_that_is_killed_is_told_so_to_all_who_wait(tmp_path: Path) -> None:
    async with a_template() as template:
        launcher = await template.fork(tmp_path / "log", seconds=SECONDS)
        codes: list[int] = []

        async def wait() -> None:
            codes.append(await launcher.wait())

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            launcher.kill()
        assert codes == [-9, -9, -9]
        assert not launcher.kill_guest()


REFUSES = """
import errno, json, os, socket
requests = socket.socket(fileno=0)
while True:
    data, descriptors, _, _ = socket.recv_fds(requests, 1, 2)
    if not data:
        break
    os.write(descriptors[0], json.dumps({"errno": errno.EAGAIN}).encode())
    for descriptor in descriptors:
        os.close(descriptor)
"""


async def test_a_fork_that_is_refused_is_told_as_what_it_is(tmp_path: Path) -> None:
    async with a_template(sys.executable, "-c", REFUSES) as template:
        for _ in range(2):
            with pytest.raises(BlockingIOError, match="temporarily unavailable"):
                await template.fork(tmp_path / "log", seconds=SECONDS)


async def test_a_launcher_whose_pidfd_finds_no_room_is_told_at_once() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with theirs:
        socket.send_fds(theirs, [b'{"launcher": 1}'], [theirs.fileno()])
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                await first_report(ours)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert ours.fileno() == -1


def copies_of_sockets() -> list[int]:
    numbers = [path for path in Path("/proc/self/fd").iterdir() if path.is_socket()]
    return [os.dup(int(path.name)) for path in numbers]


async def test_a_template_ends_in_order_beside_a_fork_of_its_host(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    program = REFUSES + f"open({str(ended)!r}, 'w').close()"
    async with a_template(sys.executable, "-c", program) as template:
        with pytest.raises(BlockingIOError):
            await template.fork(tmp_path / "log", seconds=SECONDS)
        # what a fork that lives on holds open
        copies = copies_of_sockets()
    for copy in copies:
        os.close(copy)
    assert ended.exists()


@pytest.mark.parametrize("warm", [False, True])
async def test_a_start_that_is_given_up_at_any_moment_leaves_nothing(warm: bool, run_dir: Path) -> None:
    async with a_system(run_dir) as system:
        if warm:
            await started(system, "first")
        for moment in range(12):
            box = await system.create_sandbox(f"box{moment}")
            with trio.move_on_after(0.006 * moment * (1 if warm else 10)):
                await box.start()
            if not warm:
                break
    assert names_below(run_dir) <= {".lock"}


async def test_kills_of_the_template_beside_starts(run_dir: Path) -> None:
    """Each start succeeds: whoever asked a template that dies asks another."""

    async def kill(template: int) -> None:
        os.kill(template, signal.SIGKILL)
        await trio.lowlevel.checkpoint()

    async with a_system(run_dir) as system:
        await started(system, "first")
        for number in range(5):
            template = template_of(owner(run_dir, "first" if number == 0 else f"a{number - 1}"))
            async with trio.open_nursery() as nursery:
                for start in (partial(started, system, f"{name}{number}") for name in "ab"):
                    nursery.start_soon(start)
                nursery.start_soon(kill, template)
        info = await system.info()
    assert len(info.children) == 11


async def test_systems_of_one_command_have_a_template_in_common(run_dir: Path) -> None:
    async with open_templates() as shared:
        found: list[int] = []
        for _ in range(2):
            async with a_system(run_dir) as system:
                await started(system, "box")
                found.append(template_of(owner(run_dir, "box")))
        assert found[0] == found[1]
        assert shared.pids == [found[0]]
    assert read_process(found[0]) is None


async def test_a_run_of_trio_in_another_thread_has_its_own(run_dir: Path) -> None:
    async with open_templates(), a_system(run_dir) as system:
        await started(system, "box")

        async def elsewhere() -> int:
            async with a_system(run_dir / "other") as other:
                await started(other, "box")
                return template_of(owner(run_dir / "other", "box"))

        assert await trio.to_thread.run_sync(trio.run, elsewhere) != template_of(owner(run_dir, "box"))


async def test_those_who_wait_for_one_that_hangs_all_start_with_the_next(tmp_path: Path) -> None:
    """The first whose time is over ends it; the others ask again."""
    async with a_template() as template:
        first = await template.fork(tmp_path / "log", seconds=SECONDS)
        found = read_process(first.pid)
        assert found is not None
        os.kill(found.parent, signal.SIGSTOP)
        launchers = [first]

        async def fork() -> None:
            launchers.append(await template.fork(tmp_path / "log", seconds=SECONDS))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(fork)
            with pytest.raises(GuestDied, match=r"within 0\.2 s"):
                await template.fork(tmp_path / "log", seconds=0.2)
        assert len({launcher.pid for launcher in launchers}) == 4
        for launcher in launchers:
            launcher.close_lifeline()
            await launcher.wait()


async def test_of_templates_that_nobody_uses_a_few_are_kept(tmp_path: Path) -> None:
    processes = real_seams().processes
    async with open_templates() as shared:
        for number in range(6):
            async with open_template(TEMPLATE, environment={"NUMBER": str(number)}, processes=processes) as template:
                launcher = await template.fork(tmp_path / "log", seconds=SECONDS)
                launcher.close_lifeline()
                await launcher.wait()
        assert len(shared.pids) == templates.KEPT
