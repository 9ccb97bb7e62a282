"""An agent's address to a dialer or a listener: one literal table.

For mailbox addresses: `transports.schemes`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import trio

from transports.address import Address, Kind
from transports.errors import AddressError
from transports.hybrid.sockets import hybrid_dialer, serve_hybrid
from transports.recognise import Peer
from transports.recognising import recognising_dialer
from transports.serial import serial_dialer, serve_serial
from transports.stream import serve_unix, unix_dialer
from transports.telling import telling_dialer
from transports.vsock import serve_vsock, vsock_dialer
from transports.yamux.dialer import open_yamux_dialer, serve_yamux

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from transports.base import Dialer
    from transports.telling import Told

__all__ = ["Handler", "dialer_for", "open_dialer", "serve_addresses"]

Handler: TypeAlias = Callable[[trio.abc.Stream], Awaitable[object]]
# keyed by port for a socket that multiplexes several; None for the others
_Handlers: TypeAlias = "Mapping[int | None, Handler]"


class _Row(NamedTuple):
    dial: Callable[[Address], Dialer]
    serve: Callable[[Address, _Handlers, trio.TaskStatus[str]], Awaitable[None]]


def _dial_unix(address: Address) -> Dialer:
    return unix_dialer(address.target)


def _dial_serial(address: Address) -> Dialer:
    return serial_dialer(address.target)


def _dial_vsock(address: Address) -> Dialer:
    return vsock_dialer(address.cid, _port(address))


def _dial_hybrid(address: Address) -> Dialer:
    return hybrid_dialer(address.target, _port(address))


async def _serve_unix(address: Address, handlers: _Handlers, task_status: trio.TaskStatus[str]) -> None:
    await serve_unix(address.target, handlers[None], task_status=task_status)


async def _serve_serial(address: Address, handlers: _Handlers, task_status: trio.TaskStatus[str]) -> None:
    await serve_serial(address.target, handlers[None], task_status=task_status)


async def _serve_vsock(address: Address, handlers: _Handlers, task_status: trio.TaskStatus[str]) -> None:
    await serve_vsock(address.cid, _port(address), handlers[address.port], task_status=task_status)


async def _serve_hybrid(address: Address, handlers: _Handlers, task_status: trio.TaskStatus[str]) -> None:
    by_port = {port: handler for port, handler in handlers.items() if port is not None}
    await serve_hybrid(address.target, by_port, task_status=task_status)


def _port(address: Address) -> int:
    if address.port is None:
        raise AddressError(f"{address} has no port")
    return address.port


_TABLE: Mapping[str, _Row] = {
    "unix": _Row(_dial_unix, _serve_unix),
    # virtcontainers' name for a remote hypervisor's proxy socket; it adds no handshake of its own
    "remote": _Row(_dial_unix, _serve_unix),
    "vsock": _Row(_dial_vsock, _serve_vsock),
    "hvsock": _Row(_dial_hybrid, _serve_hybrid),
    "serial": _Row(_dial_serial, _serve_serial),
}


def dialer_for(address: Address) -> Dialer:
    """A dialer of `address`; one call is one attempt, `transports.stream.dial_with_backoff` retries.

    Raises:
        AddressError: the address can't be dialled, or is a mailbox's.
    """
    return _row(address).dial(address)


@asynccontextmanager
async def open_dialer(
    address: Address, expected: Peer, *, told: Told | None = None, patient: bool = False
) -> AsyncGenerator[Dialer]:
    """A dialer for the lifetime of the context; it, or the stream it returns, reports a peer other than `expected`.

    Over a serial channel, each connection to a kata agent is one stream of a shared yamux session. Hides a
    nursery. The dialer raises what `dialer_for`'s does, WrongPeer, and LocalProtocolError for one stream too many.

    Args:
        told, patient: notify a waiting user; see `transports.telling`. None: nobody is waiting.

    Raises: as `dialer_for`.
    """
    dial = dialer_for(address)
    if told is not None:
        async with open_dialer(address, expected) as silent:
            yield telling_dialer(silent, told, patient=patient)
        return
    if expected in {Peer.TTRPC, Peer.GRPC} and address.scheme == "serial":
        async with open_yamux_dialer(recognising_dialer(dial, Peer.YAMUX)) as dial_stream:
            # one session for the port's lifetime: only its first stream can identify the peer
            yield recognising_dialer(dial_stream, expected, several=False)
    else:
        beneath = unix_dialer(address.target) if address.scheme == "hvsock" else None
        yield recognising_dialer(dial, expected, beneath=beneath)


async def serve_addresses(
    handlers: Sequence[tuple[Address, Handler]],
    *,
    several: bool = False,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen on all addresses until cancelled; reports `task_status` once peers can dial each. With `several`,
    connections over a serial channel are yamux streams.

    Raises:
        AddressError: an address can't be listened on, or is given twice.
        AddressInUse: somebody already listens on one.
    """
    # two ports of one hybrid socket share a listener
    sockets: dict[tuple[str, str, int | None], tuple[Address, dict[int | None, Handler]]] = {}
    for address, handler in handlers:
        key = address.scheme, address.target, None if address.scheme == "hvsock" else address.port
        _, ports = sockets.setdefault(key, (address, {}))
        if address.port in ports:
            raise AddressError(f"{address} can't be listened on twice")
        over_yamux = several and address.scheme == "serial"
        ports[address.port] = partial(serve_yamux, handler=handler) if over_yamux else handler
    try:
        async with trio.open_nursery() as nursery:
            for address, ports in sockets.values():
                await nursery.start(_serve, address, ports)
            task_status.started()
    except BaseExceptionGroup as group:
        # a single failed address is raised as itself, not as a group
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


async def _serve(address: Address, handlers: _Handlers, *, task_status: trio.TaskStatus[str]) -> None:
    await _row(address).serve(address, handlers, task_status)


def _row(address: Address) -> _Row:
    if address.kind is not Kind.AGENT:
        raise AddressError(f"{address} is where a katrio takes requests; agents are at {', '.join(_TABLE)}")
    return _TABLE[address.scheme]
