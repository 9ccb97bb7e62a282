"""Clients that have nothing of ours: the examples of docs/examples drive real containers over a unix socket."""

from __future__ import annotations

import json
import runpy
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
    assert seen["server"] == "katrio"
    assert seen["version"] == 1
    assert (seen["bytes"], seen["all_x"], seen["exit"]) == (2**20, True, 7)
    assert seen["state"] == "running", "a cancelled wait changes nothing"
    assert seen["error"] == "invalid_transition"
    assert seen["details"]["state"] == "running"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_program_with_only_pynng_and_msgpack(engine: str, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/own/server"
    async with served(address, tmp_path / "r", engine):
        seen, modules = await output_of([sys.executable, "-P", "-c", ALONE, EXAMPLES / "client.py", address])
    check(json.loads(seen))
    assert json.loads(seen)["unexpected"] == []
    assert modules == "[]"


def refused(client: Any, failure: Any, *asked: Any, **how: Any) -> tuple[str, Any]:
    with pytest.raises(failure) as caught:
        client.answer(client.start(*asked, **how))
    return caught.value.code, caught.value.details.get("field")


def what_is_refused(client: Any, failure: Any) -> None:
    job = {"process": "job"}
    assert refused(client, failure, "box/web", "read_stdout", job) == ("invalid_argument", "verb")
    assert refused(client, failure, "box/web", "info", {}, window=4096) == ("invalid_argument", "verb")
    assert refused(client, failure, "box/web", "read_stdout", job, window=4095) == ("invalid_argument", "window")
    assert refused(client, failure, "", "create_sandbox", {"id": "b"}) == ("invalid_argument", "id")
    assert refused(client, failure, "box/web", "info", None)[0] == "invalid_argument"
    client.send("cancel", 9999)
    client.send("credit", 9999, 1)
    assert client.ask("box/web", "info", {})["state"] == "running"


def what_a_stream_does(client: Any) -> None:
    job = {"process": "job"}
    client.ask("box/web", "exec", {"id": "job", "process": {"args": ["head", "-c", "100000", "/dev/zero"]}})
    client.ask("box/web", "wait", job)
    sizes: list[int] = []
    last = 0
    counter = client.start("box/web", "read_stdout", job, window=8192)

    def take(offset: int, data: bytes) -> None:
        nonlocal last
        last = offset
        sizes.append(len(data))
        client.send("credit", counter, len(data) + 64)

    client.answer(counter, take)
    assert (sum(sizes), max(sizes)) == (100_000, 8192 // 2 - 64)
    sizes.clear()
    client.answer(client.start("box/web", "read_stdout", job, window=8192), take)
    assert (sizes, last) == ([0], 100_000), "all of it was read before"


def code_of_failure(client: Any, failure: Any, *asked: Any, **how: Any) -> str:
    try:
        client.answer(client.start(*asked, **how))
    except failure as caught:
        return str(caught.code)
    return ""


def what_a_deadline_does(client: Any, failure: Any) -> None:
    assert refused(client, failure, "box/web", "wait", {}, budget_ms=100)[0] == "expired"
    write = ("box/web", "write_stdin", {"data": b"x" * 60_000})
    codes = [code_of_failure(client, failure, *write, budget_ms=300) for _ in range(30)]
    assert (codes[0], codes[-1]) == ("", "unknown"), "nobody reads it: the buffers are full well before 1.8 MB"
    stop = client.start("box/web", "stop", {"grace_seconds": 1.0}, budget_ms=300)
    assert client.answer(stop) == {"code": 137}, "a verb that changes something is answered when it is done"


async def test_refusals_streams_and_deadlines_are_as_the_page_says(tmp_path: Path) -> None:
    example = runpy.run_path(str(EXAMPLES / "client.py"))
    address = f"ipc://{tmp_path}/own/server"

    def drive() -> None:
        client, failure = example["Client"](address, "one"), example["Failure"]
        with pytest.raises(ConnectionError, match="the server says goodbye"):
            example["Client"](address, "one")
        client.ask("", "create_sandbox", {"id": "box"})
        client.ask("box", "start", {})
        client.ask("box", "create_container", {"id": "web", "spec": {"process": {"args": ["sleep", "1000"]}}})
        client.ask("box/web", "start", {})
        what_is_refused(client, failure)
        what_a_stream_does(client)
        what_a_deadline_does(client, failure)
        client.ask("box", "delete", {"force": True})
        client.close()

    async with served(address, tmp_path / "r", ENGINES[-1]):
        await trio.to_thread.run_sync(drive)


@pytest.mark.skipif(
    COMPILER is None or not HEADER.exists(),
    reason="no C compiler or no header of nng; on Debian: apt-get install gcc libnng-dev",
)
async def test_a_program_in_c_with_only_libnng(tmp_path: Path) -> None:
    program = tmp_path / "client"
    strict = ["-std=c11", "-D_DEFAULT_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror"]
    await output_of([str(COMPILER), *strict, "-o", program, EXAMPLES / "client.c", "-lnng"])
    address = f"ipc://{tmp_path}/own/server"
    async with served(address, tmp_path / "r", ENGINES[0]):
        (seen,) = await output_of([program, address])
    check(json.loads(seen))
