"""One actor's link to a kata agent, in either dialect: dials, calls, and redials when broken.

Decides what a broken link means for a call: nothing was sent, or the outcome is unknown. It never retries
a call. The calls are in `agent`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio
from trio_util import AsyncValue

from actors.agents.kata.dialects import DIALECTS
from actors.errors import (
    AgentProtocolError,
    AgentUnreachable,
    InvalidArgument,
    OutcomeUnknown,
    ResourceExhausted,
    Unsupported,
)
from actors.schemas.rpcs import NoSuchField, SchemaError, decode_response, encode_request, rpcs_of
from actors.schemas.status import error_from_status
from actors.words import Dialect
from transports.errors import (
    EndpointBroken,
    EndpointClosed,
    Exhausted,
    MessageTooLarge,
    RemoteProtocolError,
    RpcStatusError,
    TransportError,
    Unreachable,
)
from transports.stream import dial_with_backoff

if TYPE_CHECKING:
    import msgspec

    from actors.agents.kata.dialects import DialectSpec
    from actors.agents.kata.rpclink import RpcLink
    from actors.limits import Limits
    from actors.schemas.rpcs import Rpc
    from transports.base import Dialer
    from transports.calls.client import CallClient

__all__ = ["open_rpc_link"]

# replies of raw bytes, at most as many as requested
_BULK = frozenset({"ReadStdout", "ReadStderr"})


def open_rpc_link(dialer: Dialer, limits: Limits, dialect: Dialect = Dialect.TTRPC) -> RpcLink:
    """A link that speaks the dialect; nothing is dialled before `run`."""
    return _DialledLink(dialer, limits, DIALECTS[dialect])


class _DialledLink:
    """See `actors.agents.kata.rpclink.RpcLink`. `spoken` is its dialect."""

    def __init__(self, dialer: Dialer, limits: Limits, spoken: DialectSpec) -> None:
        self._dialer = dialer
        self._spoken = spoken
        self._limits = limits
        self._client: AsyncValue[CallClient | None] = AsyncValue(None)
        self._down = AgentUnreachable("the agent was not dialled yet")
        # false while a deliberately closed link is not needed
        self._needed, self._closed = AsyncValue(True), False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            stream = await dial_with_backoff(self._dialer, seconds=self._limits.guest_start_seconds)
        except Exhausted as error:
            raise ResourceExhausted(f"the agent can't be reached: {error}") from error
        except TransportError as error:
            raise AgentUnreachable(f"the agent can't be reached: {error}") from error
        pause = self._limits.reconnect_pause_seconds
        while True:
            began = trio.current_time()
            await self._use(stream, task_status)
            task_status = trio.TASK_STATUS_IGNORED
            if self._closed:
                # closed by us: the next call need not wait
                self._closed = False
                stream = await self._dial_again()
                continue
            # avoids a busy loop if an agent accepts every link and closes it
            await trio.sleep(pause)
            lived = trio.current_time() - began
            if lived > self._limits.reconnect_seconds:
                pause = self._limits.reconnect_pause_seconds
            else:
                pause = min(2 * pause, self._limits.reconnect_longest_pause_seconds)
            stream = await self._dial_again()

    async def _use(self, stream: trio.abc.Stream, task_status: trio.TaskStatus[None]) -> None:
        client = self._spoken.client(stream)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.run)
                self._client.value = client
                task_status.started()
        finally:
            self._client.value = None
            self._down = AgentUnreachable(f"the link to the agent is down: {client.ended}")

    async def disconnect(self) -> None:
        client: CallClient | None = self._client.value
        if client is None or not _alive(client):
            await trio.lowlevel.checkpoint()
            return
        self._needed.value, self._closed = False, True
        await client.aclose()

    async def _dial_again(self) -> trio.abc.Stream:
        await self._needed.wait_value(True)  # pyright: ignore[reportUnknownMemberType]  # no types there
        while True:
            try:
                return await dial_with_backoff(self._dialer, seconds=self._limits.reconnect_seconds)
            except TransportError as error:
                self._down = AgentUnreachable(f"the agent can't be reached any more: {error}")
                await trio.sleep(self._limits.reconnect_pause_seconds)

    async def call(self, rpc: Rpc, request: msgspec.Struct) -> object:
        dialect = self._spoken.dialect
        if rpc.method not in rpcs_of(dialect):
            raise Unsupported(f"{rpc.method}: the {dialect} dialect of Kata's agents has no such call")
        try:
            payload = encode_request(rpc, request, dialect)
        except NoSuchField as error:
            raise Unsupported(f"{rpc.method}: {error}", field=error.field) from None
        except SchemaError as error:
            raise InvalidArgument(f"{rpc.method}: {error}", field=error.field) from None
        client = await self._connected()
        try:
            reply = await client.call(
                rpc.service, rpc.method, payload, timeout_nano=0 if rpc.changes_state else _budget_nano()
            )
            if len(reply) > self._limits.reply_bytes and rpc.method not in _BULK:
                raise SchemaError(
                    rpc.method, f"the reply has {len(reply)} bytes; {self._limits.reply_bytes} is the most"
                )
            response: object = decode_response(rpc, reply, dialect)
        except RpcStatusError as error:
            if rpc.method in _BULK and (error.code, error.message) == self._spoken.end_of_stream:
                return rpc.response()
            raise error_from_status(
                error.code,
                error.message,
                error.details,
                changes_state=rpc.changes_state,
                answered=dialect is Dialect.TTRPC,
            ) from None
        except MessageTooLarge as error:
            raise InvalidArgument(f"{rpc.method}: {error}", field="size") from None
        except Unreachable as error:
            raise AgentUnreachable(f"{rpc.method}: {error}") from None
        except (RemoteProtocolError, SchemaError) as error:
            raise AgentProtocolError(f"{rpc.method}: the agent broke its protocol: {error}") from None
        except (EndpointBroken, EndpointClosed) as error:
            if rpc.changes_state:
                raise OutcomeUnknown(f"{rpc.method}: the link to the agent broke while it ran: {error}") from None
            raise AgentUnreachable(f"{rpc.method}: the link to the agent broke: {error}") from None
        return response

    async def _connected(self) -> CallClient:
        self._needed.value = True
        if not _alive(self._client.value):
            with trio.move_on_after(self._limits.reconnect_seconds):
                await self._client.wait_value(_alive)  # pyright: ignore[reportUnknownMemberType]  # no types there
        client: CallClient | None = self._client.value
        if client is None or not _alive(client):
            raise AgentUnreachable(self._down.message)
        return client


def _alive(client: CallClient | None) -> bool:
    # an ended one stays set until its task notices
    return client is not None and client.accepting


def _budget_nano() -> int:
    left = trio.current_effective_deadline() - trio.current_time()
    # of a cancelled scope it is minus infinity. Rounded up: the caller's own clock ends the call, never an
    # agent that is a nanosecond early
    return 0 if left == math.inf else int(max(left, 0.0) * 1e9) + 1
