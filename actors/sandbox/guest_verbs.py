"""The sandbox's verbs that pass through to its guest: what it is, its clock, its network, files for it.

The half of the sandbox actor that keeps nothing: each verb is checked against the lifecycle and the bounds that the
`Limits` set, and asked of the agent. The other half, in `actor`, has the sandbox's state. Also the watch for kills by want of memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.errors import AgentUnreachable, InvalidArgument, KatrioError, OutcomeUnknown, Unsupported
from actors.wire.verbs import Interfaces, Nothing, Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.actor import Handler
    from actors.agents.base import AgentConnection
    from actors.limits import Limits
    from actors.mailbox import Mail
    from actors.wire.reports import Capabilities, GuestDetails, Interface
    from actors.wire.verbs import Checked, CopyFile, OnlineCpuMem, ReseedRandom, SetGuestTime, UpdateInterface

__all__ = ["GuestVerbs", "watch_oom"]


class GuestVerbs:
    """`agent(verb)` is the sandbox's connection, once the lifecycle has allowed the verb."""

    def __init__(self, agent: Callable[[str], AgentConnection], limits: Limits) -> None:
        self._agent = agent
        self._limits = limits

    def handlers(self) -> Mapping[str, Handler]:
        """By verb."""
        return {
            "check": self._check,
            "capabilities": self._capabilities,
            "get_guest_details": self._get_guest_details,
            "online_cpu_mem": self._online_cpu_mem,
            "set_guest_time": self._set_guest_time,
            "reseed_random": self._reseed_random,
            "copy_file": self._copy_file,
            "list_interfaces": self._list_interfaces,
            "update_interface": self._update_interface,
            "list_routes": self._list_routes,
            "update_routes": self._update_routes,
        }

    async def _check(self, args: Nothing, mail: Mail) -> Checked:
        return await self._agent("check").check()

    async def _capabilities(self, args: Nothing, mail: Mail) -> Capabilities:
        return await self._agent("capabilities").capabilities()

    async def _get_guest_details(self, args: Nothing, mail: Mail) -> GuestDetails:
        return await self._agent("get_guest_details").get_guest_details()

    async def _online_cpu_mem(self, args: OnlineCpuMem, mail: Mail) -> Nothing:
        _within("cpus", args.cpus, 1, self._limits.processors)
        await self._agent("online_cpu_mem").online_cpu_mem(args)
        return Nothing()

    async def _set_guest_time(self, args: SetGuestTime, mail: Mail) -> Nothing:
        await self._agent("set_guest_time").set_guest_time(args)
        return Nothing()

    async def _reseed_random(self, args: ReseedRandom, mail: Mail) -> Nothing:
        _within("data's length", len(args.data), 1, self._limits.random_bytes)
        await self._agent("reseed_random").reseed_random(args.data)
        return Nothing()

    async def _copy_file(self, args: CopyFile, mail: Mail) -> Nothing:
        _within("size", args.size, 0, self._limits.copied_bytes)
        _within("offset", args.offset, 0, args.size)
        _within("data's length", len(args.data), 0 if args.size == 0 else 1, args.size - args.offset)
        await self._agent("copy_file").copy_file(args)
        return Nothing()

    async def _list_interfaces(self, args: Nothing, mail: Mail) -> Interfaces:
        return Interfaces(await self._agent("list_interfaces").list_interfaces())

    async def _update_interface(self, args: UpdateInterface, mail: Mail) -> Interface:
        return await self._agent("update_interface").update_interface(args.interface)

    async def _list_routes(self, args: Nothing, mail: Mail) -> Routes:
        return Routes(await self._agent("list_routes").list_routes())

    async def _update_routes(self, args: Routes, mail: Mail) -> Routes:
        return Routes(await self._agent("update_routes").update_routes(args.routes))


def _within(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidArgument(f"{field} is {value}: expected {low} to {high}", field=field.partition("'")[0])


async def watch_oom(agent: AgentConnection, tell: Callable[[str], None], limits: Limits) -> None:
    """Call `tell` with the container of each kill that the agent tells of, until cancelled or it can't tell any.

    A link that breaks while the agent answers may lose one: the agent has told it once, and tells it to nobody else.
    """
    told = 0
    while True:
        try:
            container = await agent.next_oom()
        except Unsupported:
            return
        except (AgentUnreachable, OutcomeUnknown):
            # the link dials again by itself
            await trio.sleep(limits.reconnect_pause_seconds)
        except KatrioError:
            # an agent that fails at once must not be asked in a busy loop (kata-containers #4376 filled a log with it)
            await trio.sleep(limits.oom_retry_seconds)
        else:
            tell(container)
            told += 1
            if told % limits.oom_burst == 0:
                await trio.sleep(limits.oom_pause_seconds)
