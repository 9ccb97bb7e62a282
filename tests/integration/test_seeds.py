"""The command line of the simulated world, as typed: seeds, ranges, traces, deadlocks, an interrupt, a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.command_line import KATRIO, ROOT, katrio, written

SCENARIO = str(ROOT / "scenarios" / "exec-exit-codes.yaml")

# holds or not, by the pieces in which bytes and processes come along
RACE = """\
name: who is first
why: to have seeds that do not hold
sandboxes:
  box:
    containers:
      one: {command: [sleep, "100"]}
steps:
  - parallel:
      - {exec: one, command: "sleep 0.02; echo first >> /tmp/order", as: a}
      - {exec: one, command: "sleep 0.02; echo second >> /tmp/order", as: b}
  - sleep: 1s
  - {exec: one, command: "cat /tmp/order", as: order}
  - wait: order
    expect: {stdout: {matches: "first\\\\nsecond"}}
"""
PROGRAM = """\
async def scenario(world):
    print("not an answer of the worker")
    box = await world.sandbox("box")
    one = await world.container(box, "one")
    world.expect((await one.info()).state, "running")
"""
LONG = """\
name: it takes its time
why: to be interrupted
sandboxes:
  box:
    containers:
      one: {command: "while true; do echo x; sleep 0.005; done"}
limits: {total: 100s}
steps:
  - sleep: 5s
