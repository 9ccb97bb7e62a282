"""`katrio guest`: an agent on an address, dialled by clients that did not start it; nothing is left when it ends."""

from __future__ import annotations

import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import katrio
from tests.support.guest_command import served

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    return own


def options(directory: Path) -> tuple[str, ...]:
    return "--run-dir", str(directory / "run"), "--engine", "processes"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_says_ready_and_leaves_nothing(directory: Path, signum: signal.Signals) -> None:
    path = directory / "made/a.sock"
    with served("--address", f"unix://{path}", *options(directory)) as (process, ready):
        assert ready == {
            "ready": True,
            "agent": "kata",
            "dialect": "ttrpc",
            "engine": "processes",
            "address": f"unix://{path}",
            "tty_address": None,
            "pid": process.pid,
        }
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, "a directory that was missing"
        process.send_signal(signum)
        assert process.wait(60) == 0
    assert sorted(os.listdir(directory)) == ["made", "run"]
    assert os.listdir(path.parent) == []
    assert os.listdir(directory / "run") == [".lock"]


def test_what_can_t_be_listened_on_is_told_and_leaves_nothing(directory: Path) -> None:
    loose = directory / "loose"
    loose.mkdir(mode=0o755)
    for words, hint in (
        (("--address", "ipc:///run/server"), "an agent's address is unix://, vsock://"),
        (("--address", f"unix://{loose}/a.sock"), "must be ours with mode 0700 and has owner"),
        (
            ("--address", f"unix://{loose}/a.sock", "--tty-address", "unix:///x"),
            "--tty-address is for --agent hyperstart",
        ),
        (("--address", f"unix://{loose}/x.sock", "--agent", "hyperstart"), "name it by --tty-address"),
    ):
        done = katrio("guest", *words, *options(directory), timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        assert hint in done.stderr
    assert os.listdir(loose) == []


def called(address: str, dialect: str) -> subprocess.CompletedProcess[str]:
    return katrio("call", "--address", address, "--dialect", dialect, "Check", timeout=60)


@pytest.mark.parametrize(
    ("form", "dialect"),
    [("unix://@katrio-{pid}", "ttrpc"), ("serial:{}/a.sock", "grpc"), ("hvsock://{}/a.sock:1024", "grpc")],
)
def test_an_agent_is_called_at_its_address_and_a_wrong_dialect_is_named(
    form: str, dialect: str, directory: Path
) -> None:
    address = form.format(directory, pid=os.getpid())
    with served("--address", address, "--dialect", dialect, *options(directory)):
        done = called(address, dialect)
        assert '"SERVING"' in done.stdout, done.stderr
        done = called(address, "ttrpc" if dialect == "grpc" else "grpc")
        assert done.stdout == ""
        assert f" do; use --dialect {dialect}" in done.stderr
