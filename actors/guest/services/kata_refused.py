"""The kata agent API's calls that have no meaning for an embedded guest, each with the reason.

`kata` answers them with UNIMPLEMENTED and this reason. Calls that only some guests support are refused by their
platform or engine instead.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from actors.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from actors.guest.services.method import Method

__all__ = ["REFUSED", "refusals"]

_NO_VM = "this guest is no VM"
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "UpdateEphemeralMounts": "this guest mounts no storages for its host, so there is none to change",
        "RemoveStaleVirtiofsShareMounts": f"{_NO_VM}: nothing is shared with it by virtiofs",
        "MemAgentMemcgSet": "this guest has no memory agent to tune",
        "MemAgentCompactSet": "this guest has no memory agent to tune",
        "MemHotplugByProbe": f"{_NO_VM}: no memory can be plugged into it",
        "AddSwap": f"{_NO_VM}: swap would be this machine's, under everybody",
        "AddSwapPath": f"{_NO_VM}: swap would be this machine's, under everybody",
        "ResizeVolume": "this guest has no volumes of its own to resize",
        "StartTracing": "this guest traces nothing",
        "StopTracing": "this guest traces nothing",
        "SetPolicy": "this guest has no policy engine, so a policy would protect nothing",
    }
)


def refusals() -> Mapping[str, Method]:
    """By call name."""
    return {name: _Refusal(f"{name}: {why}") for name, why in REFUSED.items()}


class _Refusal:
    def __init__(self, message: str) -> None:
        self._message = message

    async def __call__(self, _: object) -> msgspec.Struct:
        await trio.lowlevel.checkpoint()
        raise Unsupported(self._message)
