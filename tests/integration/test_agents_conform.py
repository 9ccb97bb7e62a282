"""`katrio conformance` as a person types it, against guests of our own that run real containers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from actors.conformance.case import Spoken
from actors.conformance.report.base import GREEN
from actors.host.facts import choose_engine, read_facts
from tests.support.conformance import MOST_EXCEPTIONS, exceptions

if TYPE_CHECKING:
    from collections.abc import Sequence

KATRIO = str(Path(sys.executable).parent / "katrio")
ENGINE = choose_engine(read_facts())[0]


def conformance(*words: str) -> tuple[int, dict[str, Any]]:
    """Its exit code and what it says in JSON."""
    done = subprocess.run(
        [KATRIO, "conformance", "--json", *words],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


@pytest.mark.parametrize(
    ("spoken", "words"),
    [(Spoken.TTRPC, ()), (Spoken.HYPERSTART, ("--agent", "hyperstart"))],
    ids=str,
)
def test_our_guest_with_real_containers(spoken: Spoken, words: Sequence[str], tmp_path: Path) -> None:
    page, junit = tmp_path / "page.html", tmp_path / "junit.xml"
    code, told = conformance(*words, "--destructive", "--jobs", "4", "--html", str(page), "--junit", str(junit))
    known = exceptions(spoken, ENGINE)
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
