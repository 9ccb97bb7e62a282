"""Doubles by their names, and one of them in memory: over the simulated engine, in the test's own time.

For tests. Not for a process at an address: `__main__`.
"""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import trio
from trio.testing import memory_stream_pair

from actors.agents.base import Channels
from actors.conformance.hyperstart import HyperstartTarget
from actors.conformance.kata import KataTarget
from actors.limits import DEFAULT_LIMITS
from actors.node.protocols import Channel, GuestProtocol
from actors.schemas import network as net
from actors.seams import real_seams
from actors.simulation.engine import SimulatedEngine
from tests.support.doubles.habits import Slow
from tests.support.doubles.hyperstart1 import hyperstart1
from tests.support.doubles.kata1x import kata1x
from tests.support.doubles.power import Options, Power
from tests.support.doubles.today import today
from tests.support.hyperstart_guest import NamedPlatform
from tests.support.planted.composing import compose_kit
from transports.errors import Unreachable
from transports.yamux.dialer import open_yamux_dialer, serve_yamux

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from actors.conformance.subject import Target
    from actors.guest.compose import ProtocolServer
    from tests.support.planted.defect import Kit
    from transports.base import Dialer

__all__ = ["DOUBLES", "Double", "Port", "Running", "open_double"]


class Double(NamedTuple):
    """One of them. `serial`: all its connections go over one port, in streams of yamux."""

    make: Callable[[Power, Options], Kit]
    protocol: GuestProtocol
    serial: bool = False


DOUBLES: Mapping[str, Double] = MappingProxyType(
    {
        "today": Double(today, GuestProtocol.TTRPC),
        "kata1x": Double(kata1x, GuestProtocol.GRPC, serial=True),
        "hyperstart": Double(hyperstart1, GuestProtocol.HYPERSTART),
    }
)


class Port:
    """A VMM's chardev: one peer at a time, and the next waits, with the bytes that it has sent."""

    def __init__(self, serve: Callable[[trio.abc.Stream], Awaitable[None]], delay_seconds: float) -> None:
        self._serve = serve
        self._delay_seconds = delay_seconds
        self._turn = trio.Lock()

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One peer."""
        async with stream, self._turn:
            await self._serve(Slow(stream, self._delay_seconds))


@dataclass
class Running:
    """A double that runs in memory; each dial is one more connection.

    `dial_port`: the port beneath, of one whose connections all go over it.
    """

    double: Double
    options: Options
    engine: SimulatedEngine
    power: Power
    channels: Channels
    dial_port: Dialer | None = None

    def target(self) -> Target:
        """It, as an agent under test."""
        ids = real_seams().ids
        if self.double.protocol is not GuestProtocol.HYPERSTART:
            return KataTarget(self.channels.agent, rootfs="/", ids=ids, protocol=self.double.protocol)
        assert self.channels.streams is not None
        return HyperstartTarget(self.channels.agent, self.channels.streams, rootfs="", share="/", ids=ids)


class _Platform(NamedPlatform):
    """With a loopback."""

    async def interfaces(self) -> tuple[net.Interface, ...]:
        await trio.lowlevel.checkpoint()
        addresses = (net.IPAddress(net.IPFamily.v4, "127.0.0.1", "8"), net.IPAddress(net.IPFamily.v6, "::1", "128"))
        return (net.Interface(device="lo", name="lo", IPAddresses=addresses, mtu=65536),)


@asynccontextmanager
async def open_double(name: str, options: Options | None = None, seed: int = 0) -> AsyncGenerator[Running]:
    """One of them, for as long as the context lasts, or until it ends."""
    double, options = DOUBLES[name], options or Options()
    engine, power = SimulatedEngine(random.Random(seed)), Power()
    bugs: list[Exception] = []
    composed = compose_kit(
        double.make(power, options),
        engine,
        DEFAULT_LIMITS,
        version="",
        platform=_Platform(engine),
        on_error=lambda _service, _method, error: bugs.append(error),
    )
    async with trio.open_nursery() as nursery:
        machine = await nursery.start(_run, composed.executor.run, composed.servers[double.protocol], power)
        server = composed.servers[double.protocol]
        if double.serial:
            serve = partial(serve_yamux, handler=server.channels[Channel.AGENT])
            dial_port = partial(_dial, machine, power, Port(serve, options.delay_seconds).serve)
            async with open_yamux_dialer(dial_port) as dial:
                yield Running(double, options, engine, power, Channels(dial), dial_port)
        else:
            yield Running(double, options, engine, power, _channels(machine, server, power))
        machine.cancel_scope.cancel()
    assert not bugs, bugs


async def _run(
    executor: Callable[..., Awaitable[None]],
    server: ProtocolServer,
    power: Power,
    *,
    task_status: trio.TaskStatus[trio.Nursery],
) -> None:
    """The machine: its end ends all that it does, its connections first."""
    async with trio.open_nursery() as nursery:
        await nursery.start(executor)
        await nursery.start(server.run)
        async with trio.open_nursery() as links:
            power.cut = links.cancel_scope.cancel
            task_status.started(links)
            await trio.sleep_forever()
        nursery.cancel_scope.cancel()


def _channels(machine: trio.Nursery, server: ProtocolServer, power: Power) -> Channels:
    dialers = {channel: partial(_dial, machine, power, serve) for channel, serve in server.channels.items()}
    if Channel.CONTROL in dialers:
        return Channels(dialers[Channel.CONTROL], dialers[Channel.STREAMS])
    return Channels(dialers[Channel.AGENT])


async def _dial(
    machine: trio.Nursery, power: Power, serve: Callable[[trio.abc.Stream], Awaitable[None]]
) -> trio.abc.Stream:
    await trio.lowlevel.checkpoint()
    if power.gone.is_set():
        raise Unreachable(f"the machine has ended: {power.reason}")
    ours, theirs = memory_stream_pair()
    machine.start_soon(_serve, serve, theirs)
    return ours


async def _serve(serve: Callable[[trio.abc.Stream], Awaitable[None]], stream: trio.abc.Stream) -> None:
    try:
        await serve(stream)
    finally:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
