"""Bad luck, as a table: what goes wrong, what the caller is told, and by when.

Data for `tests/integration/test_bad_luck.py`, which makes one case of each row. A row's function does the harm and the
calls, and returns the codes that came of them (an empty one: it went well). Not for guests that lie: `lies` has those.
"""

from __future__ import annotations

import os
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import trio
import trio.testing

from actors.api import open_system
from actors.errors import KatrioError
from actors.wire.spec import ContainerSpec, ProcessSpec, ResourceSpec
from tests.support.boxes import children
from tests.support.hostile_guest import HostileGuest
from tests.support.hostile_system import LIMITS, open_dialled_system
from transports.stream import serve_unix, unix_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from actors.handles import ContainerHandle, SandboxHandle
    from tests.support.hostile_guest import Asked
    from transports.stream import SocketStream

__all__ = ["ROWS", "Place", "Row"]

SLEEP = ProcessSpec(args=("sleep", "1000"))
IDLE = ContainerSpec(process=SLEEP)
# what ends a call whose guest has gone: it was not sent, it may have happened, or nothing is left to ask
GONE = frozenset({"guest_died", "agent_unreachable", "unknown"})


@dataclass(frozen=True)
class Place:
    """Where a row happens: a private directory, and an engine that works here."""

    directory: Path
    engine: str

    @asynccontextmanager
    async def box(self) -> AsyncGenerator[SandboxHandle]:
        """A running sandbox with a real guest."""
        run_dir = self.directory / "r"
        run_dir.mkdir(mode=0o700)
        async with open_system(engine=self.engine, run_dir=run_dir) as system:
            box = await system.create_sandbox("box")
            await box.start()
            yield box

    @asynccontextmanager
    async def peer(self, serve: Callable[[SocketStream], Awaitable[None]]) -> AsyncGenerator[SandboxHandle]:
        """A sandbox, not started, whose guest is `serve` behind a real socket."""
        path = str(self.directory / "g.sock")
        limits = replace(LIMITS, guest_start_seconds=0.5, reconnect_seconds=0.5)
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_unix, path, serve)
            async with open_dialled_system({"box": unix_dialer(path)}, limits) as system:
                yield await system.create_sandbox("box")
            nursery.cancel_scope.cancel()


Codes = list[str]


class Row(NamedTuple):
    """`codes` are those that a caller may be told; `seconds` the deadline, from the harm to the last answer."""

    name: str
    does: Callable[[Place], Awaitable[Codes]]
    codes: frozenset[str]
    seconds: float
    needs: str = ""


