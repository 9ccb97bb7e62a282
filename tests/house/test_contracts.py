"""The import contracts and the banned modules bite: each one is broken on purpose, in a copy of empty modules.

A contract that names a module which was renamed, or a layer put in the wrong place, holds for ever and guards
nothing. That the real tree keeps the contracts is `scripts/check`'s business.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
BANNED: list[str] = sorted(PYPROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"])

# contract -> (module that sins, its sin)
SABOTAGE = {
    "actors layers": ("actors.reporting", "import actors.conformance"),
    "transports layers": ("transports.stream", "import transports.ttrpc"),
    "calls layers": ("transports.calls.writer", "import transports.calls.client"),
    "scenario layers": ("actors.scenario.language.kinds", "import actors.scenario.stage.events"),
    "the simulated box knows nothing of katrio": ("actors.simulation.box.kernel.kernel", "import actors.seams"),
    "ttrpc layers": ("transports.ttrpc.codec", "import transports.ttrpc.client"),
    "grpc layers": ("transports.grpc.codec", "import transports.grpc.http2"),
    "hyperstart layers": ("transports.hyperstart.codec", "import transports.hyperstart.control"),
    "hybrid layers": ("transports.hybrid.handshake", "import transports.hybrid.sockets"),
    "yamux layers": ("transports.yamux.codec", "import transports.yamux.session"),
    "transports know no actor": ("transports.stream", "import actors.errors"),
    "pure": ("actors.lifecycle.table", "import trio"),
    "only the schemas know protobuf": ("actors.agents.base", "import google.protobuf"),
    "nng is chosen by cli and api alone": ("actors.container", "import pynng"),
    "the guest does not know the host's actors": ("actors.guest.model", "import actors.handles"),
    "katrio is for programs that embed it": ("actors.suggest", "import katrio"),
    "agents are independent": ("actors.agents.noop", "import actors.agents.kata"),
}


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """The tree of both packages, every module empty, with the real pyproject.toml."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("actors", "katrio", "transports"):
        for path in (ROOT / package).rglob("*.py"):
            stub = tmp_path / path.relative_to(ROOT)
            stub.parent.mkdir(parents=True, exist_ok=True)
            stub.touch()
    return tmp_path


def verdicts(tree: Path) -> dict[str, str]:
    """Each contract's name -> KEPT or BROKEN."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    said = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=60, check=False)
    found = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", said.stdout, re.MULTILINE))
    assert found, said.stdout + said.stderr
    return found


def module_file(tree: Path, module: str) -> Path:
    """Where a module of the copy lies."""
    path = tree.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_every_contract_has_its_sabotage_and_an_innocent_tree_keeps_them_all(stubs: Path) -> None:
    names = [contract["name"] for contract in PYPROJECT["tool"]["importlinter"]["contracts"]]
    assert sorted(names) == sorted(SABOTAGE)
    assert verdicts(stubs) == dict.fromkeys(names, "KEPT")


@pytest.mark.parametrize("contract", SABOTAGE)
def test_a_wrong_import_breaks_its_contract(stubs: Path, contract: str) -> None:
    module, sin = SABOTAGE[contract]
    sinner = module_file(stubs, module)
    assert sinner.exists(), f"{module} is gone: choose another sinner"
    sinner.write_text(sin + "\n", "utf-8")
    assert verdicts(stubs)[contract] == "BROKEN"


def test_a_module_outside_the_layers_is_noticed(stubs: Path) -> None:
    (stubs / "actors" / "stranger.py").touch()
    assert verdicts(stubs)["actors layers"] == "BROKEN"


@pytest.mark.parametrize("module", BANNED)
def test_a_banned_module_is_refused_in_an_actor(module: str) -> None:
    command = [
        str(Path(sys.executable).with_name("ruff")),
        "check",
        "--no-cache",
        "--select",
        "TID251",
        "--stdin-filename",
        "actors/x.py",
        "-",
    ]
    said = subprocess.run(
        command, cwd=ROOT, input=f"import {module}\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 1
    assert "TID251" in said.stdout
