"""What several real agents have in common, as parts of a guest: what they forget, never read, and do to a process.

For `today` and `kata1x`, which mix them. Each overrides single calls of the product's.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import trio

from actors.errors import NotFound
from actors.guest.executor import Executor
from actors.guest.services.kata_guest import GuestCalls
from actors.simulation.engine import SimulatedEngine
from actors.simulation.engine_process import SimulatedProcess
from tests.support.planted.wire import Meddler

if TYPE_CHECKING:
    from actors.guest.engines.base import Engine, EngineProcess
    from actors.guest.engines.process import RealProcess
    from actors.guest.process_io import ProcessIo
    from actors.schemas import agent as api
    from actors.schemas.oci import Process, Spec
    from actors.wire.spec import ExitStatus
    from tests.support.doubles.power import Options, Power

__all__ = [
    "DoubledExecutor",
    "ForgetsAtTheFirstWait",
    "NoConsoleSize",
    "SaysNoWords",
    "Slow",
    "is_terminal",
    "unread_input",
    "wipe",
]


class SaysNoWords(GuestCalls):
    """Version is answered whatever it is asked about: nobody but katrio's own guest says more."""

    async def _get_version(self, request: api.VersionRequest) -> msgspec.Struct:
        return await super()._get_version(msgspec.structs.replace(request, service=""))


class DoubledExecutor(Executor):
    """With the machine that it is on."""

    def __init__(self, power: Power, options: Options, *args: Any) -> None:
        super().__init__(*args)
        self.power = power
        self.options = options

    @property
    def engine(self) -> Engine:
        return self._engine

    def end_soon(self, reason: str, seconds: float) -> None:
        """Its machine ends after so long: an answer that is on its way arrives."""
        self._background.start_soon(self._end, reason, seconds)

    async def _end(self, reason: str, seconds: float) -> None:
        await trio.sleep(seconds)
        await self.power.off(reason)


class NoConsoleSize(Executor):
    """A terminal begins at 0x0, whatever the specification says."""

    async def create(self, container: str, spec: Spec) -> None:
        if spec.process is not None:
            spec = msgspec.structs.replace(spec, process=msgspec.structs.replace(spec.process, console_size=None))
        await super().create(container, spec)

    async def exec(self, container: str, process: str, document: Process) -> None:
        await super().exec(container, process, msgspec.structs.replace(document, console_size=None))


class ForgetsAtTheFirstWait(Executor):
    """With the first answer to a wait a process is gone: its id, its code, and the output that nobody has read."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._told: dict[tuple[str, str], None] = {}

    def process(self, container: str, process: str) -> ProcessIo:
        self.model.container(container)
        if (container, process or container) in self._told:
            raise NotFound(f"process {process or container!r}: no such process", process=process or container)
        return super().process(container, process)

    async def wait(self, container: str, process: str) -> ExitStatus:
        status = await super().wait(container, process)
        await self._forget(container, process or container)
        return status

    async def _forget(self, container: str, process: str) -> None:
        cell = self._cells.get(container)
        if cell is None or process not in cell.processes or (container, process) in self._told:
            return
        self._told[container, process] = None
        found = cell.processes[process]
        if process != container:
            # its id may be used again
            del cell.processes[process], self.model.container(container).processes[process]
        await found.aclose()

    async def exec(self, container: str, process: str, document: Process) -> None:
        self._told.pop((container, process), None)
        await super().exec(container, process, document)

    async def remove(self, container: str) -> None:
        await super().remove(container)
        for told in [told for told in self._told if told[0] == container]:
            del self._told[told]


class Slow(Meddler):
    """A channel on which every read takes its time."""

    def __init__(self, inner: trio.abc.Stream, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = await super().receive_some(max_bytes)
        await trio.sleep(self._seconds)
        return data


def is_terminal(process: ProcessIo) -> bool:
    """Whether it has a terminal."""
    return process.engine.stderr is None


def unread_input(process: EngineProcess) -> int:
    """Bytes that lie in its input's pipe."""
    if isinstance(process, SimulatedProcess):
        file: Any = process.process.files.get(0)
        return len(file._pipe.buffer) if hasattr(file, "_pipe") else 0
    stdin = cast("RealProcess", process).stdin
    try:
        return int.from_bytes(fcntl.ioctl(stdin.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)
    except (OSError, trio.ClosedResourceError):
        return 0


def wipe(engine: Engine, container: str, root: str, options: Options) -> None:
    """Remove every file of a container's root."""
    if isinstance(engine, SimulatedEngine):
        tree: Any = engine._containers[container].container.tree  # nobody but a double takes a disk away
        tree._image, tree._programs = {}, {}
        tree._written.clear()
    elif options.harms_roots:
        for entry in Path(root).iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    else:
        print(f"the real agent would have emptied {root}", file=sys.stderr, flush=True)