class Watch:
    """Takes the time of what matters: the answers after the harm, not the bringing up before it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def code(self, call: Callable[[], Awaitable[object]]) -> str:
        began = trio.current_time()
        try:
            await call()
        except KatrioError as error:
            return error.code
        finally:
            self.seconds = max(self.seconds, trio.current_time() - began)
        return ""


WATCH = Watch()


async def every(calls: Sequence[Callable[[], Awaitable[object]]]) -> Codes:
    """All at once."""
    codes: Codes = []

    async def one(call: Callable[[], Awaitable[object]]) -> None:
        codes.append(await WATCH.code(call))

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(one, call)
    return codes


async def idle(box: SandboxHandle, name: str = "c1") -> ContainerHandle:
    container = await box.create_container(name, IDLE)
    await container.start()
    return container


# the agent


async def not_there(place: Place) -> Codes:
    limits = replace(LIMITS, guest_start_seconds=0.5)
    async with open_dialled_system({"box": unix_dialer(str(place.directory / "none.sock"))}, limits) as system:
        box = await system.create_sandbox("box")
        return [await WATCH.code(partial(box.start, timeout=5))]


async def silent(place: Place) -> Codes:
    async def serve(_: SocketStream) -> None:
        await trio.sleep_forever()

    async with place.peer(serve) as box:
        return [await WATCH.code(partial(box.start, timeout=1))]


async def garbage(place: Place) -> Codes:
    async def serve(stream: SocketStream) -> None:
        await stream.send_all(b"\xff" * 4096)
        await trio.sleep_forever()

    async with place.peer(serve) as box:
        return [await WATCH.code(partial(box.start, timeout=3))]


async def _lied_to(place: Place, method: str, lie: Callable[[Asked], Awaitable[object]], call: str) -> Codes:
    guest = HostileGuest()

    async def never(_: Asked) -> None:
        await trio.sleep_forever()

    guest.lies |= dict.fromkeys(("ReadStdout", "ReadStderr", "WaitProcess", "GetOOMEvent"), never)
    async with place.peer(guest.serve) as box:
        await box.start()
        container = await idle(box)
        guest.lies[method] = lie
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "pause": partial(container.pause, timeout=3),
            "check": partial(box.check, timeout=3),
        }
        return [await WATCH.code(calls[call])]


async def _hang_up(asked: Asked) -> None:
    await asked.stream.aclose()


async def gone_in_a_call_that_changes(place: Place) -> Codes:
    return await _lied_to(place, "PauseContainer", _hang_up, "pause")


async def gone_in_a_call_that_reads(place: Place) -> Codes:
    return await _lied_to(place, "Check", _hang_up, "check")


# the guest


def _guest_pid() -> int:
    """The one guest below this process: its template's launcher's child."""
    templates = [
        pid for pid in children(os.getpid()) if b"actors.guest.template" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    (guest,) = (guest for template in templates for launcher in children(template) for guest in children(launcher))
    return guest


async def guest_killed_with_calls_in_flight(place: Place) -> Codes:
    async with place.box() as box:
        container = await idle(box)
        waiting = [await container.exec(f"p{number}", SLEEP) for number in range(4)]
        codes: Codes = []

        async def calls() -> None:
            async def call(number: int) -> object:
                if number < 16:
                    return await waiting[number % 4].wait()
                return await container.exec(f"late{number}", SLEEP)

            codes.extend(await every([partial(call, number) for number in range(20)]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(calls)
            await trio.testing.wait_all_tasks_blocked(0.05)
            os.kill(_guest_pid(), signal.SIGKILL)
        # an exec that was done before the kill is no failure
        return [code for code in codes if code]


async def second_start(place: Place) -> Codes:
    async with place.box() as box:
        container = await idle(box)
        return [await WATCH.code(container.start), await WATCH.code(box.start)]


async def start_after_the_init_died(place: Place) -> Codes:
    async with place.box() as box:
        container = await box.create_container("c1", IDLE)
        await container.init.signal(signal.SIGKILL)
        await container.init.wait()
        return [await WATCH.code(container.start)]


async def the_same_id_at_once(place: Place) -> Codes:
    async with place.box() as box:
        codes = await every([partial(box.create_container, "c1", IDLE)] * 10)
        assert codes.count("") == 1
        container = box.container("c1")
        await container.start()
        more = await every([partial(container.exec, "p1", SLEEP)] * 10)
        assert more.count("") == 1
        return [code for code in codes + more if code]


# what is asked for


async def missing_things(place: Place) -> Codes:
    codes: Codes = []
    async with place.box() as box:
        container = await idle(box)
        wrong = (
            ProcessSpec(args=("no-such-program",)),
            ProcessSpec(args=("true",), cwd="/no/such/directory"),
            ProcessSpec(args=("true",), user="no-such-user"),
        )
        for number, spec in enumerate(wrong):
            codes.append(await WATCH.code(partial(container.exec, "p1", spec)))
            create = partial(box.create_container, f"n{number}", ContainerSpec(process=spec))
            codes.append(await WATCH.code(create))
        await (await container.exec("p1", ProcessSpec(args=("true",)))).wait()
    return codes


async def roots_that_are_no_roots(place: Place) -> Codes:
    empty, file, archive = place.directory / "empty", place.directory / "file", place.directory / "a.tar"
    empty.mkdir()
    file.write_text("")
    archive.write_bytes(b"garbage" * 1000)
    images = (str(empty), f"docker-archive:{archive}", f"oci:{empty}", "dir:/no/such/root", str(file), "dir:..")
    async with place.box() as box:
        codes = [await WATCH.code(partial(box.create_container, "c1", replaced(image))) for image in images]
        await (await idle(box)).stop(grace=0)
    return codes


def replaced(image: str) -> ContainerSpec:
    return ContainerSpec(process=SLEEP, image=image)


HOSTILE_IDS = (
    "", "a", "..", "../x", "a/b", "/etc", "a\0b", "a" * 4096, "-rf", ".hidden", "_x", "a b", "a\nb", "\u0430bc", "ab\u200b",
    "\uff41bc", "ab%2f", "a;reboot", "$(id)", "caf\u00e9", "a:b", "a\\b",
)  # fmt: skip


async def hostile_ids(place: Place) -> Codes:
    codes: Codes = []
    async with place.box() as box:
        container = await idle(box)
        for name in HOSTILE_IDS:
            codes.append(await WATCH.code(partial(box.create_container, name, IDLE)))
            if name:  # an exec without a name is given one
                codes.append(await WATCH.code(partial(container.exec, name, SLEEP)))
    return codes


async def a_socket_path_too_long(place: Place) -> Codes:
    run_dir = place.directory / ("x" * 90)
    run_dir.mkdir(mode=0o700)

    async def start() -> None:
        async with open_system(engine=place.engine, run_dir=run_dir) as system:
            box = await system.create_sandbox("box")
            await box.start()

    return [await WATCH.code(start)]


async def memory_too_small(place: Place) -> Codes:
    async with place.box() as box:
        spec = ContainerSpec(process=SLEEP, resources=ResourceSpec(memory_bytes=64 * 1024))
        codes = [await WATCH.code(partial(box.create_container, "c1", spec))]
        await (await idle(box, "c2")).stop(grace=0)
        return codes


# races, and those who don't want to go


async def stop_of_one_that_ignores_it(place: Place) -> Codes:
    async with place.box() as box:
        stubborn = ProcessSpec(args=("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"))
        container = await box.create_container("c1", ContainerSpec(process=stubborn))
        await container.start()
        code = await WATCH.code(partial(container.stop, grace=0.5))
        assert (await container.init.wait()).code == 137
        return [code]


async def exits_before_the_start_is_answered(place: Place) -> Codes:
    async with place.box() as box:

        async def one(number: int) -> None:
            container = await box.create_container(f"c{number}", ContainerSpec(process=ProcessSpec(args=("true",))))
            await container.start()
            assert (await container.init.wait()).code == 0

        return await every([partial(one, number) for number in range(8)])


async def stop_racing_exit(place: Place) -> Codes:
    async with place.box() as box:

        async def one(number: int) -> None:
            process = ProcessSpec(args=("sleep", f"0.{number:02d}"))
            container = await box.create_container(f"c{number}", ContainerSpec(process=process))
            await container.start()
            await container.stop(grace=1)
            code = (await container.init.wait()).code
            assert code in (0, 143, 137), code

        return await every([partial(one, number) for number in range(8)])


async def resume_racing_stop(place: Place) -> Codes:
    async with place.box() as box:
        codes: Codes = []
        for number in range(4):
            container = await idle(box, f"c{number}")
            await container.pause()
            both = await every([container.resume, partial(container.stop, grace=0)])
            assert "" in both
            assert (await container.init.wait()).code in (137, 143)
            codes.extend(both)
        return codes


async def kill_of_a_frozen_one(place: Place) -> Codes:
    async with place.box() as box:
        container = await idle(box)
        await container.pause()
        code = await WATCH.code(partial(container.signal, signal.SIGKILL, all_processes=True))
        assert (await container.init.wait()).code == 137
        return [code]


FINE = frozenset({""})
ROWS = (
    Row("agent not there", not_there, frozenset({"agent_unreachable"}), 1),
    Row("agent silent", silent, frozenset({"unknown"}), 1),
    Row("agent talks garbage", garbage, frozenset({"agent_unreachable", "protocol_error"}), 3),
    Row("agent gone in a call that changes", gone_in_a_call_that_changes, frozenset({"unknown"}), 1),
    Row("agent gone in a call that reads", gone_in_a_call_that_reads, frozenset({"agent_unreachable"}), 1),
    Row("guest killed with 20 calls in flight", guest_killed_with_calls_in_flight, GONE, 2),
    Row("second start", second_start, frozenset({"invalid_transition"}), 1),
    Row("start after the init died", start_after_the_init_died, frozenset({"invalid_transition"}), 1),
    Row("the same id at once", the_same_id_at_once, frozenset({"already_exists"}), 5),
    Row("missing program, cwd, user", missing_things, frozenset({"invalid_argument"}), 1),
    Row("rootfs missing or broken", roots_that_are_no_roots, frozenset({"invalid_argument", "not_found"}), 1, "images"),
    Row("hostile ids", hostile_ids, frozenset({"invalid_argument"}), 1),
    Row("socket path too long", a_socket_path_too_long, frozenset({"invalid_argument"}), 1),
    Row("memory too small to start in", memory_too_small, frozenset({"invalid_argument", "resource_exhausted", "agent_error"}), 5, "cgroups"),
    Row("stop of one that ignores SIGTERM", stop_of_one_that_ignores_it, FINE, 0.5),
    Row("exit before the start is answered", exits_before_the_start_is_answered, FINE, 5),
    Row("stop racing exit", stop_racing_exit, FINE, 5),
    Row("resume racing stop", resume_racing_stop, frozenset({"", "invalid_transition"}), 1),
    Row("kill of a frozen one", kill_of_a_frozen_one, FINE, 1),
)  # fmt: skip
