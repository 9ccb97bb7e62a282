"""Where `actors`, `katrio` and `transports` come from, and what of them reaches the wheel.

Two are common names: a foreign distribution that brings the same top-level package would shadow ours in
silence. And the editable install sees the whole tree, so a file that the wheel lacks is missed only here.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import actors
import katrio
import transports

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("package", [actors, katrio, transports])
def test_the_packages_are_those_of_this_repository(package: ModuleType) -> None:
    assert Path(str(package.__file__)).resolve() == ROOT / package.__name__ / "__init__.py"


@pytest.mark.parametrize("name", ["actors", "transports"])
def test_no_other_distribution_brings_the_name(name: str) -> None:
    owners = {
        distribution.metadata["Name"]
        for distribution in importlib.metadata.distributions()
        for file in distribution.files or ()
        if file.parts[0] == name
    }
    assert owners <= {"katrio"}
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution(name)


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("katrio-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    here = {
        path.relative_to(ROOT).as_posix()
        for package in ("actors", "katrio", "transports")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == here
    assert "actors/schemas/kata_agent.binpb" in packed


def test_what_katrio_exports_is_all_that_its_handles_speak_of() -> None:
    """Every type of ours in the signature of an exported handle or function is exported too."""
    spoken: set[str] = set()
    for name in katrio.__all__:
        exported = getattr(katrio, name)
        members = vars(exported).values() if isinstance(exported, type) and name.endswith("Handle") else [exported]
        for member in members:
            annotations = getattr(member, "__annotations__", {}) if callable(member) else {}
            spoken |= {word for text in annotations.values() for word in re.findall(r"\b[A-Z][A-Za-z]+\b", str(text))}
    ours = {word for word in spoken if word.endswith(("Handle", "Spec", "Status", "Stats", "Details", "Event"))}
    assert len(ours) > 10
    assert ours <= set(katrio.__all__)
    assert katrio.__version__ == importlib.metadata.version("katrio")
