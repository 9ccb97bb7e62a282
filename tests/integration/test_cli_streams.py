"""Where a command's output goes to can fail, and whoever started it can ask for its end: what each command makes of that.

A process for each row, some 0.3 s each; the few that start a guest take a second more.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from actors.cli.parser import build_parser
from tests.support.command_line import KATRIO, ROOT, written

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

HEAD = 'sandboxes: {box: {containers: {one: {command: [sleep, "100"]}}}}\n'
# signs outside of ASCII and of Latin-1
FILE = f"name: café Ελλάδα\nwhy: so\n{HEAD}steps:\n  - {{state: one, expect: running}}\n"
LONG = f"name: long\nwhy: so\n{HEAD}steps:\n  - {{state: one}}\n  - {{sleep: 50s}}\nfinally:\n  - {{sleep: 1ms}}\n"
PROGRAM = """
import trio
async def scenario(world):
    box = await world.sandbox("box")
    print("up", flush=True)
    await trio.sleep(%s)
"""
PROCESSES = ("--engine", "processes")
# every command with what it needs to print something; {file}, {dir}: made for it
COMMANDS = {
    "": ("--help",),
    "version": ("version",),
    "help": ("help", "run"),
    "validate": ("validate", "{file}"),
    "validate --json": ("validate", "--json", "{file}"),
    "list": ("list", "{dir}"),
    "list --json": ("list", "--json", "{dir}"),
    "schema": ("schema",),
    "verbs": ("verbs",),
    "verbs --json": ("verbs", "--json"),
    "completion": ("completion", "bash"),
    "sweep": ("sweep", "--run-dir", "{dir}/none"),
    "call": ("call", "--list"),
    "call --json": ("call", "--list", "--json"),
    "conformance --list": ("conformance", "--list"),
    "conformance --list --json": ("conformance", "--list", "--json"),
    "conformance": ("conformance", *PROCESSES, "--filter", "health.serving"),
    "doctor": ("doctor", "--run-dir", "{dir}/r"),
    "run": ("run", *PROCESSES, "{file}"),
    "run --json": ("run", *PROCESSES, "--json", "{file}"),
    "run --dry-run": ("run", "--dry-run", "{file}"),
    "run --world simulated": ("run", "--world", "simulated", "--seed", "1", "{file}"),
    "run --seeds": ("run", "--world", "simulated", "--seeds", "0:1", "{file}"),
    "run --diff": ("run", "--diff", "{dir}/j.jsonl", "{dir}/j.jsonl"),
    "record": ("record", *PROCESSES, "--force", "{dir}/o.yaml", "{dir}/p.py"),
    "guest": ("guest", *PROCESSES, "--address", "unix://{dir}/a.sock"),
}
CLOSED = ("", "validate", "list --json", "call", "run", "run --world simulated", "guest")
# each without a line of standard output that could be written; None: nor one of the error stream
UNWRITTEN = {
    ">&-": "katrio: standard output: not all of it could be written: it is closed\n",
    ">&- <&-": "katrio: standard output: not all of it could be written: it is closed\n",
    ">&- 2>&- <&-": None,
    ">/dev/full 2>/dev/full": None,
    "1</dev/null": "katrio: standard output: not all of it could be written: it is closed\n",
}


@pytest.fixture
def words(tmp_path: Path) -> Callable[[str], list[str]]:
    """The command line of a row."""
    file = written(tmp_path, FILE)
    (tmp_path / "p.py").write_text(PROGRAM % 0)
    (tmp_path / "j.jsonl").write_text(
        json.dumps({"event": "run_started", "at": 0, "file": "f", "name": "n", "why": "w", "world": "x", "agent": "a"})
        + "\n"
        + json.dumps({"event": "result", "file": "f", "name": "n", "outcome": "held", "world": "x", "agent": "a", "duration_s": 1})
        + "\n"
    )  # fmt: skip
    return lambda name: [KATRIO, *(word.format(file=file, dir=tmp_path) for word in COMMANDS[name])]


def started(argv: Sequence[str], *, stdout: int = subprocess.PIPE, encoding: str = "utf-8") -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding=encoding,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )


@pytest.fixture
def full() -> Generator[int]:
    """A disk without room."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


