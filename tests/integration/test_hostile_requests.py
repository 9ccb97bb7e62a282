"""What anybody may send to a system's socket: it is refused with a code or a reason, costs little, and hurts nobody else.

The system runs in a process of its own, whose memory is looked at; the polite client's asks go on meanwhile.
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import connect_system
from tests.support.foreign import extension, packb, timestamp
from tests.support.raw_peer import HELLO_FRAME, a_raw_peer, frame_of, hello

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

MOST_GROWTH = 16 * 1024 * 1024
ROUNDS = 40


@dataclass
class Served:
    """A system in a process of its own."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def memory(self, field: str) -> int:
        """`VmRSS`, `VmHWM` or `VmPeak`, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found.group(1)) * 1024

    def forget_peak(self) -> None:
        """Let `VmHWM` begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    @asynccontextmanager
    async def unharmed(self, what: str) -> AsyncGenerator[None]:
        """While the body is at it, a polite client is answered, and memory grows by less than 16 MB at its peak."""
        self.forget_peak()
        before = self.memory("VmRSS")
        async with connect_system(self.address) as system, trio.open_nursery() as nursery:
            answered = 0
            done = trio.Event()

            async def ask() -> None:
                nonlocal answered
                while not done.is_set() or answered < 50:
                    await system.info(timeout=10)
                    answered += 1

            nursery.start_soon(ask)
            yield
            done.set()
        growth = self.memory("VmHWM") - before
        print(f"{what}: memory grew by {growth / 1e6:.1f} MB at most, {answered} asks were answered meanwhile")
        assert growth < MOST_GROWTH

    def logged(self) -> str:
        """What it logged so far."""
        return self.log.read_text()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    directory = tmp_path_factory.mktemp("hostile")
    address = f"ipc://{directory}/own/server"
    command = [sys.executable, "-m", "tests.support.serve_program", address, str(directory / "r"), "processes", "noop"]
    log = directory / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Served(address, process, log)
        process.communicate()
    assert process.returncode == 0


def ask(
    args: object, *, to: object = "", verb: object = "create_sandbox", counter: object = 1, budget: int = 5000
) -> bytes:
    return packb(["ask", counter, to, verb, args, budget, 1])


def ask_raw(args: bytes, *, verb: str = "create_sandbox", counter: int = 1) -> bytes:
    """An ask whose arguments are exactly these bytes."""
    return b"\x97" + b"".join(map(packb, ("ask", counter, "", verb))) + args + packb(5000) + packb(1)


# an ask of these arguments is answered `invalid_argument`, and the link lives
BAD_ARGUMENTS = {
    "deep": b"\x91" * 200 + b"\xc0",
    "amplifying arrays": b"\xdc\xf0\x00" + b"\x90" * 0xF000,
    "amplifying maps": b"\xdc\xf0\x00" + b"\x80" * 0xF000,
    "duplicate keys": b"\x82" + packb("id") + packb("box") + packb("id") + packb("other"),
    "nan": packb({"id": float("nan")}),
    "infinity": packb({"id": "box", "x": float("inf")}),
    "bad text": b"\x81" + packb("id") + b"\xa2\xff\xfe",
    "bad key": b"\x81\xa1\xff\xc0",
    "number as key": b"\x81\x01\xc0",
    "extension": packb({"id": "box", "x": extension(5, b"x")}),
    "timestamp": packb({"id": "box", "x": timestamp(0)}),
    "wrong type": packb({"id": 7}),
    "no arguments": packb(None),
    "id that is a path": packb({"id": "../../etc"}),
    "id with a null": packb({"id": "a\0b"}),
}

