"""The programs of docs/embedding.md, each run as it stands there: they print what the comments beside say."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import katrio
from actors.node.facts import choose_engine, read_facts

if TYPE_CHECKING:
    from collections.abc import Generator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "embedding.md"
PROGRAMS = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
BOUND_SECONDS = 60


def saved(name: str, folder: Path) -> str:
    path = folder / name
    path.write_text(PROGRAMS[name], "utf-8")
    return str(path)


def check(name: str, folder: Path, *args: str) -> None:
    done = subprocess.run(
        [sys.executable, saved(name, folder), *args], capture_output=True, text=True, timeout=BOUND_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    said = re.findall(r"print\(.*\)  # (.*)", PROGRAMS[name])
    assert said
    assert done.stdout.splitlines() == said


@pytest.fixture
def address(tmp_path: Path) -> Generator[str]:
    """Where `serve.py` serves."""
    where = f"ipc://{tmp_path}/own/server"
    command = [sys.executable, saved("serve.py", tmp_path), where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "serving\n"
            yield where
            server.send_signal(signal.SIGINT)
            server.wait(BOUND_SECONDS)
        finally:
            server.kill()


def test_every_program_of_the_page_is_run_here() -> None:
    assert set(PROGRAMS) == {"run.py", "calls.py", "streams.py", "events.py", "serve.py", "remote.py", "service.py"}
    assert PAGE.read_text("utf-8").count("```python") == len(PROGRAMS)


def test_one_command_one_call(tmp_path: Path) -> None:
    check("run.py", tmp_path)


def test_output_as_it_comes(tmp_path: Path) -> None:
    check("streams.py", tmp_path)


def test_the_package_s_first_lines_are_a_program(tmp_path: Path) -> None:
    body = re.search(r"^    async with.*?(?=\n\n)", katrio.__doc__ or "", re.MULTILINE | re.DOTALL)
    assert body
    lines = ["import trio, katrio", "from katrio import ContainerSpec, ProcessSpec", "async def main():", body[0]]
    program = "\n".join([*lines, "trio.run(main)"])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("b'hello\\n'\n", 0), done.stderr


def test_timeouts_cancellation_and_errors(tmp_path: Path) -> None:
    check("calls.py", tmp_path)


@pytest.mark.skipif(
    choose_engine(read_facts())[0] == "processes", reason="plain processes have no limits; needs root and runc"
)
def test_events_and_limits(tmp_path: Path) -> None:
    check("events.py", tmp_path)


def test_one_serves_and_another_connects(address: str, tmp_path: Path) -> None:
    check("remote.py", tmp_path, address)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_service_that_is_asked_to_end_ends_in_order(signum: int, tmp_path: Path) -> None:
    command = [sys.executable, saved("service.py", tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "up\n"
        service.send_signal(signum)
        out, err = service.communicate(timeout=BOUND_SECONDS)
    assert (service.returncode, out, err) == (143, "stopped in order\n", "")
