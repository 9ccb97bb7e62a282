"""The agent of docs/write-your-own-agent.md, run as the page says and held to what the page says of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.conformance.case import Spoken, Verdict
from actors.conformance.catalogue import chosen
from actors.conformance.kata import KataTarget
from actors.conformance.runner import Settings, run_cases
from actors.seams import real_seams
from transports.stream import unix_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
# what such a guest has not
LACKS = frozenset(("cgroups", "isolation", "tty"))


def families() -> tuple[str, ...]:
    """Those that the page names."""
    found = re.search(r"^    (health, .*)$", (DOCS / "write-your-own-agent.md").read_text("utf-8"), re.MULTILINE)
    assert found, "the page names no families any more"
    return tuple(found[1].split(", "))


@pytest.fixture
async def path(tmp_path: Path) -> AsyncGenerator[str]:
    socket = tmp_path / "agent.sock"
    agent = await trio.lowlevel.open_process([sys.executable, str(DOCS / "examples" / "small_agent.py"), str(socket)])
    try:
        with trio.fail_after(30):
            while not socket.exists():  # noqa: ASYNC110  # another process makes it
                await trio.sleep(0.02)
        yield str(socket)
    finally:
        agent.kill()
        await agent.wait()


async def test_the_small_agent_does_what_its_page_says(path: str) -> None:
    cases = [case for case in chosen(Spoken.TTRPC, destructive=True) if case.id.split(".")[0] in families()]
    target = KataTarget(unix_dialer(path), rootfs="/", ids=real_seams().ids)
    results = await run_cases(target, cases, Settings(jobs=16, lacks=LACKS))
    short = {each.case.id: each.seen for each in results if each.verdict not in (Verdict.HOLDS, Verdict.UNSUPPORTED)}
    assert short == {}
    assert [each for each in results if each.verdict is Verdict.HOLDS]