# such an envelope ends the link with a goodbye that says why
BAD_ENVELOPES = {
    "nothing": b"",
    "unused byte": b"\xc1",
    "truncated": ask({"id": "box"})[:-3],
    "trailing bytes": ask({"id": "box"}) + b"\0",
    "claims 4 billion items": b"\xdd\xff\xff\xff\xff",
    "claims 4 GB of text": b"\x92\xdb\xff\xff\xff\xffabc",
    "claims 4 GB of arguments": ask_raw(b"\xc6\xff\xff\xff\xff"),
    "very deep arguments": ask_raw(b"\x91" * 60_000 + b"\xc0"),
    "very deep envelope": b"\x91" * 60_000,
    "unknown kind": packb(["tell", 1]),
    "a server's own": packb(["welcome", 1, "x", 1, 1]),
    "a second hello": hello("raw"),
    "counter 0": ask({}, counter=0),
    "counter too large": ask({}, counter=2**63),
    "negative counter": ask({}, counter=-1),
    "text as counter": ask({}, counter="1"),
    "float as counter": ask({}, counter=1.5),
    "verb too long": ask({}, verb="x" * 65),
    "address too long": ask({}, to="x" * 300),
    "address with bad text": b"\x97"
    + packb("ask")
    + packb(1)
    + b"\xa2\xff\xfe"
    + packb("v")
    + b"\x80"
    + packb(1)
    + packb(1),
    "negative budget": ask({}, budget=-1),
    "a map": packb({"ask": 1}),
}

# such a frame ends the link at once, and the log says why
BAD_FRAMES = {
    "no frame": b"\xc1",
    "not msgpack's end": HELLO_FRAME + b"\0",
    "claims 4 billion envelopes": b"\x93\x00\x00\xdd\xff\xff\xff\xff",
    "too many envelopes": frame_of(0, 0, *[b""] * 65),
    "acks what was not sent": frame_of(0, 60_000),
    "a second hello": HELLO_FRAME,
    "unknown kind": frame_of(9, 0),
    "deep": b"\x91" * 60_000,
    "amplifying": frame_of(0, 0)[:-1] + b"\xdc\xf0\x00" + b"\xc4\x00" * 0x7000,
    "over a frame": frame_of(0, 0, bytes(70_000)),
}


@pytest.mark.parametrize("name", [*BAD_ARGUMENTS, "unknown verb"])
async def test_arguments_that_can_not_be_are_refused_and_the_link_lives(served: Served, name: str) -> None:
    args, verb = BAD_ARGUMENTS.get(name, b"\x80"), "create_sandbx" if name == "unknown verb" else "create_sandbox"
    async with served.unharmed(name):
        with a_raw_peer(served.address) as peer:
            peer.join(f"arguments {name}")
            for counter in range(1, ROUNDS + 1):
                peer.send(ask_raw(args, verb=verb, counter=counter))
                failure = await peer.until_heard("failure", counter)
                assert failure[2] == "invalid_argument", failure
                peer.ack()
            peer.send(ask({}, verb="info", counter=ROUNDS + 1))
            await peer.until_heard("reply", ROUNDS + 1)


@pytest.mark.parametrize("name", BAD_ENVELOPES)
async def test_an_envelope_that_can_not_be_ends_the_link_with_a_reason(served: Served, name: str) -> None:
    async with served.unharmed(name):
        for _ in range(5):
            with a_raw_peer(served.address) as peer:
                peer.join(f"envelope {name}")
                await peer.until_heard("welcome")
                peer.send(BAD_ENVELOPES[name])
                await peer.until_gone()
                goodbye = peer.heard[-1]
                assert goodbye[:2] == ["goodbye", "protocol_error"], goodbye
                assert str(goodbye[2])[:60] in served.logged()


@pytest.mark.parametrize("name", BAD_FRAMES)
async def test_a_frame_that_can_not_be_ends_the_link_and_is_logged(served: Served, name: str) -> None:
    async with served.unharmed(name):
        for joined in (True, False):
            with a_raw_peer(served.address) as peer:
                before = served.logged().count("WARNING")
                if joined:
                    peer.join(f"frame {name}")
                    await peer.until_heard("welcome")
                elif name == "a second hello":
                    continue
                peer.send_frame(BAD_FRAMES[name])
                await peer.until_gone()
                assert served.logged().count("WARNING") > before


