"""What was asked of a system, as a scenario file: topology, steps in order, and what came of them as expectations.

For `katrio record`. Pure: recorded asks in, YAML out; how each is repeated, its step says (`Step.recorded`). A wait stands where it ended, every other ask where it began, so that
what went on at once stands one after the other. What was read of a process's outputs to their end is expected where its end is first
waited for: as text, or by size and digest. An ask that was given up is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from actors.scenario.stage.draft import Draft, Tree
from actors.scenario.stage.recording import RecordedOutputs
from actors.scenario.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.scenario.stage.recording import Asked

__all__ = ["transcript"]


def transcript(asks: Sequence[Asked], *, name: str, why: str, outputs: RecordedOutputs | None = None) -> str:
    """The file."""
    known = [ask for ask in asks if ask.code != "cancelled"]
    draft = Draft(outputs or RecordedOutputs())
    steps: list[Tree] = []
    for ask in sorted(known, key=lambda ask: ask.ended if ask.verb == "wait" else ask.began):
        repeated = next(filter(None, (step.recorded(ask, draft) for step in STEPS.values())), None)
        if repeated is None:
            continue  # of the system itself: a file has no name for it
        if ask.code:
            repeated[0]["expect"] = {"error": ask.code}
        steps += repeated
    tree: Tree = {"name": name, "why": why, "sandboxes": draft.sandboxes, "steps": steps}
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
