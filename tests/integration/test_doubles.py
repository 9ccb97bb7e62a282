"""Doubles of others' agents on a real engine, in a process at an address: their rows as a client there sees them.

One process for each; what leaves it as it was is looked at side by side (8 s), and what ends it last.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.conformance.hyperstart import HyperstartTarget
from actors.conformance.kata import KataTarget
from actors.images.store import BUSYBOX, ImageStore, default_image_root
from actors.node.busybox import find_static_busybox
from actors.node.facts import choose_engine, read_facts
from actors.node.protocols import GuestProtocol
from actors.seams import real_seams
from tests.support.command_line import katrio
from tests.support.doubles.opening import DOUBLES
from tests.support.doubles.power import Options
from tests.support.doubles.tables import TABLES
from transports.address import parse_address
from transports.agent_sockets import open_dialer
from transports.recognise import Peer

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from actors.conformance.subject import Target
    from tests.support.doubles.rows import Row
    from transports.base import Dialer

ENGINE = choose_engine(read_facts())[0]
ROW_SECONDS = 40
# its addresses, who is there, and the row that ends it
PLACES = {
    "today": (("unix://{}/a.sock",), (Peer.TTRPC,), "sandbox"),
    "kata1x": (("serial:{}/port.sock",), (Peer.GRPC,), "no OCI"),
    "hyperstart": (("unix://{}/c.sock", "unix://{}/t.sock"), (Peer.CONTROL, Peer.STREAMS), "missing directory"),
}


@contextmanager
def served(name: str, addresses: list[str], run_dir: Path) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.doubles", name, *addresses, "--run-dir", str(run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["ready"]
            yield process
        finally:
            process.terminate()
            process.wait(60)


def _root() -> str:
    return str(ImageStore(default_image_root(os.environ, os.geteuid()), find_static_busybox()).resolve(BUSYBOX))


def _target(protocol: GuestProtocol, dialers: list[Dialer]) -> Target:
    ids = real_seams().ids
    if protocol is not GuestProtocol.HYPERSTART:
        return KataTarget(dialers[0], rootfs=_root(), ids=ids, protocol=protocol)
    return HyperstartTarget(dialers[0], dialers[1], rootfs=_root().lstrip("/"), share="/", ids=ids)


@pytest.mark.skipif(ENGINE == "processes", reason="most rows are about control groups and terminals of a container")
@pytest.mark.parametrize("name", DOUBLES)
async def test_a_double_does_what_its_table_says(name: str, tmp_path: Path) -> None:
    words, peers, last = PLACES[name]
    directory = tmp_path / "own"
    directory.mkdir(mode=0o700)
    addresses = [each.format(directory) for each in words]
    rows = [row for row in TABLES[name].rows if not row.simulated and row.options == Options()]
    with served(name, addresses, tmp_path / "r") as process:
        async with AsyncExitStack() as stack:
            places = zip(map(parse_address, addresses), peers, strict=True)
            dialers = [await stack.enter_async_context(open_dialer(*place)) for place in places]
            target = _target(DOUBLES[name].protocol, dialers)
            # what is done to a pod is done to all of its containers
            turns = trio.CapacityLimiter(1 if DOUBLES[name].protocol is GuestProtocol.HYPERSTART else 8)
            async with target.open_target():
                async with trio.open_nursery() as nursery:
                    for row in rows:
                        if not row.ends:
                            nursery.start_soon(_show, target, row, turns)
                await _show(target, next(row for row in rows if row.id == last), turns)
        # its machine has ended, and it says so
        assert process.wait(60) == 3


async def _show(target: Target, row: Row, turns: trio.CapacityLimiter) -> None:
    try:
        async with turns:
            await _shown(target, row)
    except BaseException as error:
        error.add_note(f"row {row.id}: {row.does}")
        raise


async def _shown(target: Target, row: Row) -> None:
    with trio.fail_after(ROW_SECONDS):
        async with target.open_subject(trio.current_time() + ROW_SECONDS) as subject:
            await row.shown(subject)
        if not row.ends:
            await subject.clean()


@pytest.mark.skipif(ENGINE == "processes", reason="its containers have a root")
def test_files_of_one_command_at_an_agent_that_ends_with_its_sandbox(tmp_path: Path) -> None:
    """What is skipped makes no sandbox, the next has it, and the third is told why there is none for it (13 s)."""
    directory = tmp_path / "own"
    directory.mkdir(mode=0o700)
    address = f"unix://{directory}/a.sock"
    files = [f"scenarios/{name}.yaml" for name in ("missing-program", "grandchild-holds-the-pipe", "late-wait")]
    words = ["run", "--world", "attached", "--address", address, "--json", "--keep-going", *files]
    with served("today", [address], tmp_path / "run"):
        done = katrio(*words, timeout=120)
    skipped, held, ended, total = map(json.loads, done.stdout.splitlines())
    assert (total["event"], total["runs"]) == ("total", 3)
    assert (skipped["outcome"], held["outcome"], ended["outcome"]) == ("skipped", "held", "error"), done.stdout
    assert "lacks exec_errors" in skipped["reason"]
    assert "has ended, with sandbox 'box', as today's kata-agent does" in ended["reason"]
    assert "guest_died" in ended["reason"]
    assert done.returncode == 3
