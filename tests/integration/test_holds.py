"""Programs that are held before they are executed, on this machine's kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.guest.engines.crun import open_hold
from actors.guest.engines.rootfs import Root
from actors.guest.syscalls import hold_executions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Root:
    shutil.copy("/bin/true", tmp_path / "program")
    (tmp_path / "script").write_text(f"#!{tmp_path}/program\n")
    (tmp_path / "script").chmod(0o755)
    file = os.open(tmp_path / "program", os.O_RDONLY)
    try:
        os.close(hold_executions(file))
    except OSError as error:
        pytest.skip(str(error))
    finally:
        os.close(file)
    return Root(str(tmp_path))


def begun(program: Path) -> subprocess.Popen[bytes]:
    """By a shell: who forks waits, as subprocess does, until its child has been executed."""
    process = subprocess.Popen(["/bin/sh", "-c", f"{program}; echo done"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    return process


async def ended(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    await trio.lowlevel.wait_readable(process.stdout)
    assert process.stdout.read() == b"done\n"
    process.stdout.close()
    assert process.wait(20) == 0


@pytest.mark.parametrize("name", ["program", "script"])
async def test_nobody_executes_it_within_the_block(root: Root, tmp_path: Path, name: str) -> None:
    async with open_hold(root, f"/{name}"):
        process = begun(tmp_path / name)
        assert process.stdout is not None
        with trio.move_on_after(0.2):
            await trio.lowlevel.wait_readable(process.stdout)
            raise AssertionError("it was executed")
    with trio.fail_after(20):
        await ended(process)


def test_it_is_let_go_in_time_though_the_block_lasts(root: Root, tmp_path: Path) -> None:
    async def hold() -> None:
        async with open_hold(root, "/program"):
            process = begun(tmp_path / "program")
            await trio.sleep(60)
            assert process.wait(20) == 0
            await ended(process)

    trio.run(hold, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_what_is_not_there_holds_nothing_up(root: Root) -> None:
    async with open_hold(root, "/no-such"):
        pass
