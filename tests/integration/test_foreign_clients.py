"""Clients that have nothing of ours: the examples of docs/examples drive real containers over a unix socket."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.integration.test_served_systems import ENGINES, served

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
COMPILER = shutil.which("cc")
HEADER = Path("/usr/include/nng/nng.h")
BOUND_SECONDS = 60
# runs a program and says which modules of ours it had loaded by its end
ALONE = """
import runpy, sys
program, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(program, run_name="__main__")
print(sorted(name for name in sys.modules if name.partition(".")[0] in {"actors", "transports", "tests", "msgspec", "trio"}))
"""


async def output_of(command: Sequence[str | Path]) -> list[str]:
    with trio.fail_after(BOUND_SECONDS):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def check(seen: dict[str, Any]) -> None:
    assert seen["hub"] == "katrio"
    assert seen["version"] == 1
    assert (seen["bytes"], seen["all_x"], seen["exit"]) == (2**20, True, 7)
    assert seen["state"] == "running", "a cancelled wait changes nothing"
    assert seen["error"] == "invalid_transition"
    assert seen["details"]["state"] == "running"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_program_with_only_pynng_and_msgpack(engine: str, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/own/hub"
    async with served(address, tmp_path / "r", engine):
        seen, modules = await output_of([sys.executable, "-P", "-c", ALONE, EXAMPLES / "client.py", address])
    check(json.loads(seen))
    assert json.loads(seen)["unexpected"] == []
    assert modules == "[]"


@pytest.mark.skipif(
    COMPILER is None or not HEADER.exists(),
    reason="no C compiler or no header of nng; on Debian: apt-get install gcc libnng-dev",
)
async def test_a_program_in_c_with_only_libnng(tmp_path: Path) -> None:
    program = tmp_path / "client"
    strict = ["-std=c11", "-D_DEFAULT_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror"]
    await output_of([str(COMPILER), *strict, "-o", program, EXAMPLES / "client.c", "-lnng"])
    address = f"ipc://{tmp_path}/own/hub"
    async with served(address, tmp_path / "r", ENGINES[0]):
        (seen,) = await output_of([program, address])
    check(json.loads(seen))