async def test_another_version_of_the_frames_learns_which_one_we_speak(served: Served) -> None:
    async with served.unharmed("another version"):
        with a_raw_peer(served.address) as peer:
            peer.send_frame(frame_of(1, 0, b"katrio/9"))
            await peer.until_gone()
            assert peer.frames == [[1, 0, [b"katrio/1"]]]
            assert "it speaks 'katrio/9'" in served.logged()


async def test_four_peers_that_claim_900_mib_change_nothing(served: Served) -> None:
    path = served.address.removeprefix("ipc://")
    address_space = served.memory("VmPeak")
    async with served.unharmed("four claims of 900 MiB"):
        peers = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        try:
            for peer in peers:
                peer.settimeout(10)
                peer.connect(path)
                # nng's handshake as a REQ socket, then the head of one message
                peer.sendall(b"\0SP\0" + struct.pack(">HH", 0x30, 0))
                assert peer.recv(8) == b"\0SP\0" + struct.pack(">HH", 0x31, 0)
                peer.sendall(b"\1" + struct.pack(">Q", 900 * 1024**2) + bytes(1000))
            for peer in peers:
                with trio.fail_after(10):
                    assert await trio.to_thread.run_sync(_rest, peer) == b"", "cut off"
        finally:
            for peer in peers:
                peer.close()
    grown = served.memory("VmPeak") - address_space
    print(f"the address space grew by {grown / 1e6:.1f} MB")
    assert grown < 256 * 1024 * 1024, "four allocations of 900 MiB"
    assert "cut it off" in served.logged()


def _rest(peer: socket.socket) -> bytes:
    try:
        return peer.recv(1)
    except ConnectionResetError:
        return b""


async def test_a_message_that_nng_cuts_off_ends_that_link_alone(served: Served) -> None:
    async with served.unharmed("a message of 200 KB"):
        with a_raw_peer(served.address) as peer:
            peer.join("large")
            await peer.until_heard("welcome")
            peer.send(bytes(200_000))
            await peer.until_gone()
            assert re.search(r"the link to .* broke", served.logged())


async def test_a_peer_that_asks_and_never_reads_is_cut_off_with_a_reason(served: Served) -> None:
    async with served.unharmed("asks without reading"):
        with a_raw_peer(served.address) as peer:
            before = len(served.logged())
            peer.join("greedy")
            await peer.until_heard("welcome")
            counter = 0
            with trio.fail_after(60):
                while not peer.gone:
                    envelopes: list[bytes] = []
                    for _ in range(60):
                        counter += 1
                        envelopes.append(ask({}, to="x" * 200, verb="info", counter=counter))
                    # nothing of what comes back is acked, nor read
                    peer.try_to_send(*envelopes)
                    await trio.sleep(0.001)
            # which of its sins is seen first depends on how fast the server runs
            reasons = ("the client does not read its answers", "frames sent without credit")
            assert any(reason in served.logged()[before:] for reason in reasons)


async def test_ids_that_are_not_the_senders_own_touch_nobody_elses_asks(served: Served) -> None:
    async with connect_system(served.address, client_id="victim") as system:
        box = await system.create_sandbox("victims-box")
        async with box.open_events() as events, served.unharmed("forged ids"):
            await anext(events)
            with a_raw_peer(served.address) as peer:
                peer.join("victim")
                await peer.until_gone()
                assert peer.heard[-1][:2] == ["goodbye", "busy"], "that name has a link"
            with a_raw_peer(served.address) as peer:
                peer.join("forger")
                for counter in range(1, 30):
                    # no more frames than there is credit for
                    peer.send(packb(["cancel", counter]), packb(["credit", counter, 2**62]))
                peer.send(ask({}, verb="info", counter=99))
                await peer.until_heard("reply", 99)
            await box.start()
            assert (await anext(events)).event.state == "starting"
        await box.stop()
        await box.delete()
