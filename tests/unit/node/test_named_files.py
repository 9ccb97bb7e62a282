"""Files that a person names: what is read, what is refused at once, and that no pipe is waited for for ever."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.cli.agent_settings import agent_settings
from actors.cli.call.arguments import parse_call
from actors.cli.diff import diff
from actors.cli.streams import file_output
from actors.errors import InvalidArgument
from actors.node import named_files
from actors.node.named_files import read_named
from actors.reporting.files import write_whole
from actors.seams import real_seams

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A named pipe that nobody has open; the patience of a person is cut short."""
    monkeypatch.setattr(named_files, "_PIPE_SECONDS", 0.01)
    path = tmp_path / "pipe.json"
    os.mkfifo(path)
    return path


def test_a_file_is_read_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_named(path, 100) == b"x" * 100
    assert len(read_named(path, 50)) == 51


def test_a_pipe_is_read_to_its_end_or_its_bound(tmp_path: Path) -> None:
    for most, length in ((1_000_000, 300_000), (5, 6)):
        reading, writing = os.pipe()

        def write(descriptor: int = writing) -> None:
            left = b"x" * 300_000
            try:
                while left:
                    left = left[os.write(descriptor, left) :]
            except BrokenPipeError:
                pass
            finally:
                os.close(descriptor)

        thread = threading.Thread(target=write)
        thread.start()
        assert len(read_named(Path(f"/dev/fd/{reading}"), most)) == length
        os.close(reading)
        thread.join()


@pytest.mark.parametrize("what", ["directory", "device", "socket", "pipe"])
def test_what_is_no_file_is_told_and_nothing_hangs(what: str, tmp_path: Path, pipe: Path) -> None:
    path = {"directory": tmp_path, "device": Path("/dev/zero"), "socket": tmp_path / "socket", "pipe": pipe}[what]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="a pipe into which nobody wrote" if what == "pipe" else f"a {what}"):
            read_named(path, 10)


READERS: dict[str, Callable[[Path], object]] = {
    "--agent-config": agent_settings,
    "call @FILE": lambda path: parse_call(("CreateSandbox", f"@{path}"), real_seams()),
}


@pytest.mark.parametrize("option", READERS)
def test_every_option_reads_by_that_rule(option: str, pipe: Path) -> None:
    with pytest.raises(InvalidArgument, match="a pipe into which nobody wrote"):
        READERS[option](pipe)


def test_a_comparison_reads_by_that_rule(pipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff(pipe, pipe, json=False) == 2
    assert f"{pipe}: a pipe into which nobody wrote" in capsys.readouterr().err


WRITERS: dict[str, Callable[[Path], object]] = {
    "a report that grows": file_output,
    "a whole report": lambda path: write_whole(path, "text"),
}


@pytest.mark.parametrize("how", WRITERS)
def test_a_pipe_that_nobody_reads_is_told_by_every_writer(how: str, pipe: Path) -> None:
    with pytest.raises(OSError, match="a pipe that nobody reads"):
        WRITERS[how](pipe)


def test_what_a_shell_names_is_written(pipe: Path) -> None:
    for path in (pipe, None):
        reading, writing = (os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), -1) if path is not None else os.pipe()
        write_whole(path or Path(f"/dev/fd/{writing}"), "whole")
        with file_output(path or Path(f"/dev/fd/{writing}")) as output:
            output.write(" and growing")
        assert os.read(reading, 100) == b"whole and growing"
        for descriptor in (reading, writing):
            if descriptor >= 0:
                os.close(descriptor)
