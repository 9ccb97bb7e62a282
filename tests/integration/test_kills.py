"""Whoever is killed, nothing stays: host process, guest, launcher, and any of them together.

The leak check around every integration test looks at processes, mounts, control groups and run directories.
Here it is given the victims: a real host program with two real containers, one of them frozen.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.node.cgroups import group_exists, read_layout, sandbox_group
from actors.node.facts import choose_engine, read_facts
from actors.node.marks import read_process
from actors.node.rundir import RunDirectory, abandoned, held_log, sweep
from tests.leaks import assert_clean, snapshot
from tests.support.boxes import children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.leaks import Snapshot

ENGINES = sorted({"processes", choose_engine(read_facts())[0]})
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    # short, since a unix socket's path may have 107 bytes
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(params=ENGINES)
def host(request: pytest.FixtureRequest, run_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The host program, everything up."""
    argv = [sys.executable, "-m", "tests.support.host_program", str(run_dir), str(request.param)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def launcher_and_guest(host: subprocess.Popen[bytes]) -> tuple[int, int]:
    """The template's one child, and that one's; the template is the host's."""
    (template,) = children(host.pid)
    (launcher,) = children(template)
    (guest,) = children(launcher)
    return launcher, guest


def dead(*pids: int) -> None:
    """Wait until they are dead; a signal that was sent is not yet a death."""
    deadline = time.monotonic() + 10
    for pid in pids:
        while (found := read_process(pid)) is not None:
            assert time.monotonic() < deadline, f"still there: {found}"
            time.sleep(0.005)


def gone(run_dir: Path) -> None:
    """The sandbox's run directory goes by itself, without anybody's sweep."""
    deadline = time.monotonic() + 10
    while any(path.is_dir() for path in run_dir.iterdir()):
        assert time.monotonic() < deadline, f"still there: {list(run_dir.iterdir())}"
        time.sleep(0.02)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_host_is_killed(host: subprocess.Popen[bytes], run_dir: Path, signum: signal.Signals) -> None:
    host.send_signal(signum)
    host.wait(30)
    gone(run_dir)


def test_the_guest_is_killed(host: subprocess.Popen[bytes], run_dir: Path) -> None:
    _, guest = launcher_and_guest(host)
    os.kill(guest, signal.SIGKILL)
    gone(run_dir)
    assert host.poll() is None, "the host program lives on, and knows that its sandbox is lost"


def test_the_launcher_is_killed(host: subprocess.Popen[bytes], run_dir: Path) -> None:
    launcher, _ = launcher_and_guest(host)
    os.kill(launcher, signal.SIGKILL)
    gone(run_dir)


def test_the_template_is_killed_and_nobody_notices(host: subprocess.Popen[bytes], run_dir: Path) -> None:
    launcher, guest = launcher_and_guest(host)
    (template,) = children(host.pid)
    os.kill(template, signal.SIGKILL)
    # the host collects it at its next start, or at its end
    while (found := read_process(template)) is not None and found.alive:
        time.sleep(0.02)
    assert host.poll() is None
    assert children(launcher) == [guest]
    host.send_signal(signal.SIGTERM)
    host.wait(30)
    gone(run_dir)


def test_all_are_killed_and_the_next_sweep_removes_what_is_left(host: subprocess.Popen[bytes], run_dir: Path) -> None:
    launcher, guest = launcher_and_guest(host)
    for pid in (host.pid, *children(host.pid), launcher, guest):
        os.kill(pid, signal.SIGKILL)
    host.wait(10)
    dead(launcher)
    assert all(swept.clean for swept in sweep(run_dir))
    gone(run_dir)


def test_a_sweep_leaves_the_living_alone(host: subprocess.Popen[bytes], run_dir: Path) -> None:
    launcher, guest = launcher_and_guest(host)
    containers = children(guest)
    assert sweep(run_dir) == []
    assert launcher_and_guest(host) == (launcher, guest)
    assert set(containers) <= set(children(guest)), "its containers' first processes live on"


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_at_a_random_moment(engine: str, run_dir: Path) -> None:
    """From the first instruction to long after it is up; which of them dies is drawn too."""
    for moment in range(10):
        before = snapshot()
        argv = [sys.executable, "-m", "tests.support.host_program", str(run_dir), engine]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
            time.sleep(0.12 * moment)  # the moment is the point, nothing is ordered by it
            victims = [process.pid]
            if moment % 2:
                victims += [
                    *children(process.pid),
                    *(pid for template in children(process.pid) for pid in below(template)),
                ]
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
        dead(*victims[1:])
        sweep(run_dir)
        assert_clean(before)


FLAGSHIP = ROOT / "scenarios/pause-one-of-two.yaml"
# from before the guest is there to after the end, on a machine that is not busy
FLAGSHIP_SECONDS = 3.5
SEED = int(os.environ.get("KATRIO_KILL_SEED", "20"))


def patience() -> float:
    """2 s, on a machine that has them."""
    return 2.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def as_before(before: Snapshot, since: float, what: str) -> None:
    """Nothing is left, and it went in time."""
    assert_clean(before)
    took = time.monotonic() - since
    assert took < patience(), f"{what}: {took:.2f} s"


@pytest.mark.parametrize("number", range(20))
def test_killed_in_the_flagship_scenario(number: int, run_dir: Path) -> None:
    """20 moments, each by turns for the guest, the host and both; the seed is in the failure's output."""
    moment = random.Random(SEED * 1000 + number).uniform(0, FLAGSHIP_SECONDS)
    victim = ("guest", "host", "both")[number % 3]
    what = f"seed {SEED}, number {number}: {victim} at {moment:.3f} s"
    print(what)
    before = snapshot()
    argv = [sys.executable, "-m", "actors.cli.start", "run", str(FLAGSHIP), "--run-dir", str(run_dir), "--json"]
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as host:
        time.sleep(moment)  # the moment is the point, nothing is ordered by it
        launchers = [launcher for template in below(host.pid) for launcher in below(template)]
        guests = [guest for launcher in launchers for guest in below(launcher)]
        victims = {"guest": guests, "host": [host.pid], "both": [host.pid, *guests]}[victim]
        since = time.monotonic()
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if victim == "guest":
            gone(run_dir)
            took = time.monotonic() - since
            # with no guest yet, or no more, nothing was killed, and what comes is the scenario's own end
            assert not guests or took < patience(), f"{what}: {took:.2f} s"
            assert host.wait(30) in (0, 1, 3), what
            since = time.monotonic()
        else:
            host.wait(10)
    if victim == "both":
        since = time.monotonic()
        sweeping = [sys.executable, "-m", "actors.cli.start", "sweep", "--run-dir", str(run_dir)]
        assert subprocess.run(sweeping, cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode == 0, what
    as_before(before, since, what)


def below(pid: int) -> list[int]:
    """Its children; none when it has gone."""
    try:
        return children(pid)
    except OSError:
        return []


@pytest.mark.parametrize("rest", [("host",), ("guest",), ("launcher",), ("host", "launcher", "guest")])
def test_whoever_ends_after_the_run_directory_was_removed(
    host: subprocess.Popen[bytes], run_dir: Path, rest: tuple[str, ...]
) -> None:
    """Its marker was the only word of its control groups: they, and the log, are found all the same, by `doctor` as well."""
    launcher, guest = launcher_and_guest(host)
    (directory,) = (path for path in run_dir.iterdir() if path.is_dir())
    shutil.rmtree(directory, ignore_errors=True)
    assert sweep(run_dir) == [], "nothing of a living one is taken"
    assert abandoned(run_dir) == []
    pids = {"host": host.pid, "launcher": launcher, "guest": guest}
    for name in rest:
        os.kill(pids[name], signal.SIGKILL)
    if "host" in rest:
        host.wait(10)
    dead(launcher)
    # a guest with a frozen container can't die before that is thawed, which nobody but a sweep does here
    deadline = time.monotonic() + 10
    while group_exists(read_layout(), sandbox_group(directory.name)) or abandoned(run_dir):
        assert time.monotonic() < deadline, abandoned(run_dir)
        assert all(swept.clean for swept in sweep(run_dir))
        time.sleep(0.02)
    dead(guest)
    assert "host" not in rest or os.listdir(run_dir) == [".lock"]


def test_a_log_is_kept_for_who_waits_for_its_guest_and_then_taken(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "r" / "box-1")
    with held_log(directory):
        assert directory.log.exists()
        assert abandoned(tmp_path / "r") == []
        assert sweep(tmp_path / "r") == []
    assert abandoned(tmp_path / "r") == ["box-1.log"]
    assert [swept.directory for swept in sweep(tmp_path / "r")] == [directory.log]
    assert not directory.log.exists()
