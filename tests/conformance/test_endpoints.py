"""One body for every message transport: what `transports.base` promises of endpoints.

Over memory, nng inproc and nng ipc, on the real clock. A child process that is killed is ipc's alone.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.starts import started
from transports.errors import (
    AddressError,
    AddressInUse,
    EndpointBroken,
    EndpointBusy,
    EndpointClosed,
    MessageTooLarge,
    TransportError,
    Unreachable,
)
from transports.memory import MemoryTransport
from transports.nng import NngTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from transports.base import Endpoint, Receiver, Transport

LARGEST = 64 * 1024
BOUND_SECONDS = 10


class Recorder:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.causes: list[TransportError | None] = []
        self._changed = trio.Event()

    def received(self, message: bytes) -> None:
        self.messages.append(message)
        self._changed.set()

    def gone(self, cause: TransportError | None) -> None:
        self.causes.append(cause)
        self._changed.set()

    async def until(self, count: int = 0, *, gone: bool = False) -> None:
        with trio.fail_after(BOUND_SECONDS):
            while len(self.messages) < count or (gone and not self.causes):
                self._changed = trio.Event()
                await self._changed.wait()


class Hall:
    """A listener's side: a recorder and an endpoint for each peer."""

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []
        self.recorders: list[Recorder] = []

    def accept(self, endpoint: Endpoint) -> Receiver:
        recorder = Recorder()
        self.endpoints.append(endpoint)
        self.recorders.append(recorder)
        return recorder


