"""What a hostile guest can do to a whole system of actors: not fill its memory, not hang it, not reach another's."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.limits import DEFAULT_LIMITS
from actors.schemas import agent as api
from actors.wire.spec import ContainerSpec, ExitStatus, ProcessSpec
from tests.support.hostile_guest import HostileGuest
from tests.support.hostile_system import open_hostile_system
from transports.ttrpc.codec import RESPONSE, encode_frame

if TYPE_CHECKING:
    from actors.handles import ContainerHandle, SandboxHandle, SystemHandle
    from tests.support.hostile_guest import Asked
    from transports.stream import SocketStream

MIB = 1024 * 1024
SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def _never(_: Asked) -> None:
    await trio.sleep_forever()


async def _started(system: SystemHandle, name: str) -> SandboxHandle:
    box = await system.create_sandbox(name)
    await box.start()
    return box


async def _running(box: SandboxHandle) -> ContainerHandle:
    container = await box.create_container("c1", SPEC)
    await container.start()
    return container


def _quiet() -> HostileGuest:
    """A guest whose processes say nothing, run on, and are never killed by the OOM killer."""
    guest = HostileGuest()
    guest.lies |= dict.fromkeys(("ReadStdout", "ReadStderr", "WaitProcess", "GetOOMEvent"), _never)
    return guest


async def test_a_flood_of_output_that_nobody_reads_is_bounded_and_its_gap_told(tmp_path: Path) -> None:
    liar, honest = _quiet(), _quiet()
    flooded = 0
    enough = trio.Event()

    async def flood(asked: Asked) -> None:
        nonlocal flooded
        await asked.struct(api.ReadStreamResponse(data=bytes(DEFAULT_LIMITS.read_bytes)))
        flooded += DEFAULT_LIMITS.read_bytes
        if flooded >= 64 * MIB:
            enough.set()
            liar.lies["ReadStdout"] = lambda asked: asked.payload_of(b"")

    async with open_hostile_system(str(tmp_path), {"liar": liar, "honest": honest}) as system:
        container = await _running(await _started(system, "liar"))
        other = await _running(await _started(system, "honest"))
        before = _resident()
        liar.lies["ReadStdout"] = flood
        # the read that is waiting was asked before the lie
        await container.exec("flood", ProcessSpec(args=("yes",)))
        with trio.fail_after(60):
            while not enough.is_set():
                # whoever has the other guest is served meanwhile
                await other.pause(timeout=10)
                await other.resume(timeout=10)
        assert _resident() - before < 32 * MIB
        received = lost = 0
        async with container.process("flood").open_stdout() as parts:
            async for part in parts:
                received += len(part.data)
                lost += part.gap
        assert received <= 2 * DEFAULT_LIMITS.unread_output_bytes
        assert received + lost == flooded


async def test_a_flood_of_answers_to_nobody_costs_its_own_link_and_nobody_else(tmp_path: Path) -> None:
    liar, honest = _quiet(), _quiet()
    flooding = trio.Event()
    tiny = encode_frame(RESPONSE, 2**31 - 1, b"") * 10_000
    flooded = 0

    async def flood(stream: SocketStream) -> None:
        nonlocal flooded
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await flooding.wait()
            flooded += 1
            while True:
                await stream.send_all(tiny)

    async with trio.open_nursery() as floods:

        async def greet(stream: SocketStream) -> None:
            floods.start_soon(flood, stream)

        liar.greets = greet
        async with open_hostile_system(str(tmp_path), {"liar": liar, "honest": honest}) as system:
            await _running(await _started(system, "liar"))
            other = await _running(await _started(system, "honest"))
            links = liar.connections
            flooding.set()
            with trio.fail_after(30):
                while flooded < links:
                    await other.pause(timeout=10)
                    await other.resume(timeout=10)
            # nobody asked it anything, so nothing was dialled again
            assert liar.connections == links
            await other.pause(timeout=10)
            floods.cancel_scope.cancel()


async def test_oom_kills_told_without_end_are_not_listened_to_without_end(tmp_path: Path) -> None:
    guest = _quiet()
    names = ["c1", "../../etc", "", "x" * 10_000, "\x1b[2J"]

    async def tell(asked: Asked) -> None:
        await asked.struct(api.OOMEvent(container_id=names[guest.calls["GetOOMEvent"] % len(names)]))

    guest.lies["GetOOMEvent"] = tell
    async with open_hostile_system(str(tmp_path), {"box": guest}) as system:
        container = await _running(await _started(system, "box"))
        before = guest.calls["GetOOMEvent"]
        await trio.sleep(4 * DEFAULT_LIMITS.oom_pause_seconds)
        told = guest.calls["GetOOMEvent"] - before
        assert DEFAULT_LIMITS.oom_burst <= told <= 6 * DEFAULT_LIMITS.oom_burst
        assert 0 < (await container.info()).oom_kills <= guest.calls["GetOOMEvent"]


async def test_an_exit_that_is_told_while_output_never_ends_is_known_all_the_same(tmp_path: Path) -> None:
    guest = _quiet()
    async with open_hostile_system(str(tmp_path), {"box": guest}) as system:
        container = await _running(await _started(system, "box"))
        guest.lies["WaitProcess"] = lambda asked: asked.struct(api.WaitProcessResponse(status=3))
        process = await container.exec("e1", ProcessSpec(args=("true",)))
        # the guest says that it is ours, whose wait keeps the output; so it is asked at once
        with trio.fail_after(10):
            assert await process.wait() == ExitStatus(3)


async def test_a_sandbox_is_stopped_and_deleted_though_its_guest_answers_nothing(tmp_path: Path) -> None:
    guest = _quiet()
    async with open_hostile_system(str(tmp_path), {"box": guest}) as system:
        box = await _started(system, "box")
        await _running(box)
        guest.lies |= dict.fromkeys(("SignalProcess", "RemoveContainer", "DestroySandbox"), _never)
        with trio.fail_after(10):
            await box.stop(grace=0)
            await box.delete()
        assert (await system.info()).children == ()
