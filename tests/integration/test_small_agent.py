"""The agent of docs/write-your-own-agent.md, run as the page says and held to what the page says of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import trio

from actors.conformance.case import Verdict
from actors.conformance.catalogue import chosen
from actors.conformance.kata import KataTarget
from actors.conformance.runner import Settings, run_cases
from actors.errors import Unsupported
from actors.node.protocols import GuestProtocol
from actors.seams import real_seams
from transports.stream import unix_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
# what such a guest has not
LACKS = frozenset(("cgroups", "isolation"))


class Running(NamedTuple):
    """The agent."""

    path: str
    process: trio.Process


def families() -> tuple[str, ...]:
    """Those that the page names."""
    found = re.search(r"^    (health, .*)$", (DOCS / "write-your-own-agent.md").read_text("utf-8"), re.MULTILINE)
    assert found, "the page names no families any more"
    return tuple(found[1].split(", "))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncGenerator[Running]:
    socket = tmp_path / "agent.sock"
    agent = await trio.lowlevel.open_process([sys.executable, str(DOCS / "examples" / "small_agent.py"), str(socket)])
    try:
        with trio.fail_after(30):
            while not socket.exists():  # noqa: ASYNC110  # another process makes it
                await trio.sleep(0.02)
        yield Running(str(socket), agent)
        agent.terminate()
        with trio.fail_after(30):
            assert await agent.wait() == 0
        assert not socket.exists(), "it takes its socket file along"
    finally:
        agent.kill()
        await agent.wait()


async def test_the_small_agent_does_what_its_page_says(running: Running) -> None:
    cases = [case for case in chosen(GuestProtocol.TTRPC, destructive=True) if case.id.split(".")[0] in families()]
    target = KataTarget(unix_dialer(running.path), rootfs="/", ids=real_seams().ids)
    results = await run_cases(target, cases, Settings(jobs=16, lacks=LACKS))
    short = {each.case.id: each.seen for each in results if each.verdict not in (Verdict.HOLDS, Verdict.UNSUPPORTED)}
    assert short == {}
    assert [each for each in results if each.verdict is Verdict.HOLDS]


async def test_it_refuses_a_terminal_and_leaves_no_process(running: Running) -> None:
    """What runs when it is asked to end, ends with it. One start of it: 1 s."""
    target = KataTarget(unix_dialer(running.path), rootfs="/", ids=real_seams().ids)
    async with target.open_target(), target.open_subject(trio.current_time() + 30) as kata:
        with pytest.raises(Unsupported, match="no terminals"):
            await kata.create(kata.spec("true", tty=True), named="one")
        container = await kata.create(kata.spec("sh", "-c", "echo $$; sleep 1000"), named="one")
        await container.start()
        with pytest.raises(Unsupported, match="no terminals"):
            await container.exec("true", named="two", tty=True)
        await container.exec("true", named="two")
        pid = int(await container.init.until("\n"))
        assert alive(pid)
        running.process.terminate()
        await running.process.wait()
        assert not alive(pid)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
