"""Every call of the Kata agent API, by its request: a typed struct that names the type of its response.

For programs that talk to an agent directly, without actors (`open_kata_client`), for `katrio call`, and for the kata
agent, whose calls all go through it. Responses are decoded and bounded in size, but not validated: see `checks` and
`reports`. No retries.

    async with open_kata_client("unix:///run/agent.sock") as client:
        details = await client.call(GuestDetailsRequest())
        await client.within(5).call(PauseContainerRequest(container_id="one"))
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import trio

from actors.agents.kata.link import open_rpc_link
from actors.agents.peers import PEERS
from actors.errors import AgentProtocolError, Expired, InvalidArgument, OutcomeUnknown
from actors.limits import DEFAULT_LIMITS, Limits
from actors.node.protocols import GuestProtocol
from actors.nurseries import open_collapsing_nursery
from actors.schemas.rpcs import WAITING, rpc_of
from actors.words import Dialect
from transports.address import parse_dialled_address
from transports.agent_sockets import open_dialer
from transports.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import msgspec

    from actors.agents.kata.rpclink import RpcLink
    from actors.schemas.request import Request
    from actors.schemas.rpcs import Rpc
    from transports.telling import Told

__all__ = ["KataClient", "open_kata_client"]

R = TypeVar("R", bound="msgspec.Struct")


class KataClient:
    """The calls over one link; tasks may share it.

    Besides the error for the agent's own status (`actors.schemas.status`: NotFound, Unsupported ...) every call may raise:
        InvalidArgument: a value that its field can't carry, or too large a request; nothing was sent.
        AgentUnreachable: the link is down and was not restored in time; nothing was sent.
        OutcomeUnknown: a call that changes something was sent, and timed out or lost the link.
        Expired: a call that changes nothing timed out.
        AgentProtocolError: the agent violated its protocol.
    Calls that change nothing pass the remaining time to the agent; the others run to completion in the guest.
    """

    def __init__(self, link: RpcLink, *, timeout: float | None, waits_timeout: float | None = None) -> None:
        """`timeout` bounds each call, in seconds, `waits_timeout` those that wait for an event; None: no limit."""
        self._link = link
        self._timeout = timeout
        self._waits_timeout = waits_timeout

    def within(self, timeout: float | None) -> KataClient:
        """The same link with another time limit for every call, including those that wait."""
        return KataClient(self._link, timeout=timeout, waits_timeout=timeout)

    async def call(self, request: Request[R]) -> R:
        """Make the call that `request` belongs to; returns its response, whose type the request's type names."""
        rpc = rpc_of(request)
        seconds = self._waits_timeout if rpc.method in WAITING else self._timeout
        reply = await (self._link.call(rpc, request) if seconds is None else self._bounded(rpc, request, seconds))
        if not isinstance(reply, rpc.response):
            raise AgentProtocolError(f"{rpc.method}: the agent answered with {type(reply).__name__}")
        return cast("R", reply)

    async def _bounded(self, rpc: Rpc, request: Request[Any], seconds: float) -> object:
        with trio.move_on_after(seconds):
            return await self._link.call(rpc, request)
        if rpc.changes_state:
            raise OutcomeUnknown(f"{rpc.method}: no answer within {seconds:g} s; it may have happened, or may yet")
        raise Expired(f"{rpc.method}: no answer within {seconds:g} s")


@asynccontextmanager
async def open_kata_client(
    address: str,
    *,
    dialect: Dialect = Dialect.TTRPC,
    timeout: float | None = DEFAULT_LIMITS.ask_seconds,  # noqa: ASYNC109  # of each call, not of this block
    limits: Limits = DEFAULT_LIMITS,
    told: Told | None = None,
) -> AsyncGenerator[KataClient]:
    """Dial a Kata agent, and maintain the link during the block; a broken one is redialled.

    Hides a nursery: an exception of the body is not wrapped in a group. The agent itself is not affected by closing.

    Args:
        address: where it listens, as `unix:///path`; docs/addresses.md lists every form.
        dialect: today's, or that of Kata 1.x.
        timeout: time limit of a call, in seconds; None for no limit. Not for calls that wait for an event:
        output, input, an exit, an OOM kill; `client.within(timeout)` bounds those.
        limits: `guest_start_seconds` bounds the first dial, `reconnect_seconds` redialling a broken link.
        told: for interactive use: called once if nobody answers yet. A path without a listener is then refused at once.

    Raises:
        InvalidArgument: not a valid address.
        AgentUnreachable: nobody answers there.
    """
    try:
        (peer,) = PEERS[GuestProtocol(dialect.value)]
        opening = open_dialer(parse_dialled_address(address), peer, told=told)
    except AddressError as error:
        raise InvalidArgument(str(error), field="address") from None
    async with open_collapsing_nursery() as nursery, opening as dialer:
        link = open_rpc_link(dialer, limits, dialect)
        await nursery.start(link.run)
        yield KataClient(link, timeout=timeout)
        nursery.cancel_scope.cancel()
