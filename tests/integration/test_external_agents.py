"""Scenarios against agents that somebody else runs: unchanged, by an address, over each kind of socket that is here."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from actors.agents.kata.config import KataAgentConfig
from actors.api import open_system
from actors.errors import ResourceExhausted
from tests.support.command_line import KATRIO, katrio

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def served(directory: Path, agent: str, address: str, *more: str) -> Generator[None]:
    """A guest of plain processes, of another program."""
    words = [
        "--agent",
        agent,
        "--address",
        address,
        "--engine",
        "processes",
        "--run-dir",
        str(directory / "run"),
        *more,
    ]
    with subprocess.Popen([KATRIO, "guest", "--json", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["ready"]
            yield
        finally:
            process.terminate()
            process.wait(60)


def run(*words: str) -> list[dict[str, Any]]:
    scenarios = [f"scenarios/{name}.yaml" for name in ("streams-apart", "signal-to-all")]
    done = katrio("run", "--world", "attached", "--json", *words, *scenarios, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    *results, total = map(json.loads, done.stdout.splitlines())
    assert (total["event"], total["runs"]) == ("total", len(results))
    return results


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    return own


@pytest.mark.parametrize(
    ("agent", "address", "outcomes", "dialect"),
    [
        ("kata", "unix://{}/agent.sock", ["held", "held"], ()),
        ("kata", "hvsock://{}/vm.sock:1024", ["held", "held"], ("--dialect", "grpc")),
        # gRPC in streams of yamux, as 1.x has it where a VM has no vsock
        ("kata", "serial://{}/channel.sock", ["held", "held"], ("--dialect", "grpc")),
        ("hyperstart", "unix://{}/hyper.sock", ["held", "skipped"], ()),
        ("hyperstart", "hvsock://{}/vm.sock:2718", ["held", "skipped"], ()),
    ],
)
def test_scenarios_run_unchanged(
    agent: str, address: str, outcomes: list[str], dialect: tuple[str, ...], directory: Path
) -> None:
    address = address.format(directory)
    with served(directory, agent, address, *dialect):
        results = run("--agent", agent, "--address", address, *dialect)
        assert [result["outcome"] for result in results] == outcomes, results
        assert {(result["world"], result["agent"]) for result in results} == {("attached", agent)}


async def test_it_has_one_sandbox_at_a_time(directory: Path) -> None:
    address = f"unix://{directory}/agent.sock"
    with served(directory, "kata", address):
        config = KataAgentConfig(address=address, long_live_conn=False)
        with trio.fail_after(60):
            async with open_system(agent="kata", config=config) as system:
                first, second = await system.create_sandbox("first"), await system.create_sandbox("second")
                await first.start()
                with pytest.raises(ResourceExhausted, match="has one sandbox, 'first'; stop that first"):
                    await second.start()
                await first.stop()
                third = await system.create_sandbox("third")
                await third.start()
                assert (await third.check()).serving
