"""The command line as a person types it: usage, checking, running, failing, interrupting."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from actors.node.facts import choose_engine, read_facts
from tests.support.command_line import KATRIO, ROOT, katrio, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
ENGINES = sorted({"processes", choose_engine(read_facts())[0]})

FAILING = """\
name: it does not hold
why: to see what is said then
sandboxes:
  box:
    containers:
      one: {command: [sleep, "100"]}
steps:
  - exec: one
    command: echo some output; exit 3
    as: process
  - wait: process
    expect: {exit: 4}
"""
LONG = """\
name: it takes its time
why: to be interrupted
sandboxes:
  box:
    containers:
      one: {command: [sleep, "100"]}
steps:
  - sleep: 50s
"""


def test_without_a_command_it_says_how_to_use_it() -> None:
    done = katrio()
    assert done.returncode == 2
    assert "required: COMMAND\nwhat there is: katrio --help" in done.stderr


@pytest.mark.parametrize("word", ["--version", "version"])
def test_the_version_is_that_of_the_distribution(word: str) -> None:
    done = katrio(word)
    assert (done.returncode, done.stdout) == (0, "katrio 0.1.0\n")


def test_help_is_a_command_as_well() -> None:
    assert katrio("help").stdout == katrio("--help").stdout
    assert katrio("help", "run").stdout == katrio("run", "--help").stdout
    done = katrio("help", "rum")
    assert (done.returncode, "did you mean run?" in done.stderr) == (2, True)


def test_a_scenario_is_read_from_standard_input() -> None:
    good = "name: typed\nwhy: so\nsteps:\n  - sleep: 1s\n"
    for words, text, code, said in (
        (("validate", "-"), good, 0, "-: right (1 step"),
        (("run", "--world", "simulated", "--seed", "1", "-"), good, 0, "held: 1 step"),
        (("validate", "-"), good.replace("1s", "soon"), 2, "katrio: -:4:12: steps[0].sleep: found 'soon'"),
        (("run", "--world", "simulated", "--seeds", "0:9", "-"), good, 2, "standard input can be read once"),
    ):
        done = subprocess.run(
            [KATRIO, *words], cwd=ROOT, input=text, capture_output=True, text=True, timeout=90, check=False
        )
        assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done


def test_list_says_what_scenarios_are_for() -> None:
    done = katrio("list", "--json")
    assert done.returncode == 0
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(listed) == len(SCENARIOS)
    assert all(entry["why"].strip() for entry in listed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "name: x\nwhy: y\nsteps:\n  - paus: one\n",
            "4:5: steps[0]: found 'paus', expected a verb; did you mean pause?",
        ),
        ("name: x\nwhy: y\nsteps: [\n", "4:1: found broken YAML"),
        ("why: y\nsteps:\n  - sleep: 1s\n", "name"),
        ("name: x\nwhy: y\nsteps:\n  - sleep: soon\n", "4:12"),
        ("name: x\nwhy: y\nsteps:\n  - pause: nobody\n", "nobody"),
        ("name: x\nwhy: y\nsteps:\n  - {sleep: 1s, expect: {took: {range: [5, 1]}}}\n", "nothing can meet"),
    ],
)
def test_a_bad_file_is_told_before_anything_starts(tmp_path: Path, text: str, expected: str) -> None:
    for command in ("validate", "run"):
        done = katrio(command, written(tmp_path, text))
        assert done.returncode == 2
        assert expected in done.stderr
        assert "Traceback" not in done.stderr


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    done = katrio("run", str(tmp_path / "nothing.yaml"))
    assert done.returncode == 2
    assert "nothing.yaml" in done.stderr


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_holds_with_plain_processes_or_says_what_they_lack(scenario: Path, tmp_path: Path) -> None:
    """With the engine that this machine chooses they are run in `test_worlds`."""
    run_dir = tmp_path / "r"
    run_dir.mkdir(mode=0o700)
    done = katrio("run", "--json", "--engine", "processes", "--run-dir", str(run_dir), str(scenario))
    result: dict[str, Any] = json.loads(done.stdout)
    if result["outcome"] == "skipped":
        # plain processes have no images and no control groups, and say so
        assert (done.returncode, "lacks" in result["reason"]) == (4, True)
        return
    assert done.returncode == 0, done.stdout + done.stderr
    assert (result["outcome"], result["world"], result["agent"]) == ("held", "embedded", "kata")
    assert all(step["outcome"] == "held" for step in result["steps"])


def test_a_scenario_that_does_not_hold_says_expected_and_seen(tmp_path: Path) -> None:
    done = katrio("run", "--engine", "processes", written(tmp_path, FAILING))
    assert done.returncode == 1
    assert "expected exit 4, saw exit 3" in done.stdout
    assert "some output" in done.stdout


def test_the_noop_agent_has_nothing_to_show(tmp_path: Path) -> None:
    done = katrio("run", "--agent", "noop", str(ROOT / "scenarios" / "pause-one-of-two.yaml"))
    assert done.returncode == 4
    assert "skipped" in done.stdout


@pytest.mark.parametrize("words", [("--agent", "kata2"), ("--engine", "docker"), ("--world", "moon")])
def test_an_unknown_word_is_told(words: Sequence[str]) -> None:
    done = katrio("run", *words, str(SCENARIOS[0]))
    assert done.returncode == 2
    assert "invalid choice" in done.stderr


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupt_stops_everything_in_order(engine: str, tmp_path: Path) -> None:
    argv = [KATRIO, "run", "--engine", engine, written(tmp_path, LONG)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "it takes its time" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "stopping in order" in out + err
    assert "Traceback" not in err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_in_every_report(signum: signal.Signals, tmp_path: Path) -> None:
    reports = {kind: tmp_path / f"report.{kind}" for kind in ("junit", "html", "journal")}
    words = [word for kind, path in reports.items() for word in (f"--{kind}", str(path))]
    # steps enough to fill the journal's buffer, which shows that the run is under way
    file = LONG.replace("steps:\n", "steps:\n" + "  - sleep: 0s\n" * 100)
    argv = [KATRIO, "run", "--agent", "noop", "--json", *words, written(tmp_path, file)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while "step_started" not in (reports["journal"].read_text() if reports["journal"].exists() else ""):
            assert process.poll() is None
            time.sleep(0.02)
        # as coreutils' timeout does: the child, and then its group
        process.send_signal(signum)
        process.send_signal(signum)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signum, out + err
    result = json.loads(out)
    assert result["outcome"] == "interrupted"
    assert {step["outcome"] for step in result["steps"][:-1]} == {"held"}
    assert result["steps"][-1]["outcome"] == "cancelled"
    suite = ElementTree.fromstring(reports["junit"].read_text()).find("testsuite")
    assert suite is not None
    assert suite.findall("testcase/error")
    assert '"interrupted"' in reports["journal"].read_text()
    assert ">interrupted</span>" in reports["html"].read_text()


def test_sweep_with_nothing_to_do(tmp_path: Path) -> None:
    # what lies in this machine's image store is not this test's
    katrio("sweep", "--run-dir", str(tmp_path))
    done = katrio("sweep", "--run-dir", str(tmp_path))
    assert done.stdout == "nothing was left behind\n"
    assert done.returncode == 0
