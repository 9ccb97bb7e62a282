"""Mailboxes over nng between processes that are killed, stopped, restarted, and many.

On the real clock. What holds whatever carries the messages is tested in virtual time (tests/unit/mailbox).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from actors.errors import AgentUnreachable, CallerCancelled, OutcomeUnknown
from actors.mailbox import Client, Inbox, Request, Server, open_client
from tests.support.request_program import allow_descriptors
from transports.errors import EndpointBroken, EndpointSilent
from transports.nng import Heartbeat, NngTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from transports.base import Endpoint, Receiver
    from transports.errors import TransportError

BOUND_SECONDS = 20
CROWD = 1_000


@pytest.fixture
def address(tmp_path: Path) -> str:
    directory = tmp_path / "own"
    directory.mkdir(mode=0o700)
    return f"ipc://{directory}/server"


async def first_line(process: trio.Process) -> bytes:
    assert process.stdout is not None
    line = b""
    with trio.fail_after(3 * BOUND_SECONDS):
        while not line.endswith(b"\n"):
            piece = await process.stdout.receive_some()
            if not piece:
                pytest.fail(f"it ended with {await process.wait()} after {line!r}")
            line += piece
    return line


@asynccontextmanager
async def program(role: str, address: str, count: int = 1) -> AsyncGenerator[tuple[trio.Process, bytes]]:
    """One that runs, and its first line; killed at the end."""
    command = [sys.executable, "-m", "tests.support.request_program", role, address, str(count)]
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
        )
        yield process, await first_line(process)
        process.kill()


@asynccontextmanager
async def a_server(address: str, transport: NngTransport | None = None) -> AsyncGenerator[tuple[Server, Inbox]]:
    server = Server()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await nursery.start((transport or NngTransport()).serve, address, server.accept)
        yield server, server.register("box")
        nursery.cancel_scope.cancel()


class Outcomes:
    """How asks ended, and when."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.answers: list[Any] = []
        self.last = 0.0

    async def ask(self, client: Client, verb: str, *, timeout: float | None = None) -> None:
        try:
            self.answers.append(await client.ask("box", verb, {}, dict, timeout=timeout))
        except (OutcomeUnknown, AgentUnreachable) as error:
            self.errors.append(error)
        self.last = trio.current_time()

    async def read(self, client: Client) -> None:
        try:
            async with client.open_stream("box", "read", {}) as stream:
                async for _ in stream:
                    pass
        except OutcomeUnknown as error:
            self.errors.append(error)
        self.last = trio.current_time()


async def test_a_server_that_is_killed_ends_a_hundred_asks_and_ten_streams_within_a_second(address: str) -> None:
    outcomes = Outcomes()
    with trio.fail_after(BOUND_SECONDS):
        async with (
            program("server", address) as (process, _),
            open_client(NngTransport(), address, client_id="c", epoch=1) as client,
            trio.open_nursery() as asking,
        ):
            for _ in range(100):
                asking.start_soon(outcomes.ask, client, "hold")
            for _ in range(10):
                asking.start_soon(outcomes.read, client)
            await trio.sleep(0.3)
            began = trio.current_time()
            process.send_signal(signal.SIGKILL)
    assert len(outcomes.errors) == 110
    assert all(isinstance(error, OutcomeUnknown) for error in outcomes.errors)
    assert outcomes.last - began < 1


async def test_a_client_that_is_killed_has_its_hundred_asks_and_ten_streams_cancelled(address: str) -> None:
    cancelled: list[float] = []
    pushing: list[float] = []

    async def push(request: Request) -> None:
        try:
            while True:
                await request.push(bytes(10_000), offset=0)
        finally:
            pushing.append(trio.current_time())

    with trio.fail_after(BOUND_SECONDS):
        async with a_server(address) as (server, inbox), program("client", address, 100) as (process, _):
            async with trio.open_nursery() as nursery:
                for _ in range(110):
                    request = await inbox.receive()
                    if request.is_stream:
                        nursery.start_soon(_until_nobody_reads, push, request)
                    else:
                        request.on_cancel(lambda: cancelled.append(trio.current_time()))
                began = trio.current_time()
                process.send_signal(signal.SIGKILL)
            # the link ended for all of them at once
            assert len(cancelled) == 100
            assert max(cancelled + pushing) - began < 1
            assert len(pushing) == 10
            assert server.counters.kicked_links == 0


