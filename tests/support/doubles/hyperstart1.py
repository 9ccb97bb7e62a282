"""A real hyperstart, 1.1.0, as init of a VM: its control and its stream channel on two serial ports.

Its rows are in `rows_hyperstart`. For `opening` and the command.
"""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.errors import AlreadyExists, InvalidArgument
from actors.guest.services.hyperstart import HyperstartService
from actors.guest.services.hyperstart_process import LiveProcess
from actors.simulation.engine import SimulatedEngine
from actors.wire.spec import ExitStatus
from tests.support.doubles.habits import DoubledExecutor, unread_input
from tests.support.planted.defect import Kit
from tests.support.planted.pods import ControlMeddler
from transports.hyperstart import messages
from transports.hyperstart.codec import Code

if TYPE_CHECKING:
    import trio

    from actors.guest.process_io import ProcessIo
    from actors.wire.spec import ExitStatus as Status
    from tests.support.doubles.power import Options, Power

__all__ = ["hyperstart1"]

# 128 and the number of a signal
SIGNAL_ENDS = range(128 + 1, 128 + 64 + 1)
# of one process's input, while it reads nothing
KEPT_INPUT_BYTES = 10 * 1024


class ForgetfulProcess(LiveProcess):
    """Input that its process does not read is dropped."""

    _io: ProcessIo | None = None

    def put_input(self, data: bytes) -> None:
        held = 0 if self._io is None else unread_input(self._io.engine)
        queued = sum(len(each) for each in self._queued())
        if data and held + queued + len(data) > KEPT_INPUT_BYTES:
            return
        super().put_input(data)

    def _queued(self) -> list[bytes]:
        state: Any = self._input._state  # trio tells how many, and not how long they are
        return list(state.data)

    async def feed(self, io: ProcessIo) -> None:
        self._io = io
        await super().feed(io)


class RealHyperstart(HyperstartService):
    """What it does to its pod, and what ends it."""

    live_process: type[LiveProcess] = ForgetfulProcess

    @property
    def _own(self) -> DoubledExecutor:
        assert isinstance(self._executor, DoubledExecutor)
        return self._executor

    async def _start_pod(self, payload: bytes) -> bytes:
        if self._live:
            for process in list(self._live.values()):
                # as the kernel has it: the first process of a pid namespace never sees one that it does not handle
                process.told_signal(signal.SIGTERM)
                self._own.process(process.container, process.name).signal(signal.SIGTERM)
            raise AlreadyExists("the pod runs")
        return await super()._start_pod(payload)

    async def _new_container(self, payload: bytes) -> bytes:
        answer = await super()._new_container(payload)
        body = messages.decode_json(payload, messages.Container)
        if body.id in self._inits:
            _write_into(self._own, body.id, f"{self._share.rstrip('/')}/{body.image}/{body.rootfs}")
        return answer

    async def _exec(self, payload: bytes) -> bytes:
        try:
            return await super()._exec(payload)
        except InvalidArgument as error:
            if str(error.details.get("field")).endswith(("cwd", "user")):
                await self._own.power.off("init segfaulted: an exec in a missing directory, or as a missing user")
            raise

    async def _tell_end(self, process: LiveProcess, status: Status) -> None:
        """Of what a signal ended, whoever sent it, it says 0."""
        await super()._tell_end(process, ExitStatus(0) if status.code in SIGNAL_ENDS else status)


def _write_into(executor: DoubledExecutor, container: str, root: str) -> None:
    """Into the root that it shares with its host."""
    engine = executor.engine
    if isinstance(engine, SimulatedEngine):
        tree: Any = engine._containers[container].container.tree  # nobody else writes past a container's programs
        tree._written["/etc/hostname"] = bytearray(b"hyperstart\n")
        tree._directories |= {"/lib": None, "/lib/modules": None}
    elif executor.options.harms_roots:
        (Path(root) / "etc").mkdir(exist_ok=True)
        (Path(root) / "etc/hostname").write_text("hyperstart\n")
        (Path(root) / "lib/modules").mkdir(parents=True, exist_ok=True)
    else:
        print(f"the real agent would have written etc/hostname and lib/modules in {root}", file=sys.stderr, flush=True)


class ReadyOnce(ControlMeddler):
    """One READY in the life of its machine, for the first host that has a word to say: who only looks is none."""

    def __init__(self, heard: list[None], inner: trio.abc.Stream) -> None:
        super().__init__(inner)
        self._heard = heard

    def received(self, data: bytes) -> bytes:
        self._heard.append(None)
        return data

    def frame(self, code: int, payload: bytes) -> list[tuple[int, bytes]]:
        return [] if code == Code.READY and self._heard else [(code, payload)]


def hyperstart1(power: Power, options: Options) -> Kit:
    """Its parts."""
    return Kit(
        executor=partial(DoubledExecutor, power, options),
        hyperstart=RealHyperstart,
        control=partial(ReadyOnce, []),
    )
