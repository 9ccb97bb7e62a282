"""`katrio conformance` as a person types it, against guests of our own that run real containers."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from actors.conformance.case import GREEN
from actors.node.facts import choose_engine, read_facts
from actors.node.protocols import GuestProtocol
from tests.support.command_line import KATRIO, katrio
from tests.support.conformance import MOST_EXCEPTIONS, exceptions

if TYPE_CHECKING:
    from collections.abc import Sequence

ENGINE = choose_engine(read_facts())[0]


def conformance(*words: str) -> tuple[int, dict[str, Any]]:
    """Its exit code and what it says in JSON."""
    done = katrio("conformance", "--json", *words, timeout=240)
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (GuestProtocol.TTRPC, ("--destructive",)),
        (GuestProtocol.GRPC, ("--dialect", "grpc", "--destructive")),
        (GuestProtocol.HYPERSTART, ("--agent", "hyperstart", "--destructive")),
    ],
    ids=["kata ttrpc", "kata grpc", "hyperstart"],
)
def test_our_guest_with_real_containers(protocol: GuestProtocol, words: Sequence[str], tmp_path: Path) -> None:
    page, junit = tmp_path / "page.html", tmp_path / "junit.xml"
    code, told = conformance(*words, "--engine", ENGINE, "--jobs", "4", "--html", str(page), "--junit", str(junit))
    known = exceptions(protocol, ENGINE)
    short = {case["id"]: case for case in told["cases"] if case["verdict"] not in GREEN}
    assert {name: case for name, case in short.items() if name not in known} == {}
    assert known <= set(short), "a row of docs/conformance.md that holds by now"
    assert len(known) <= MOST_EXCEPTIONS
    assert code == (1 if known else 0)
    assert sum(told["summary"].values()) == len(told["cases"])
    assert told["summary"]["holds"] > 0.9 * len(told["cases"]) - MOST_EXCEPTIONS
    suite = ElementTree.parse(junit).getroot().find("testsuite")
    assert suite is not None
    assert suite.get("tests") == str(len(told["cases"]))
    text = page.read_text("utf-8")
    assert all(f">{case['id']}<" in text for case in told["cases"])
    assert "<script" not in text


def test_a_filter_and_an_agent_without_groups() -> None:
    code, told = conformance("--filter", "oom.,update.", "--lacks", "cgroups", "--engine", "processes")
    assert {case["verdict"] for case in told["cases"] if case["id"].startswith("oom.")} == {"unsupported"}
    assert code == 0


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """What it says to a person."""
    return katrio("conformance", *words, timeout=60)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--filter", "nothing-has-this-word"), "--filter: no case has 'nothing-has-this-word'"),
        (("--skip", "pasue"), "--skip: no case has 'pasue' in id or title; did you mean pause?"),
        (("--address", "tcp://localhost:1"), "--address"),
        (("--address", "unix:///run/x", "--engine", "runc"), "--engine is for a guest of our own"),
        (("--tty-address", "unix:///run/x"), "--tty-address goes with --address"),
        (("--agent", "hyperstart", "--dialect", "grpc"), "--dialect is for --agent kata"),
        (("--rootfs", "relative"), "expected an absolute path"),
        (("--jobs", "0"), "--jobs 0: expected 1 to"),
        (("--html", "/no/such/directory/page.html"), "/no/such/directory"),
        (("--agent", "noop"), "invalid choice"),
        (("--slow", "0.5"), "--slow 0.5: expected how many times as slow, 1 to 1000"),
        (("--agent-command", "true"), "--agent-command goes with --address"),
        (("--address", "unix:///run/x", "--agent-command", "a 'b"), "No closing quotation"),
        (("--address", "unix:///run/x", "--agent-command", "/no/such/program"), "No such file or directory"),
        (("--known", "/no/such/file"), "/no/such/file"),
        (("--filter", "health.", "--skip", "health"), "no case has one of health. and none of health"),
    ],
)
def test_a_wrong_command_line_is_told_in_a_line(words: Sequence[str], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_agent_that_ends_is_started_anew(tmp_path: Path) -> None:
    """Three starts of a double on plain processes: 8 s."""
    place, known = tmp_path / "own", tmp_path / "known"
    place.mkdir(mode=0o700)
    known.write_text("stats.unknown-refused wrong code # invalid_argument\nhealth.version # mended\n")
    command = f"{sys.executable} -m tests.support.doubles today unix://{place}/a.sock --engine processes --run-dir {tmp_path}/r"
    code, told = conformance(
        "--address", f"unix://{place}/a.sock", "--agent-command", command, "--known", str(known), "--rootfs", "/",
        "--destructive", "--filter", "sandbox.destroy,health.,stats.unknown", "--skip", "stuck", "--lacks", "isolation",
    )  # fmt: skip
    verdicts = {case["id"]: case["verdict"] for case in told["cases"]}
    assert verdicts.pop("stats.unknown-refused") == "wrong code"
    assert set(verdicts.values()) == {"holds"}, told["cases"]
    assert len(verdicts) == 4
    assert (told["known"], told["known_that_hold"]) == (["stats.unknown-refused"], ["health.version"])
    assert code == 0


def test_a_command_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    done = run("--address", f"unix://{tmp_path}/a.sock", "--agent-command", "sh -c 'echo no such image; exit 7'")
    assert done.returncode == 3, done.stderr
    assert "ended with 7, and said: no such image" in done.stderr


def test_a_command_takes_nobodys_place(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(tmp_path / "a.sock"))
        there.listen()
        done = run("--address", f"unix://{tmp_path}/a.sock", "--agent-command", "true")
    assert done.returncode == 2, done.stderr
    assert "somebody serves at" in done.stderr


def test_an_agent_that_is_not_there_costs_no_old_report(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("of yesterday")
    done = run("--address", f"unix://{tmp_path}/agent.sock", "--html", str(page))
    assert done.returncode == 3
    assert "nobody answers" in done.stderr
    assert page.read_text() == "of yesterday"


def test_a_report_that_can_not_be_written_costs_no_other(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run("--engine", "processes", "--filter", "health.", "--junit", "/dev/full", "--html", str(page))
    assert done.returncode == 3, done.stderr
    assert "/dev/full: not all of it could be written: No space left on device" in done.stderr
    assert "health.serving: holds, " in done.stderr, "each is a line as it ends"
    assert "holds" in done.stdout
    assert "health." in page.read_text()


def _runs_a_container(command: int) -> bool:
    """Whether it has a launcher, that a guest, and that a process."""
    generation = [command]
    for _ in range(3):
        found: list[int] = []
        for pid in generation:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                threads = list(Path(f"/proc/{pid}/task").iterdir())
                found += [int(word) for thread in threads for word in (thread / "children").read_text().split()]
        generation = found
    return bool(generation)


def test_an_interrupt_cleans_up_and_tells_what_there_is() -> None:
    command = [KATRIO, "conformance", "--json", "--jobs", "1", "--engine", "processes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # all cases need half a minute; with a process of a container the first is under way
        while not _runs_a_container(process.pid):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    told = json.loads(out)
    assert process.returncode == 130, err
    assert "cleaning up" in err
    assert told["not_run"]
    assert sum(told["summary"].values()) + len(told["not_run"]) > 120
