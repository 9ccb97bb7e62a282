"""What a scenario may need of a world (`actors.scenario.language.needs`), and what can't be had with an engine, or with an agent that
somebody else made; and why.

For worlds, which pass the reasons on. What can't be had stands here and all else can: an agent of a kind that nobody knows is
given the benefit of the doubt. What real agents did was seen alive (their doubles: `tests/support/doubles`). Not for what our
own agents can't do, whatever runs in the guest: `actors.system.agents.LACKS`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from actors.agents.identity import AgentKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.agents.identity import Identity

__all__ = ["OFFERS", "lacks_of_agent", "lacks_of_engine"]

_GROUPED = ("cgroups", "images", "isolation", "limits", "oom", "oom_told", "pids_limit", "stats")
# every need that there is
OFFERS = (
    *("containers", "exec", "exec_errors", "faults", "held_output", "pause", "probes", "process_list", "signal_exits"),
    *("signals", "stdin", "tty", *_GROUPED),
)

_OOM = "oom_told"
_BY_KIND: Mapping[AgentKind, Mapping[str, str]] = MappingProxyType(
    {
        AgentKind.KATA: {
            "exec_errors": "a Kata agent has one code, INTERNAL, for a program, directory or user that is not there and for all else",
            _OOM: "a Kata agent with control groups v1 never tells the first kill, and each later one only at the next",
            "pids_limit": "a Kata agent applies no limit of processes",
        },
        AgentKind.KATA_1X: {
            "exec_errors": "a Kata 1.x agent has no code for a program or directory that is not there",
        },
        AgentKind.HYPERSTART: {},
        AgentKind.OTHER: {
            "held_output": "of an agent of a kind that is not known here nothing tells, without harm, that a process has ended",
        },
        AgentKind.KATRIO: {},
    }
)


def lacks_of_engine(engine: str) -> Mapping[str, str]:
    """What an engine of ours does not have."""
    if engine != "processes":
        return {}
    return dict.fromkeys(_GROUPED, f"the engine {engine!r} has no control groups and no images")


def lacks_of_agent(identity: Identity, *, unified: bool | None) -> Mapping[str, str]:
    """What can't be had with what answers at an address; `unified`: whether its machine has control groups v2, where known."""
    if identity.own:
        return lacks_of_engine(identity.engine)
    lacks = _BY_KIND[identity.kind]
    return {need: why for need, why in lacks.items() if need != _OOM or not unified}