def test_every_command_has_a_row() -> None:
    subparsers = next(one for one in build_parser()._actions if one.nargs == argparse.PARSER)
    assert set(subparsers.choices or ()) <= {name.partition(" ")[0] for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_output_that_cannot_be_written_is_one_line_and_infrastructure(
    name: str, words: Callable[[str], list[str]], full: int
) -> None:
    with started(words(name), stdout=full) as process:
        # `guest` too: nobody would ever learn that it is ready
        _, err = process.communicate(timeout=60)
    told = [line for line in err.splitlines() if not line.startswith(("plain processes", "1/1 "))]
    assert told == ["katrio: standard output: not all of it could be written: No space left on device"]
    assert process.returncode == 3


@pytest.mark.parametrize(
    ("name", "streams"), [*((name, ">&- 2>&- <&-") for name in CLOSED), *(("list", way) for way in UNWRITTEN)]
)
def test_a_closed_output_is_one_that_cannot_be_written(
    name: str, streams: str, words: Callable[[str], list[str]]
) -> None:
    with started(["sh", "-c", f'"$@" {streams}', "sh", *words(name)]) as process:
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (3, UNWRITTEN[streams] or "")


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "<&-", "<&- 2>&-"])
def test_the_other_streams_do_not_count(streams: str, words: Callable[[str], list[str]]) -> None:
    with started(["sh", "-c", f'"$@" {streams}', "sh", *words("run")]) as process:
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, "held: 1 step" in out) == (0, True)


@pytest.mark.parametrize(("encoding", "name"), [("ascii", "list"), ("latin-1", "run --world simulated")])
def test_signs_that_a_terminal_lacks_are_escaped(encoding: str, name: str, words: Callable[[str], list[str]]) -> None:
    with started(words(name), encoding=encoding) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert ("caf\\xe9" if encoding == "ascii" else "café") + " \\u0395\\u03bb" in out


def test_a_reader_that_leaves_ends_a_command_without_a_word(tmp_path: Path) -> None:
    for argv in ([KATRIO, "schema"], [KATRIO, "run", *PROCESSES, written(tmp_path, LONG)]):
        with started(argv) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert "Traceback" not in process.stderr.read()
            assert process.wait(30) == 3


def test_a_pipe_that_is_not_blocking_gets_everything() -> None:
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETFL, os.O_NONBLOCK)
    with started([KATRIO, "schema"], stdout=write_end) as process, os.fdopen(read_end) as reader:
        os.close(write_end)
        assert json.load(reader)["$schema"]
        assert process.wait(30) == 0


def test_a_parent_that_ignores_the_end_of_children(tmp_path: Path) -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with started([sys.executable, "-c", ignoring, KATRIO, "run", *PROCESSES, written(tmp_path, FILE)]) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, "held: 1 step" in out, err) == (0, True, "")


REPORTS = [
    ("run --world simulated", *(("--" + name, "/dev/full") for name in ("journal", "junit", "html", "trace"))),
    ("conformance", ("--junit", "/dev/full"), ("--html", "/dev/full")),
    ("record", ("/dev/full",)),
]


@pytest.mark.parametrize(("name", "reports"), [(name, report) for name, *reports in REPORTS for report in reports])
def test_a_report_that_cannot_be_written_is_one_line_and_infrastructure(
    name: str, reports: tuple[str, ...], words: Callable[[str], list[str]], tmp_path: Path
) -> None:
    argv = [word for word in words(name) if word != f"{tmp_path}/o.yaml"]
    with started([*argv[:2], *reports, *argv[2:]]) as process:
        _, err = process.communicate(timeout=60)
    told = [line for line in err.splitlines() if not line.startswith(("plain processes", "1/1 "))]
    assert told == ["katrio: /dev/full: not all of it could be written: No space left on device"]
    assert process.returncode == 3


