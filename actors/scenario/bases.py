"""What verbs of the scenario language have in common: the kinds of their fields, and three sorts of steps.

For `verbs` and `asks`, which have the verbs themselves. Not for what a verb does.
"""

from __future__ import annotations

from typing import Annotated

from actors.scenario.model import Kind, Step

__all__ = [
    "Acting",
    "Block",
    "Branches",
    "ContainerName",
    "Look",
    "LookField",
    "ProcessName",
    "SandboxName",
    "Saves",
    "StepField",
    "Target",
    "Valued",
    "Variable",
]

SandboxName = Annotated[str, Kind.SANDBOX]
ProcessName = Annotated[str, Kind.PROCESS]
ContainerName = Annotated[str, Kind.CONTAINER]
Target = Annotated[str, Kind.TARGET]
Variable = Annotated[str, Kind.NEW_VARIABLE]
# pairs of a name and the JSON path of what it keeps; an empty path keeps all of the value
Saves = Annotated[tuple[tuple[str, str], ...], Kind.SAVE]
Branches = tuple[Annotated[tuple[Step, ...], Kind.BRANCH], ...]
StepField = Annotated[Step, Kind.STEP]
Block = tuple[StepField, ...]


class Acting(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Acts on a sandbox or a container, whose state may be expected after it."""

    facets = frozenset({"error", "state"})


class Valued(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Has a value, which may be kept for later steps."""

    facets = frozenset({"error", "state", "value"})
    save: Saves = ()


class Look(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Reads one value and changes nothing, so that it may be repeated by `eventually`, `always`, `unchanged`."""

    facets = frozenset({"error", "value"})


LookField = Annotated[Look, Kind.STEP]