"""


def simulated(*words: str | Path, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    return katrio("run", "--world", "simulated", *words, timeout=timeout)


def test_a_seed_is_drawn_told_and_can_be_replayed() -> None:
    done = simulated(SCENARIO)
    assert done.returncode == 0, done.stdout + done.stderr
    seed = re.match(r"seed (\d+)\n", done.stdout)
    assert seed is not None
    first, second = (json.loads(simulated("--json", "--seed", seed[1], SCENARIO).stdout) for _ in range(2))
    assert first == second
    assert first["seed"] == int(seed[1])
    assert re.fullmatch("[0-9a-f]{32}", first["trace_digest"])
    assert f"seed {seed[1]}" in done.stdout.splitlines()[-1]


def test_it_needs_neither_root_nor_path_nor_a_run_directory(tmp_path: Path) -> None:
    done = subprocess.run(
        [KATRIO, "run", "--world", "simulated", "--seed", "1", SCENARIO],
        env={"HOME": "/nonexistent", "PATH": "/nonexistent"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=65534 if os.geteuid() == 0 and os.access(ROOT, os.R_OK) and _others_may_read() else None,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def _others_may_read() -> bool:
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in (ROOT, *ROOT.parents)) and all(
        parent.stat().st_mode & 0o005 == 0o005 for parent in Path(sys.executable).resolve().parents
    )


def test_a_range_lists_the_seeds_that_fail_and_each_replays(tmp_path: Path) -> None:
    file = written(tmp_path, RACE)
    done = simulated("--json", "--seeds", "0:30", file)
    assert done.returncode == 1, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["outcome"] == "failed"
    assert sum(summary["outcomes"].values()) == 30
    assert summary["digests"] == 30
    assert 0 < len(summary["failing"]) == summary["outcomes"]["failed"] < 30
    failing = summary["failing"][0]
    words = failing["replay"].split()
    assert words[:4] == ["katrio", "run", "--world", "simulated"]
    again = simulated("--json", *words[4:])
    assert again.returncode == 1
    result = json.loads(again.stdout)
    assert (result["trace_digest"], result["reason"]) == (failing["trace_digest"], failing["reason"])


def test_a_program_is_played_on_a_range_and_may_print(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    summary = json.loads(simulated("--json", "--seeds", "0:4", str(program)).stdout)
    assert (summary["outcome"], summary["outcomes"]) == ("held", {"held": 4})


def test_a_range_in_plain_lines_and_in_files_says_how_to_replay(tmp_path: Path) -> None:
    junit, page = tmp_path / "j.xml", tmp_path / "page.html"
    done = simulated("--seeds", "0:30", "--junit", junit, "--html", page, written(tmp_path, RACE))
    assert done.returncode == 1
    assert "  30 of 30 seeds, " in done.stdout
    assert "replay: katrio run --world simulated --seed" in done.stdout
    assert "different runs" in done.stdout.splitlines()[-1]
    assert done.stderr == ""
    root = ElementTree.parse(junit).getroot()
    failures = root.findall(".//failure")
    assert root.get("failures") == str(len(failures)) == re.findall(r"(\d+) did not hold", done.stdout)[-1]
    assert all("replay: katrio run --world simulated --seed" in str(failure.text) for failure in failures)
    assert "katrio run --world simulated --seed" in page.read_text()


def test_one_reason_is_told_once_however_many_seeds_have_it(tmp_path: Path) -> None:
    done = simulated("--seeds", "0:5", written(tmp_path, LONG.replace("sleep: 5s", "{state: one, expect: paused}")))
    assert done.returncode == 1
    assert done.stdout.count("expected 'paused'") == 2, "when it is found, and at the end"
    assert re.search(r"^failed with seed \d and 4 more: ", done.stdout, re.MULTILINE)
    assert done.stdout.count("replay: ") == 1


def test_a_range_on_one_worker_and_on_three_is_the_same() -> None:
    one, three = (
        json.loads(simulated("--json", "--seeds", "5:15", "--jobs", jobs, SCENARIO).stdout) for jobs in ("1", "3")
    )
    for summary in (one, three):
        summary.pop("duration_s")
    assert one == three
    assert one["outcomes"] == {"held": 10}


def test_a_trace_is_written_and_is_the_same_again(tmp_path: Path) -> None:
    traces = [tmp_path / "one", tmp_path / "two"]
    digests = [
        json.loads(simulated("--json", "--seed", "3", "--trace", str(trace), SCENARIO).stdout)["trace_digest"]
        for trace in traces
    ]
    assert digests[0] == digests[1]
    assert digests[0] == json.loads(simulated("--json", "--seed", "3", SCENARIO).stdout)["trace_digest"]
    text = traces[0].read_text()
    assert text == traces[1].read_text()
    for kind in ("task ", "pass ", "time ", "draw links ", "draw engine ", "envelope from ", "box#1 > ", "box#1 < "):
        assert f"\n{kind}" in f"\n{text}", kind


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seeds", "5"), "expected A:B"),
        (("--seeds", "9:3"), "A less than B"),
        (("--seeds", "0:2000000"), "are the most"),
        (("--seeds", "0:3", "--seed", "1"), "--seed is for one run"),
        (("--seeds", "0:3", "--trace", "x"), "--trace is for one run"),
        (("--seeds", "0:3", "--jobs", "0"), "expected 1 to"),
        (("--jobs", "2"), "is for --seeds"),
        (("--repeat", "2"), "the same again"),
        (("--seeds", "0:3", "--journal", "x"), "--journal is for one run"),
        (("--engine", "runc"), "brings its own"),
    ],
)
def test_words_that_make_no_sense_are_told(words: tuple[str, ...], said: str) -> None:
    done = simulated(*words, SCENARIO)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("option", ["--seed", "--seeds", "--trace"])
def test_the_options_of_the_simulated_world_are_its_own(option: str) -> None:
    done = katrio("run", option, "1", SCENARIO, timeout=60)
    assert done.returncode == 2
    assert f"{option} is for --world simulated" in done.stderr


def test_an_interrupt_ends_a_range_with_what_was_found(tmp_path: Path) -> None:
    argv = [KATRIO, "run", "--world", "simulated", "--seeds", "0:100000"]
    argv += ["--junit", str(tmp_path / "j.xml"), written(tmp_path, LONG)]
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert "it takes its time" in process.stdout.readline()
        _until(lambda: _workers(process.pid))
        # as a terminal does it: to all of them
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "interrupted after" in out
    assert "interrupted after" in (tmp_path / "j.xml").read_text()
    assert "Traceback" not in err
    assert _session(process.pid) == {}


def test_an_interrupt_ends_one_run(tmp_path: Path) -> None:
    argv = [KATRIO, "run", "--world", "simulated", written(tmp_path, LONG.replace("5s", "90s"))]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "seed" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "interrupted" in out
    assert "Traceback" not in err


def test_a_worker_that_dies_is_told_and_replaced(tmp_path: Path) -> None:
    argv = [KATRIO, "run", "--world", "simulated", "--json", "--jobs", "1", "--seeds", "0:4", written(tmp_path, LONG)]
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        _until(lambda: _workers(process.pid))
        (worker,) = _workers(process.pid)
        os.kill(worker, signal.SIGKILL)
        out, err = process.communicate(timeout=240)
    assert process.returncode == 3, out + err
    summary = json.loads(out)
    assert summary["outcomes"] == {"error": 1, "held": 3}
    assert "ended with code -9" in summary["failing"][0]["reason"]


def test_a_terminal_gets_a_bar() -> None:
    main, side = pty.openpty()
    process = subprocess.Popen(
        [KATRIO, "run", "--world", "simulated", "--seeds", "0:40", SCENARIO],
        cwd=ROOT,
        stdin=side,
        stdout=side,
        stderr=side,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(side)
    seen = b""
    try:
        while data := os.read(main, 65536):
            seen += data
    except OSError:  # Linux' word for: nobody holds the other end any more
        pass
    os.close(main)
    assert process.wait(60) == 0, seen
    assert b"\xe2\x94\x81" in seen, "a bar"
    assert b"40 held" in re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", seen)


def _session(leader: int) -> dict[int, int]:
    """The processes of a session that have not ended, each with its parent."""
    found: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found[int(stat.parent.name)] = int(fields[1])
    return found


def _workers(leader: int) -> list[int]:
    """Those that play seeds. Trio starts `ldconfig` when it is imported, in the command and in its workers."""
    return [pid for pid, parent in _session(leader).items() if parent == leader and _plays_seeds(pid)]


def _plays_seeds(pid: int) -> bool:
    try:
        return b"actors.cli.seeds_worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _until(holds: Any) -> None:
    for _ in range(3000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to be within 30 s")