async def _until_nobody_reads(push: Any, request: Request) -> None:
    with pytest.raises(CallerCancelled):
        await push(request)


async def test_no_ask_of_before_reaches_a_server_that_was_restarted(address: str) -> None:
    outcomes = Outcomes()
    with trio.fail_after(BOUND_SECONDS):
        async with trio.open_nursery() as clients:
            async with program("server", address) as (first, _):
                client = Client(NngTransport(), address, client_id="c", epoch=1)
                await clients.start(client.run)
                await outcomes.ask(client, "echo")
                first.send_signal(signal.SIGSTOP)
                async with trio.open_nursery() as asking:
                    for _ in range(200):
                        asking.start_soon(outcomes.ask, client, "echo")
                    await trio.sleep(0.2)
                    first.send_signal(signal.SIGKILL)
            assert len(outcomes.errors) == 200
            lost = [error for error in outcomes.errors if isinstance(error, OutcomeUnknown)]
            assert lost, "what was sent to a stopped server is not known"
            async with program("server", address):
                # the client dials again by itself
                assert await client.ask("box", "tally", {}, dict, timeout=10) == {"ran": 1}
                with pytest.raises(OutcomeUnknown, match="older"):
                    await client.ask("box", "echo", {}, dict, repeat=lost[-1].details["counter"])
                assert await client.ask("box", "tally", {}, dict, timeout=10) == {"ran": 2}
                await client.aclose()


class Keeper:
    """A receiver that keeps why its link ended."""

    def __init__(self) -> None:
        self.cause: TransportError | None = None
        self.ended = trio.Event()

    def received(self, message: bytes) -> None:
        pass

    def gone(self, cause: TransportError | None) -> None:
        self.cause = cause
        self.ended.set()


async def test_a_frozen_peer_is_told_apart_from_a_dead_one(address: str) -> None:
    keeper = Keeper()
    transport = NngTransport(heartbeat=Heartbeat(ping_after=0.2, dead_after=0.8))
    async with program("server", address) as (process, _), trio.open_nursery() as nursery:
        await nursery.start(transport.connect, address, keeper)
        with trio.move_on_after(1.5):
            await keeper.ended.wait()
        assert not keeper.ended.is_set(), "a peer that is idle answers pings"
        process.send_signal(signal.SIGSTOP)
        began = trio.current_time()
        with trio.fail_after(BOUND_SECONDS):
            await keeper.ended.wait()
        assert isinstance(keeper.cause, EndpointSilent)
        assert 0.5 < trio.current_time() - began < 2
        process.send_signal(signal.SIGKILL)


async def test_asks_to_a_frozen_server_and_of_a_frozen_client_end_and_say_why(address: str) -> None:
    quick = NngTransport(heartbeat=Heartbeat(ping_after=0.2, dead_after=0.8))
    outcomes = Outcomes()
    with trio.fail_after(BOUND_SECONDS):
        async with program("server", address) as (process, _), trio.open_nursery() as nursery:
            client = Client(quick, address, client_id="c", epoch=1)
            await nursery.start(client.run)
            async with trio.open_nursery() as asking:
                for _ in range(100):
                    asking.start_soon(outcomes.ask, client, "hold")
                await trio.sleep(0.3)
                process.send_signal(signal.SIGSTOP)
            nursery.cancel_scope.cancel()
    assert [error.details["link"] for error in outcomes.errors if isinstance(error, OutcomeUnknown)] == ["silent"] * 100

    told: list[float] = []
    with trio.fail_after(BOUND_SECONDS):
        async with (
            a_server(f"{address}-2", quick) as (_server, inbox),
            program("client", f"{address}-2", 100) as (process, _),
            trio.open_nursery() as nursery,
        ):
            for _ in range(110):
                request = await inbox.receive()
                if request.is_stream:
                    nursery.start_soon(_until_nobody_reads, _push_on, request)
                else:
                    request.on_cancel(lambda: told.append(trio.current_time()))
            process.send_signal(signal.SIGSTOP)
    assert len(told) == 100


