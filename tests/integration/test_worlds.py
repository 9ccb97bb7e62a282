"""Worlds agree: every scenario, in the simulated world and on this machine, with the same outcome step by step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from actors.node.facts import choose_engine, read_facts
from tests.support.command_line import ROOT, katrio

SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
SEEDS = 3
# runc where it is, so that both are covered: the sets below have what is taken by itself
ENGINE = choose_engine(read_facts())[0]


def run(world: str, scenario: Path, *words: str) -> dict[str, Any]:
    done = katrio("run", "--world", world, "--json", *words, scenario, timeout=240)
    assert done.returncode in (0, 4), done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def outcomes(result: dict[str, Any]) -> dict[str, list[str]]:
    """Of each step, by its path; the steps of branches end in any order, and rounds repeat a path."""
    found: dict[str, list[str]] = {}
    for step in result.get("steps", ()):
        found.setdefault(step["path"], []).append(step["outcome"])
    return found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_they_agree_step_by_step(scenario: Path) -> None:
    simulated = run("simulated", scenario, "--seed", "1")
    assert simulated["outcome"] == "held", simulated["reason"]
    embedded = run("embedded", scenario, "--engine", ENGINE)
    if embedded["outcome"] == "skipped":
        assert embedded["reason"].startswith("the embedded world lacks")
        assert os.geteuid() != 0 or ENGINE != "runc", embedded["reason"]
        pytest.skip(embedded["reason"])
    assert embedded["outcome"] == "held", embedded["reason"]
    assert outcomes(simulated) == outcomes(embedded)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_it_holds_on_other_seeds(scenario: Path) -> None:
    """Which seeds they are is part of the test: a race in a scenario would show on some of them."""
    summary = run("simulated", scenario, "--seeds", f"100:{100 + SEEDS}")
    assert summary["outcomes"] == {"held": SEEDS}
    assert summary["digests"] == SEEDS


def results(output: str) -> list[dict[str, Any]]:
    """Of several runs in one command, which sums them up in a last line."""
    *found, total = map(json.loads, output.splitlines())
    assert (total["event"], total["runs"]) == ("total", len(found))
    return found


# of each kind of use one: two outputs, input, a pause, many at once
IN_1_X = ("streams-apart", "stdin-echo-and-eof", "wait-while-paused", "twenty-execs-at-once")


def test_in_kata_1_x_s_dialect_all_hold_too() -> None:
    words = ("run", "--agent", "kata", "--dialect", "grpc", "--json")
    done = katrio(*words, "--world", "simulated", "--seed", "1", *SCENARIOS, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [result["outcome"] for result in results(done.stdout)] == ["held"] * len(SCENARIOS)
    few = [path for path in SCENARIOS if path.stem in IN_1_X]
    assert len(few) == len(IN_1_X)
    done = katrio(*words, "--world", "embedded", "--jobs", "2", *few, timeout=240)
    assert done.returncode in (0, 4), done.stdout + done.stderr
    assert {result["outcome"] for result in results(done.stdout)} <= {"held", "skipped"}


def whole_set(world: str, *words: str) -> dict[str, dict[str, Any]]:
    """Every scenario with hyperstart in one command, by its file's name."""
    done = katrio("run", "--world", world, "--agent", "hyperstart", "--json", *words, *SCENARIOS, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return {Path(result["file"]).stem: result for result in results(done.stdout)}


def test_with_hyperstart_they_agree_as_far_as_it_goes() -> None:
    """docs/agents.md lists which run; a house test holds that list to the table that skips them."""
    simulated = whole_set("simulated", "--seed", "1")
    embedded = whole_set("embedded", "--jobs", "4")
    assert set(simulated) == set(embedded) == {path.stem for path in SCENARIOS}
    for name, result in simulated.items():
        assert result["outcome"] in ("held", "skipped"), (name, result["reason"])
        if embedded[name]["outcome"] == "skipped" and os.geteuid() != 0:
            continue
        assert embedded[name]["outcome"] == result["outcome"], (name, embedded[name]["reason"])
        assert outcomes(result) == outcomes(embedded[name]), name
    ran = [name for name, result in simulated.items() if result["outcome"] == "held"]
    assert len(ran) >= 13, "a need that is written into every file would let all of this pass"
