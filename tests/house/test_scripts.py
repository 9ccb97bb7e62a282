"""The house's own tools say what is wrong in one line, and catch what they are there to catch."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `scripts/setup` and `scripts/check-sizes` need, at a path with a space, without a .venv."""
    tree = tmp_path / "a clone"
    for part in ("scripts", "requirements"):
        shutil.copytree(ROOT / part, tree / part)
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def interpreter(path: Path, refused: str) -> Path:
    """A `python3` that fails when its code speaks of something, as an older or a bare Debian one does."""
    path.write_text(f'#!/bin/sh\ncase "$*" in *{refused}*) exit 1;; esac\nexec python3 "$@"\n', "utf-8")
    path.chmod(0o755)
    return path


def set_up(clone: Path, python: str) -> str:
    """What set-up says when it refuses, from a folder that is not the clone."""
    said = subprocess.run(
        [clone / "scripts" / "setup", "runtime"],
        cwd="/",
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHON": python},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 1
    assert said.stdout == ""
    return said.stderr.splitlines()[-1]


def test_set_up_without_python_says_what_to_install(clone: Path) -> None:
    assert "apt-get install python3 python3-venv" in set_up(clone, "no-such-python")


def test_set_up_without_venv_says_what_to_install(clone: Path, tmp_path: Path) -> None:
    assert "apt-get install python3-venv" in set_up(clone, str(interpreter(tmp_path / "bare", "ensurepip")))


def test_set_up_with_an_old_python_says_which_is_needed(clone: Path, tmp_path: Path) -> None:
    assert "needs Python 3.11" in set_up(clone, str(interpreter(tmp_path / "old", "version_info")))


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def short() -> None:\n" + "    pass\n" * 59, ""),
        ("def long() -> None:\n" + "    pass\n" * 60, "x.py:1: long has 61 lines, at most 60"),
        (
            "class C:\n    async def long(self) -> None:\n" + "        pass\n" * 60,
            "x.py:2: long has 61 lines, at most 60",
        ),
        ("pass\n" * 500, ""),
        ("pass\n" * 501, "x.py:1: 501 lines, at most 500"),
    ],
)
def test_sizes_are_checked(clone: Path, source: str, verdict: str) -> None:
    (clone / "actors").mkdir()
    (clone / "actors" / "x.py").write_text(source, "utf-8")
    said = subprocess.run(["scripts/check-sizes"], cwd=clone, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == (1 if verdict else 0)
    assert verdict in said.stdout
    assert bool(said.stdout) == bool(verdict)


def test_pins_are_exact_and_hashed_and_name_no_index() -> None:
    for locked in (ROOT / "requirements").glob("*.txt"):
        text = locked.read_text("utf-8")
        assert "://" not in text
        for entry in text.replace("\\\n", " ").splitlines():
            assert "==" in entry, f"{locked.name}: {entry[:60]}"
            assert "--hash=sha256:" in entry, f"{locked.name}: {entry[:60]}"