async def _push_on(request: Request) -> None:
    while True:
        await request.push(bytes(10_000), offset=0)


async def test_whoever_was_frozen_itself_gives_nobody_up(address: str) -> None:
    keeper = Keeper()
    transport = NngTransport(heartbeat=Heartbeat(ping_after=0.2, dead_after=0.6))
    async with program("server", address), trio.open_nursery() as nursery:
        await nursery.start(transport.connect, address, keeper)
        for _ in range(3):
            time.sleep(1.0)  # noqa: ASYNC251  # the loop itself is held up, that is the point
            await trio.sleep(0.05)
        assert not keeper.ended.is_set()
        nursery.cancel_scope.cancel()


class Door:
    """Lets a server's clients in, and tells when all of them have gone."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._inside = 0
        self.empty = trio.Event()

    def accept(self, endpoint: Endpoint) -> Receiver:
        self._inside += 1
        return Visitor(self, self._server.accept(endpoint))

    def left(self) -> None:
        self._inside -= 1
        if self._inside == 0:
            self.empty.set()


class Visitor:
    """One client's receiver, watched."""

    def __init__(self, door: Door, receiver: Receiver) -> None:
        self._door = door
        self._receiver = receiver
        self.received = receiver.received

    def gone(self, cause: TransportError | None) -> None:
        self._receiver.gone(cause)
        self._door.left()


async def test_a_thousand_clients_die_at_once_and_the_loop_runs_on(address: str) -> None:
    allow_descriptors(8 * CROWD)
    longest = 0.0

    async def watch_the_loop() -> None:
        nonlocal longest
        while True:
            before = trio.current_time()
            await trio.sleep(0.005)
            longest = max(longest, trio.current_time() - before)

    async def answer(inbox: Inbox) -> None:
        while True:
            (await inbox.receive()).answer({})

    descriptors = len(os.listdir("/proc/self/fd"))
    server = Server()
    door = Door(server)
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            await nursery.start(NngTransport().serve, address, door.accept)
            nursery.start_soon(answer, server.register("box"))
            async with program("crowd", address, CROWD) as (process, _):
                nursery.start_soon(watch_the_loop)
                await trio.sleep(0.05)
                process.send_signal(signal.SIGKILL)
                await door.empty.wait()
            print(f"longest pause of the loop while {CROWD} clients died: {longest * 1000:.0f} ms")
            nursery.cancel_scope.cancel()
    assert longest > 0
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 8


async def test_ten_thousand_mailboxes_take_no_descriptors_and_little_memory(address: str) -> None:
    async with program("names", address, 10_000) as (_, line):
        descriptors, grown = map(int, line.split())
    print(f"10,000 mailboxes: {descriptors} descriptors, {grown / 1e6:.1f} MB")
    assert descriptors < 20
    assert grown < 30e6


async def test_a_program_that_ends_with_live_sockets_ends_well(address: str) -> None:
    for place in (address, "inproc://leaving"):
        command = [sys.executable, "-m", "tests.support.request_program", "leave", place]
        with trio.fail_after(BOUND_SECONDS):
            done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


async def test_a_link_that_is_waited_on_can_be_closed_by_a_cancel(address: str) -> None:
    keepers: list[Keeper] = []

    def accept(endpoint: Endpoint) -> Receiver:
        keepers.append(Keeper())
        return keepers[-1]

    for _ in range(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(NngTransport().serve, address, accept)
            await nursery.start(NngTransport().connect, address, Keeper())
            nursery.cancel_scope.cancel()
    assert all(isinstance(keeper.cause, EndpointBroken) for keeper in keepers)