@pytest.fixture(params=["memory", "inproc", "ipc"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Transport, str]:
    if request.param == "memory":
        return MemoryTransport(), "memory://server"
    if request.param == "inproc":
        return NngTransport(), f"inproc://{tmp_path.name}"
    return NngTransport(), ipc_address(tmp_path)


def ipc_address(tmp_path: Path) -> str:
    directory = tmp_path / "own"
    directory.mkdir(mode=0o700)
    return f"ipc://{directory}/server"


@asynccontextmanager
async def linked(place: tuple[Transport, str]) -> AsyncGenerator[tuple[Endpoint, Recorder, Endpoint, Recorder]]:
    """Our endpoint and recorder, then theirs."""
    transport, address = place
    hall, ours = Hall(), Recorder()
    async with trio.open_nursery() as nursery:
        await started(nursery, transport.serve, address, hall.accept)
        endpoint: Endpoint = await started(nursery, transport.connect, address, ours)
        yield endpoint, ours, hall.endpoints[0], hall.recorders[0]
        nursery.cancel_scope.cancel()


async def test_messages_arrive_whole_and_in_order_both_ways(place: tuple[Transport, str]) -> None:
    sent = [b"", b"x", *(str(number).encode() for number in range(500)), bytes(LARGEST)]
    async with linked(place) as (endpoint, ours, theirs, heard):
        for message in sent:
            await endpoint.send(message)
            await theirs.send(message)
        await ours.until(len(sent))
        await heard.until(len(sent))
        assert ours.messages == heard.messages == sent


async def test_a_peer_that_does_not_take_messages_makes_senders_wait_and_nothing_is_lost(
    place: tuple[Transport, str],
) -> None:
    async with linked(place) as (endpoint, _, theirs, heard):
        sent: list[bytes] = []
        # nothing is received while this task does not yield
        with suppress(EndpointBusy):
            while len(sent) < 100_000:
                sent.append(b"%d" % len(sent) + bytes(1000))
                endpoint.send_nowait(sent[-1])
        sent.pop()
        assert sum(map(len, sent)) <= 1024 * 1024, "what waits is bounded"
        for number in range(2000):
            sent.append(b"later %d" % number + bytes(500))
            await endpoint.send(sent[-1])
            if number % 100 == 0:
                await theirs.send(b"the other way")
        await heard.until(len(sent))
        assert heard.messages == sent


async def test_many_senders_that_wait_all_get_their_message_through(place: tuple[Transport, str]) -> None:
    async with linked(place) as (endpoint, _, _theirs, heard):
        messages = [bytes([number]) * LARGEST for number in range(100)]
        with trio.fail_after(BOUND_SECONDS):
            async with trio.open_nursery() as nursery:
                for message in messages:
                    nursery.start_soon(endpoint.send, message)
        await heard.until(len(messages))
        assert sorted(heard.messages) == messages


async def test_a_message_over_the_limit_is_refused_and_the_link_lives(place: tuple[Transport, str]) -> None:
    async with linked(place) as (endpoint, _, theirs, heard):
        for end in (endpoint, theirs):
            with pytest.raises(MessageTooLarge, match=str(LARGEST)):
                end.send_nowait(bytes(LARGEST + 1))
        await endpoint.send(b"still here")
        await heard.until(1)
        assert heard.messages == [b"still here"]


@pytest.mark.parametrize("who", ["we", "they"])
async def test_a_goodbye_comes_after_what_was_sent_and_is_told_once(place: tuple[Transport, str], who: str) -> None:
    async with linked(place) as (endpoint, ours, theirs, heard):
        closing, listening = (endpoint, heard) if who == "we" else (theirs, ours)
        for number in range(300):
            closing.send_nowait(b"%d" % number)
        with trio.fail_after(BOUND_SECONDS):
            await closing.aclose()
            await closing.aclose()
        await listening.until(300, gone=True)
        await ours.until(gone=True)
        await heard.until(gone=True)
        assert listening.messages == [b"%d" % number for number in range(300)]
        for end in (endpoint, theirs):
            with pytest.raises(EndpointClosed):
                end.send_nowait(b"too late")
            with pytest.raises(EndpointClosed):
                await end.send(b"too late")
    assert ours.causes == [None]
    assert heard.causes == [None]


async def test_a_listener_that_ends_breaks_its_links_and_they_are_told_once(place: tuple[Transport, str]) -> None:
    transport, address = place
    hall, ours = Hall(), Recorder()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as serving:
            await started(serving, transport.serve, address, hall.accept)
            endpoint: Endpoint = await started(nursery, transport.connect, address, ours)
            serving.cancel_scope.cancel()
        await ours.until(gone=True)
        with pytest.raises(EndpointBroken):
            endpoint.send_nowait(b"")
        nursery.cancel_scope.cancel()
    assert [type(cause) for cause in ours.causes] == [EndpointBroken]
    assert [type(cause) for cause in hall.recorders[0].causes] == [EndpointBroken]


async def test_a_cancelled_link_is_broken_for_its_peer(place: tuple[Transport, str]) -> None:
    transport, address = place
    hall = Hall()
    async with trio.open_nursery() as nursery:
        await started(nursery, transport.serve, address, hall.accept)
        async with trio.open_nursery() as linking:
            await started(linking, transport.connect, address, Recorder())
            linking.cancel_scope.cancel()
        await hall.recorders[0].until(gone=True)
        assert [type(cause) for cause in hall.recorders[0].causes] == [EndpointBroken]
        nursery.cancel_scope.cancel()


async def test_peers_are_told_apart(place: tuple[Transport, str]) -> None:
    transport, address = place
    hall = Hall()
    recorders = [Recorder() for _ in range(5)]
    async with trio.open_nursery() as nursery:
        await started(nursery, transport.serve, address, hall.accept)
        for number, recorder in enumerate(recorders):
            endpoint: Endpoint = await started(nursery, transport.connect, address, recorder)
            await endpoint.send(b"%d" % number)
        for number, recorder in enumerate(hall.recorders):
            await recorder.until(1)
            await hall.endpoints[number].send(b"you are %s" % recorder.messages[0])
        for number, recorder in enumerate(recorders):
            await recorder.until(1)
            assert recorder.messages == [b"you are %d" % number]
        assert len({endpoint.peer for endpoint in hall.endpoints}) == 5
        nursery.cancel_scope.cancel()


async def test_a_second_listener_is_refused_and_the_first_lives(place: tuple[Transport, str]) -> None:
    async with linked(place) as (endpoint, _, _theirs, heard):
        with pytest.raises(AddressInUse):
            await place[0].serve(place[1], Hall().accept, task_status=trio.TASK_STATUS_IGNORED)
        await endpoint.send(b"still here")
        await heard.until(1)


async def test_an_address_can_be_served_again_once_its_listener_has_ended(place: tuple[Transport, str]) -> None:
    for _ in range(2):
        async with linked(place) as (endpoint, _, _theirs, heard):
            await endpoint.send(b"here")
            await heard.until(1)


async def test_where_nobody_listens_is_unreachable(place: tuple[Transport, str]) -> None:
    recorder = Recorder()
    with pytest.raises(Unreachable):
        await place[0].connect(place[1], recorder, task_status=trio.TASK_STATUS_IGNORED)
    assert recorder.causes == []


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "ipc://relative", "inproc://", "server"])
async def test_a_wrong_address_is_refused_by_nng(address: str) -> None:
    with pytest.raises(AddressError):
        await NngTransport().serve(address, Hall().accept, task_status=trio.TASK_STATUS_IGNORED)
    with pytest.raises(AddressError):
        await NngTransport().connect(address, Recorder(), task_status=trio.TASK_STATUS_IGNORED)