def test_reports_on_a_full_disk_cost_no_result(tmp_path: Path) -> None:
    kept = tmp_path / "old.xml"
    kept.write_text("old")
    reports = ["--journal", "/dev/full", "--html", "/dev/full", "--junit", str(tmp_path / "j.xml")]
    argv = [KATRIO, "run", *PROCESSES, *reports, written(tmp_path, FILE)]
    with started(argv) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, "held: 1 step" in out) == (3, True)
    assert err == "katrio: /dev/full: not all of it could be written: No space left on device\n" * 2
    assert ElementTree.parse(tmp_path / "j.xml").getroot().get("tests") == "1"
    # one that can't even be opened is usage, told before anything is run, and no old report is touched
    with started([*argv[:-1], "--junit", str(kept), "--journal", str(tmp_path / "no/j"), argv[-1]]) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (2, "", f"katrio: {tmp_path}/no/j: No such file or directory\n")
    assert kept.read_text() == "old"


ENDS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("signum", "code"), ENDS)
def test_a_run_that_is_asked_to_end_ends_in_order(signum: int, code: int, tmp_path: Path) -> None:
    journal, junit = tmp_path / "j.jsonl", tmp_path / "j.xml"
    argv = [KATRIO, "run", "--journal", str(journal), "--junit", str(junit), written(tmp_path, LONG)]
    with started(argv) as process:
        assert process.stdout is not None
        assert [process.stdout.readline()[:6] for _ in range(2)] == ["long (", "  held"]
        process.send_signal(signum)
        if signum == signal.SIGTERM:
            # a service manager may send both, in no order
            process.send_signal(signal.SIGHUP)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    assert "stopping in order" in out
    assert ElementTree.parse(junit).getroot().tag == "testsuites"
    events: list[dict[str, Any]] = [json.loads(line) for line in journal.read_text().splitlines()]
    assert "finally[0]" in [event.get("path") for event in events]


@pytest.mark.parametrize(("signum", "code"), ENDS[1:])
def test_other_commands_are_asked_to_end(signum: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(PROGRAM % 50)
    out, file = str(tmp_path / "o.yaml"), written(tmp_path, LONG)
    rows: list[tuple[list[str], str, int]] = [
        (["record", *PROCESSES, out, str(tmp_path / "p.py")], "up", code),
        (["run", "--world", "simulated", "--seeds", "0:100000", file], "long", code),
        (["guest", *PROCESSES, "--address", f"unix://{tmp_path}/a.sock"], "ready", 0),
    ]
    for argv, ready, wanted in rows:
        with started([KATRIO, *argv]) as process:
            assert process.stdout is not None
            assert any(ready in line for line in process.stdout)
            process.send_signal(signum)
            said, err = process.communicate(timeout=60)
        assert process.returncode == wanted, said + err
        assert "Traceback" not in err
    # what was asked by then is written all the same
    assert "create: box" in (tmp_path / "o.yaml").read_text()


def test_a_run_root_that_cannot_be_made_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = written(tmp_path, FILE)
    for root, code in ((f"{tmp_path}/file", 2), ("/proc/katrio", 2)):
        for argv in (
            ["run", "--run-dir", root, file],
            ["guest", "--run-dir", root, "--address", f"unix://{tmp_path}/a"],
        ):
            with started([KATRIO, *argv]) as process:
                out, err = process.communicate(timeout=60)
            assert (process.returncode, out, len(err.splitlines())) == (code, "", 1)
            assert "name another with --run-dir" in err
    with started([KATRIO, "doctor", "--run-dir", f"{tmp_path}/file"]) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "!!  run directory" in out
