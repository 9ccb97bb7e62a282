"""What the suite does to a real agent before it asks anything: no second sandbox, and a root for each case that it may spoil.

Copies are made in threads, which a clock that jumps does not wait for: real time, in which nobody sleeps.
"""

from __future__ import annotations

import pytest

from actors.conformance.case import Case, Verdict
from actors.conformance.kata import Kata, KataTarget
from actors.conformance.runner import run_cases
from actors.node.protocols import GuestProtocol
from actors.seams import real_seams
from tests.support.realagents import KINDS, RealAgent, open_agent


class CountedRoots:
    def __init__(self) -> None:
        self.out: list[str] = []
        self.copied: list[str] = []

    def copy(self, source: str) -> str:
        self.copied.append(source)
        self.out.append(f"{source}-{len(self.copied)}")
        return self.out[-1]

    def remove(self, copied: str) -> None:
        self.out.remove(copied)


@pytest.mark.parametrize("sandbox", [False, True])
@pytest.mark.parametrize("name", KINDS)
async def test_each_case_has_a_root_and_no_agent_a_second_sandbox(name: str, *, sandbox: bool) -> None:
    real, roots = RealAgent(KINDS[name], sandbox=sandbox), CountedRoots()
    protocol = GuestProtocol(real.kind.dialect.value)
    used: list[str] = []

    async def run(kata: Kata) -> None:
        container = await kata.run()
        used.append(str(real.roots[container.id]))

    cases = [Case(id=f"x.{number}", title="", does="", expects="", why="", run=run) for number in range(3)]
    async with open_agent(real) as dial:
        target = KataTarget(dial, "/image", real_seams().ids, protocol=protocol, roots=roots)
        results = await run_cases(target, cases)
    assert [result.verdict for result in results] == [Verdict.HOLDS] * 3
    assert sorted(used) == ["/image-1", "/image-2", "/image-3"]
    assert roots.out == []
    assert target.version == real.kind.version
    # one that can't be asked is sent none where a second would destroy; a small one refuses it by itself
    expected = {"before 2.4": 0, "with a policy": 0, "small": 1}.get(name, int(not sandbox))
    assert real.asked.count("CreateSandbox") == expected