CHILD = """
import sys, trio
from transports.nng import NngTransport
class Quiet:
    def received(self, message): pass
    def gone(self, cause): pass
async def main(role, address):
    async with trio.open_nursery() as nursery:
        if role == "listen":
            await nursery.start(NngTransport().serve, address, lambda endpoint: Quiet())
        else:
            endpoint = await nursery.start(NngTransport().connect, address, Quiet())
            await endpoint.send(b"here")
        print("ready", flush=True)
trio.run(main, *sys.argv[1:])
"""


@asynccontextmanager
async def child(role: str, address: str) -> AsyncGenerator[trio.Process]:
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                [sys.executable, "-c", CHILD, role, address],
                stdout=subprocess.PIPE,
                check=False,
            )
        )
        assert process.stdout is not None
        with trio.fail_after(BOUND_SECONDS):
            assert (await process.stdout.receive_some()).startswith(b"ready")
        yield process
        nursery.cancel_scope.cancel()


async def test_a_listener_that_is_killed_breaks_the_link(tmp_path: Path) -> None:
    address, ours = ipc_address(tmp_path), Recorder()
    async with child("listen", address) as process, trio.open_nursery() as nursery:
        endpoint: Endpoint = await started(nursery, NngTransport().connect, address, ours)
        endpoint.send_nowait(b"into its queue")
        began = trio.current_time()
        process.send_signal(signal.SIGKILL)
        await ours.until(gone=True)
        assert trio.current_time() - began < 1
        assert [type(cause) for cause in ours.causes] == [EndpointBroken]
        with pytest.raises(EndpointBroken):
            await endpoint.send(b"")


async def test_a_client_that_is_killed_is_gone_and_a_stopped_one_makes_senders_wait(tmp_path: Path) -> None:
    address, hall = ipc_address(tmp_path), Hall()
    async with trio.open_nursery() as nursery:
        await started(nursery, NngTransport().serve, address, hall.accept)
        async with child("dial", address) as process:
            await hall.recorders[0].until(1)
            process.send_signal(signal.SIGSTOP)
            with trio.move_on_after(0.5) as scope:
                for _ in range(10_000):
                    await hall.endpoints[0].send(bytes(LARGEST))
            assert scope.cancelled_caught, "a peer that does not run takes 640 MB"
            began = trio.current_time()
            process.send_signal(signal.SIGKILL)
            await hall.recorders[0].until(gone=True)
            assert trio.current_time() - began < 1
        assert [type(cause) for cause in hall.recorders[0].causes] == [EndpointBroken]
        nursery.cancel_scope.cancel()
