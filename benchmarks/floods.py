"""What a client that floods a server within its credit costs its neighbour: an ask beside it, against the same alone.

The flood comes from a process of its own, which keeps every rule of docs/protocol.md: it sends frames full of asks as fast
as they are acked, and acks what it gets. `answered`: an actor answers each. `busy`: none is, so that all over the
bound of asks in flight are refused. It takes `g` (go) and `s` (stop) on its input: `python -m benchmarks.floods KIND ADDRESS`.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from actors.mailbox import Client, open_client
from actors.wire.codec import encode, encode_raw
from actors.wire.envelope import VERSIONS, Ask, Hello
from benchmarks.figure import Comparison, Effort, Figure, Goal, Measured, take_turns
from benchmarks.mailbox import ARGS
from benchmarks.processes import open_process
from benchmarks.spinning import SPINNING, open_spinning
from transports.nng import NngTransport
from transports.nng.endpoint import hello
from transports.nng.frames import Kind, decode_frame
from transports.nng.sockets import RawReq
from transports.nng.window import Window

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

__all__ = ["mean", "p99"]

ROUNDS = 9
ASKS = 500
# asks that wait to leave: more than the credit takes
AHEAD = 1_000
POLL_SECONDS = 0.01
VERBS = {"answered": "echo", "busy": "hold"}


def p99(times: Sequence[float]) -> float:
    """Of seconds, in us."""
    return statistics.quantiles(times, n=100)[98] * 1e6


def mean(times: Sequence[float]) -> float:
    """Of seconds, in us."""
    return statistics.fmean(times) * 1e6


async def _flood(kind: str, of: Callable[[Sequence[float]], float], effort: Effort) -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        address = f"ipc://{directory}/server"
        async with (
            open_process("benchmarks.serving", "holding", address),
            open_client(NngTransport(), address, client_id="polite", epoch=1) as polite,
            _open_flood(kind, address) as flooding,
            open_spinning() as spinning,
        ):
            asks = partial(_asks, polite, of, effort.times(ASKS))
            sides = (partial(flooding, asks), asks, partial(spinning, asks))
            beside, alone, floor = await take_turns(effort.rounds(ROUNDS), *sides)
    return Measured(beside, [Comparison("the same alone", alone, Goal(most=2.0)), Comparison(SPINNING, floor)])


async def _asks(client: Client, of: Callable[[Sequence[float]], float], times: int) -> float:
    taken: list[float] = []
    for _ in range(times):
        began = perf_counter()
        await client.ask("echo", "echo", ARGS, dict)
        taken.append(perf_counter() - began)
    return of(taken)


@asynccontextmanager
async def _open_flood(
    kind: str, address: str
) -> AsyncGenerator[Callable[[Callable[[], Awaitable[float]]], Awaitable[float]]]:
    async with open_process("benchmarks.floods", kind, address) as process:

        async def flooding(measure: Callable[[], Awaitable[float]]) -> float:
            assert process.stdin is not None
            await process.stdin.send_all(b"g")
            try:
                # until its first asks are there
                await trio.sleep(0.05)
                return await measure()
            finally:
                await process.stdin.send_all(b"s")
                await trio.sleep(0.05)

        yield flooding


class _Flood:
    """A client by hand: every rule of the protocol is kept, and nothing else held back."""

    def __init__(self, kind: str, address: str) -> None:
        self._kind = kind
        self._socket = RawReq()
        self._socket.dial(address)
        assert self._socket.send(hello())
        self._window = Window(message_bytes=64 * 1024)
        self._window.push(encode(Hello(VERSIONS, f"flood {kind}", 1, 1)))
        self._counter = 0
        self._going = False

    async def run(self) -> None:
        """Until its standard input ends."""
        os.set_blocking(0, False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, nursery.cancel_scope)
            while True:
                with trio.move_on_after(POLL_SECONDS):
                    await trio.lowlevel.wait_readable(self._socket.recv_fd)
                self._read()
                self._write()

    async def _listen(self, scope: trio.CancelScope) -> None:
        while True:
            await trio.lowlevel.wait_readable(0)
            word = os.read(0, 1)
            self._going = word == b"g"
            if not word:
                scope.cancel()
                return

    def _read(self) -> None:
        while (received := self._socket.receive()) is not None:
            frame = decode_frame(received[1])
            if frame.kind is Kind.PING:
                self._socket.send(self._window.control(Kind.PONG))
            elif frame.kind is Kind.DATA:
                self._window.take(frame)
                if frame.messages:
                    self._window.handed_on()

    def _write(self) -> None:
        while self._going and self._window.queued < AHEAD:
            self._counter += 1
            ask = Ask(self._counter, "echo", VERBS[self._kind], encode_raw(ARGS), None, self._counter)
            self._window.push(encode(ask))
        while (body := self._window.next_frame()) is not None:
            assert self._socket.send(body)


async def _serve(kind: str, address: str) -> None:
    flood = _Flood(kind, address)
    print("ready", flush=True)
    await flood.run()


FIGURES = tuple(
    Figure(
        f"flood_{kind}_{name}",
        f"{name} of asks beside a client that floods, each {kind}",
        "us",
        partial(_flood, kind, of),
    )
    for kind in VERBS
    for name, of in (("mean", mean), ("p99", p99))
)

if __name__ == "__main__":
    trio.run(_serve, sys.argv[1], sys.argv[2])
