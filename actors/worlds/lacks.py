"""Needs of scenarios that can't be met, with reasons: by an engine, by one of our agents whatever the guest runs, or by a
foreign agent.

Whatever is not listed is assumed to work, also with an unknown kind of agent. The behaviour of real agents was observed
(their doubles: `tests/support/doubles`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from actors.agents.kinds import AgentKind
from actors.scenario.language.needs import Need
from actors.words import AgentType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.agents.kinds import Identity

__all__ = ["lacks_of_agent", "lacks_of_engine", "lacks_of_type"]

_GROUPED = (
    Need.CGROUPS,
    Need.IMAGES,
    Need.ISOLATION,
    Need.LIMITS,
    Need.OOM,
    Need.OOM_TOLD,
    Need.PIDS_LIMIT,
    Need.STATS,
)

_BY_TYPE: Mapping[AgentType, Mapping[Need, str]] = MappingProxyType(
    {
        AgentType.NOOP: dict.fromkeys(Need, "the noop agent runs nothing"),
        AgentType.HYPERSTART: {
            Need.PAUSE: "hyperstart has no command to pause",
            Need.LIMITS: "hyperstart limits nothing",
            Need.PIDS_LIMIT: "hyperstart limits nothing",
            Need.OOM: "hyperstart limits nothing",
            Need.OOM_TOLD: "hyperstart tells of no OOM kills",
            Need.STATS: "hyperstart counts nothing",
            Need.PROCESS_LIST: "hyperstart has no command to list processes",
            Need.SIGNAL_EXITS: "hyperstart says 0 of a process that ended by a signal, and of one that ended well",
            Need.EXEC_ERRORS: "hyperstart takes a program that is not there for one that ends with 127, and names no fault",
            Need.HELD_OUTPUT: "hyperstart tells an end once nobody holds the process's output any more",
        },
        AgentType.KATA: {},
    }
)
_BY_KIND: Mapping[AgentKind, Mapping[Need, str]] = MappingProxyType(
    {
        AgentKind.KATA: {
            Need.EXEC_ERRORS: "a Kata agent has one code, INTERNAL, for a program, directory or user that is not there and for all else",
            Need.OOM_TOLD: "a Kata agent with control groups v1 never tells the first kill, and each later one only at the next",
            Need.PIDS_LIMIT: "a Kata agent applies no limit of processes",
        },
        AgentKind.KATA_1X: {
            Need.EXEC_ERRORS: "a Kata 1.x agent has no code for a program or directory that is not there",
        },
        AgentKind.HYPERSTART: {},
        AgentKind.OTHER: {
            Need.HELD_OUTPUT: "of an agent of a kind that is not known here nothing tells, without harm, that a process has ended",
        },
        AgentKind.KATRIO: {},
    }
)


def lacks_of_engine(engine: str) -> Mapping[Need, str]:
    """What one of our engines lacks."""
    if engine != "processes":
        return {}
    return dict.fromkeys(_GROUPED, f"the engine {engine!r} has no control groups and no images")


def lacks_of_type(agent: AgentType) -> Mapping[Need, str]:
    """What its protocol can't do, whatever runs in the guest."""
    return _BY_TYPE[agent]


def lacks_of_agent(identity: Identity, *, unified: bool | None) -> Mapping[Need, str]:
    """What the agent at an address lacks; `unified`: whether its machine has cgroup v2, if known."""
    if identity.own:
        return lacks_of_engine(identity.engine)
    lacks = _BY_KIND[identity.kind]
    return {need: why for need, why in lacks.items() if need is not Need.OOM_TOLD or not unified}
