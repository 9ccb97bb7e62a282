"""The whole path on real nng and real containers, as a program that embeds katrio drives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import open_embedded, open_world
from actors.errors import GuestDied, InvalidArgument, InvalidTransition, KatrioError
from actors.handles import Completed
from actors.node.facts import choose_engine, read_facts
from actors.scenario.language.needs import Need, Probe
from actors.wire.spec import ContainerSpec, ProcessSpec, TerminalSize
from tests.support.boxes import guest_pid

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.handles import ContainerHandle, ProcessHandle, SandboxHandle
    from actors.worlds.embedded import EmbeddedWorld

ENGINES = sorted({"processes", choose_engine(read_facts())[0]})
ROOT = Path(__file__).resolve().parents[2]
COUNT = ("sh", "-c", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every engine that works here."""
    return str(request.param)


@asynccontextmanager
async def a_box(engine: str, tmp_path: Path) -> AsyncGenerator[tuple[EmbeddedWorld, SandboxHandle]]:
    run_dir = tmp_path / "r"
    run_dir.mkdir(mode=0o700)
    with trio.fail_after(60):
        async with open_embedded(agent="kata", engine=engine, run_dir=run_dir) as world:
            box = await world.system.create_sandbox("box")
            await box.start()
            yield world, box


async def running(box: SandboxHandle, name: str, *args: str, tty: bool = False) -> ContainerHandle:
    size = TerminalSize(24, 80) if tty else None
    container = await box.create_container(name, ContainerSpec(process=ProcessSpec(args=args, tty=tty, size=size)))
    await container.start()
    return container


async def read_until(process: ProcessHandle, wanted: bytes) -> bytes:
    """Its output up to where `wanted` is in it."""
    output = b""
    async with process.open_stdout() as parts:
        async for part in parts:
            output += part.data
            if wanted in output:
                return output
    raise AssertionError(f"its output ended without {wanted!r}: {output!r}")


async def test_the_kernel_itself_says_that_one_stands_still(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (world, box):
        still, going = await running(box, "still", *COUNT), await running(box, "going", *COUNT)
        await read_until(still.init, b"3\n")
        await still.pause()
        assert await world.probe(Probe.FREEZER, "box", "still") == "frozen"
        assert await world.probe(Probe.FREEZER, "box", "going") == "thawed"
        with pytest.raises(InvalidTransition):
            await still.exec("refused", ProcessSpec(args=("true",)))
        await read_until(going.init, b"\n20\n")
        await still.resume()
        assert await world.probe(Probe.FREEZER, "box", "still") == "thawed"
        await read_until(still.init, b"\n")


async def test_output_input_and_exit_codes(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (_, box):
        one = await running(box, "one", "sleep", "100")
        mixed = await one.exec("mixed", ProcessSpec(args=("sh", "-c", "echo out; echo err >&2; exit 7")))
        completed = await mixed.collect()
        assert (completed.code, completed.stdout, completed.stderr, completed.lost) == (7, b"out\n", b"err\n", 0)
        echo = await one.exec("echo", ProcessSpec(args=("cat",)))
        data = os.urandom(300_000)
        async with trio.open_nursery() as nursery:

            async def feed() -> None:
                assert await echo.write(data) == len(data)
                await echo.close_stdin()

            nursery.start_soon(feed)
            assert (await echo.collect()).stdout == data
        killed = await one.exec("killed", ProcessSpec(args=("sleep", "100")))
        await killed.signal(signal.SIGKILL)
        assert (await killed.wait()).code == 137
        with pytest.raises(InvalidArgument, match="nosuchprogram"):
            await one.exec("missing", ProcessSpec(args=("nosuchprogram",)))


async def test_a_terminal_sees_its_new_size(engine: str, tmp_path: Path) -> None:
    script = "trap 'stty size' WINCH; stty size; while true; do sleep 0.05; done"
    async with a_box(engine, tmp_path) as (_, box):
        tty = await running(box, "tty", "sh", "-c", script, tty=True)
        await read_until(tty.init, b"24 80")
        await tty.init.winsize(40, 120)
        await read_until(tty.init, b"40 120")


async def test_twenty_execs_at_once(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (_, box):
        one = await running(box, "one", "sleep", "100")
        codes: dict[int, int | None] = {}

        async def run(number: int) -> None:
            process = await one.exec(f"e{number}", ProcessSpec(args=("sh", "-c", f"echo {number}; exit {number}")))
            completed = await process.collect()
            assert completed.stdout == f"{number}\n".encode()
            codes[number] = completed.code

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(run, number)
        assert codes == {number: number for number in range(20)}


async def test_a_killed_guest_answers_everybody_at_once(engine: str, tmp_path: Path) -> None:
    async with a_box(engine, tmp_path) as (world, box):
        other = await world.system.create_sandbox("other")
        await other.start()
        neighbour = await running(other, "neighbour", *COUNT)
        one = await running(box, "one", "sleep", "100")
        codes: list[str] = []

        async def wait() -> None:
            try:
                await one.init.wait()
            except KatrioError as error:
                codes.append(error.code)

        guest = guest_pid(world.guests.directory("box").path)
        with trio.fail_after(3):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(wait)
                # an answer shows that the waits are under way: one sender's order is kept
                await one.info()
                os.kill(guest, signal.SIGKILL)
        assert codes == ["guest_died"] * 20
        for late in (one.stats, one.pause, one.stop, box.check):
            with pytest.raises(GuestDied) as caught:
                await late()
            assert caught.value.details["state"] == "lost", late
        with pytest.raises(GuestDied, match="exec"):
            await one.exec("late", ProcessSpec(args=("true",)))
        await one.delete()
        await read_until(neighbour.init, b"\n5\n")


async def test_the_noop_agent_answers_every_verb_and_runs_nothing() -> None:
    with trio.fail_after(30):
        async with open_world("embedded", agent="noop", engine="auto", run_dir=None) as world:
            box = await world.system.create_sandbox("box")
            await box.start()
            assert (await box.check()).serving
            one = await running(box, "one", "anything")
            await one.pause()
            await one.resume()
            process = await one.exec("e1", ProcessSpec(args=("anything",)))
            assert (await process.collect()).code == 0
            assert (await one.signal(signal.SIGTERM)).processes >= 0
            assert (await one.stop()).code == 0
            await one.delete()
            await box.stop()
            assert set(world.missing) == set(Need)


def test_the_program_in_the_readme_prints_what_it_says(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "hello.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "hello.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = re.findall(r"print\(.*\)  # (.*)", program)
    assert done.stdout.splitlines() == printed


async def test_a_signal_that_the_host_ignores_is_not_ignored_in_a_container(engine: str, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        async with a_box(engine, tmp_path) as (_, box):
            one = await running(box, "one", "sleep", "1000")
            hurt = await one.exec("hurt", ProcessSpec(args=("sh", "-c", "kill -HUP $$; echo survived")))
            assert await hurt.collect() == Completed(code=128 + signal.SIGHUP, stdout=b"", stderr=b"", lost=0)
    finally:
        signal.signal(signal.SIGHUP, before)
