"""`katrio doctor` as typed: what it says of this machine is what this machine does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from actors.images.store import default_image_root
from actors.node.facts import read_facts
from actors.node.roots import default_roots
from actors.node.trials import find_engine
from actors.words import RUNTIMES
from tests.support.command_line import katrio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FACTS = read_facts()


def doctor(*words: str, environment: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "actors.cli.start", "doctor", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, env=dict(environment))


def checks(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def fake_runtimes(place: Path, script: str) -> dict[str, str]:
    """A PATH on which every OCI runtime is this script."""
    place.mkdir()
    for name in RUNTIMES:
        (place / name).write_text(script)
        (place / name).chmod(0o755)
    return {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}


def test_what_it_says_is_so() -> None:
    done = doctor("--json")
    found = checks(done)
    chosen, reason = find_engine()
    assert json.loads(done.stdout)["engine"] == chosen
    assert reason in found["engine"]["found"]
    assert found[chosen]["verdict"] == "works"
    assert found["processes"]["verdict"] == "works"
    assert found["leftovers"]["verdict"] == "works"
    assert done.returncode == 0
    assert done.stderr == ""


def test_people_can_read_it() -> None:
    done = doctor()
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("Containers run here, by ")
    assert all(line[:2] in ("ok", "--", "!!", "  ") for line in lines[:-2])
    assert max(map(len, lines)) < 160


@pytest.mark.skipif(not FACTS.root, reason="an OCI runtime needs root")
def test_a_runtime_that_does_not_work_is_not_assumed_to(tmp_path: Path) -> None:
    script = '#!/bin/sh\n[ "$1" = --version ] && echo "runc version 9" && exit\necho no >&2; exit 3\n'
    done = doctor("--json", environment=fake_runtimes(tmp_path / "bin", script))
    found = checks(done)
    assert found["runc"]["verdict"] == "broken"
    assert "runc version 9" in found["runc"]["found"]
    assert found["processes"]["verdict"] == "works"
    assert done.returncode == 3, "the one that would be taken does not work"


def test_leftovers_and_a_bad_run_directory(tmp_path: Path) -> None:
    root = tmp_path / "run"
    (root / "dead").mkdir(parents=True)
    (root / "dead/lock").touch()
    root.chmod(0o755)
    # as a katrio leaves it that is killed while it unpacks; in the store itself, as that is where such things are
    half = default_image_root(os.environ, os.geteuid()) / f".building-{'0' * 64}-test"
    (half / "root/shut").mkdir(parents=True)
    (half / "lock").touch()
    (half / "root/shut").chmod(0o555)
    # and as one that was killed beside an agent of somebody else's
    copies = default_roots(os.environ, os.geteuid()) / "run-of-the-dead"
    (copies / "1" / "etc").mkdir(parents=True)
    found = checks(doctor("--json", "--run-dir", str(root)))
    assert found["run directory"]["verdict"] == "broken"
    assert "dead" in found["leftovers"]["found"]
    assert half.name in found["leftovers"]["found"]
    assert copies.name in found["leftovers"]["found"]
    assert half.exists()
    assert (copies / "1" / "etc").is_dir()
    swept = katrio("sweep", "--run-dir", str(tmp_path / "other")).stdout
    assert all(f"removed {left}\n" in swept for left in (half, copies))
    assert not half.exists()
    assert not copies.exists()
    assert found["leftovers"]["advice"] == "katrio sweep"
    assert (root / "dead/lock").exists(), "it only looks"
    found = checks(doctor("--json", "--run-dir", str(tmp_path / ("x" * 100))))
    assert found["run directory"]["verdict"] == "broken"
