"""Shortcuts for containers and processes in kata cases.

Reading is bounded, in bytes and by the case's time limit: an agent may misreport an end, or never report one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from actors.conformance.case import FallsShort
from actors.conformance.expect import is_loss, shown
from actors.errors import AgentProtocolError, KatrioError, Unsupported

if TYPE_CHECKING:
    from actors.conformance.kata_calls import KataCalls

__all__ = ["ALIVE", "Container", "Finished", "Process", "at_most", "check_alive_output"]

# computed, so that an agent can't just echo the request
ALIVE = "echo alive-$((6 * 7))"
READ_BYTES = 32 * 1024
# a pipe may already contain many small lines when its writer stops
_SETTLING_READS = 12
# error texts of Rust and Go for the end of a terminal whose processes have ended
_TERMINAL_ENDS = ("eio", "i/o error", "input/output error")
# of one output in one case: more than any case prints
COLLECTED_BYTES = 8 * 1024 * 1024


class Finished(NamedTuple):
    """The result of a process."""

    stdout: bytes
    stderr: bytes
    code: int


@dataclass(frozen=True)
class Process:
    """One process of a container; the init has the container's id. `until` and `rest` take a terminal's EIO for end of file:
    how an agent reports that is tested in one case, and must not affect others."""

    kata: KataCalls
    container: str
    id: str
    tty: bool = False

    async def _call(self, method: str, **fields: Any) -> Any:
        return await self.kata.call(method, container_id=self.container, exec_id=self.id, **fields)

    async def read(self, stream: str = "ReadStdout", size: int = READ_BYTES) -> bytes:
        """1 to `size` bytes; empty at end of file. Raises: FallsShort if the agent sends more than requested."""
        data: bytes = (await self._call(stream, len=size)).data
        if len(data) > size:
            raise FallsShort(f"at most {size} bytes from {stream}", f"{len(data)} bytes")
        return data

    async def _piece(self, stream: str) -> bytes:
        try:
            return await self.read(stream)
        except KatrioError as error:
            if self.tty and _is_terminal_end(error):
                return b""
            raise

    async def until(self, marker: bytes | str, stream: str = "ReadStdout") -> bytes:
        """Its output up to and including `marker`, and what follows in the same read. Raises: FallsShort."""
        wanted = marker.encode() if isinstance(marker, str) else marker
        seen = b""
        while wanted not in seen:
            data = await self._piece(stream)
            if not data:
                raise FallsShort(f"{shown(wanted)} in its output", f"the end after {shown(seen)}")
            seen = at_most(seen + data)
        return seen

    async def rest(self, stream: str = "ReadStdout") -> bytes:
        """The rest of its output."""
        seen = bytearray()
        while data := await self._piece(stream):
            seen += data
            at_most(seen)
        return bytes(seen)

    async def silent(self, seconds: float) -> bool:
        """Whether it prints nothing for that long. Later bytes may be lost with the cancelled read."""
        with trio.move_on_after(seconds * self.kata.slow):
            return not await self.read()
        return True

    async def settled(self, seconds: float = 0.6) -> None:
        """Read until nothing comes for that long. Raises: FallsShort if it does not stop."""
        data = b""
        for _ in range(_SETTLING_READS):
            with trio.move_on_after(seconds * self.kata.slow) as bound:
                data = await self.read()
            if bound.cancelled_caught:
                return
            if not data:
                raise FallsShort("a process that stands still", "the end of its output")
        raise FallsShort(f"no output for {seconds:g} s", f"it goes on: {shown(data)}")

    async def finish(self) -> Finished:
        """Read both outputs to end of file, then wait: in this order no agent loses output."""
        outputs: dict[str, bytes] = {}

        async def collect(stream: str) -> None:
            outputs[stream] = await self.rest(stream)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, "ReadStdout")
            nursery.start_soon(collect, "ReadStderr")
        return Finished(outputs["ReadStdout"], outputs["ReadStderr"], await self.wait())

    async def write(self, data: bytes) -> int:
        """The number of bytes written, according to the agent."""
        return int((await self._call("WriteStdin", data=data)).len)

    async def close_stdin(self) -> None:
        await self._call("CloseStdin")

    async def signal(self, number: int) -> None:
        await self._call("SignalProcess", signal=number)

    async def resize(self, rows: int, columns: int) -> None:
        await self._call("TtyWinResize", row=rows, column=columns)

    async def wait(self) -> int:
        return int((await self._call("WaitProcess")).status)

    async def still_tells(self, code: int) -> None:
        """A repeated wait returns the same, or nothing from an agent that forgets (`wait.again` tests that).

        Raises: FallsShort.
        """
        try:
            seen = await self.wait()
        except KatrioError as error:
            if is_loss(error) or isinstance(error, AgentProtocolError):
                raise
            return
        if seen != code:
            raise FallsShort(f"exit code {code} from a second wait", shown(seen))


@dataclass(frozen=True)
class Container:
    """One container."""

    kata: KataCalls
    id: str
    tty: bool = False

    @property
    def init(self) -> Process:
        return Process(self.kata, self.id, self.id, self.tty)

    async def start(self) -> None:
        await self.kata.call("StartContainer", container_id=self.id)

    async def pause(self) -> None:
        await self.kata.call("PauseContainer", container_id=self.id)

    async def resume(self) -> None:
        await self.kata.call("ResumeContainer", container_id=self.id)

    async def kill_all(self, number: int = 9) -> None:
        """Signal all processes: with an empty exec id, as the API encodes it."""
        await self.kata.call("SignalProcess", container_id=self.id, exec_id="", signal=number)

    async def remove(self) -> None:
        await self.kata.call("RemoveContainer", container_id=self.id)

    async def exec(self, *args: str, named: str = "", **options: Any) -> Process:
        """Start another process; `options` as in `KataCalls.process`."""
        process = Process(self.kata, self.id, named or self.kata.fresh("ex"), options.get("tty", False))
        wanted = self.kata.process(*args, **options)
        await self.kata.call("ExecProcess", container_id=self.id, exec_id=process.id, process=wanted)
        return process

    async def spawn(self, script: str, **options: Any) -> Process:
        """Start `sh -c SCRIPT` in it."""
        return await self.exec("sh", "-c", script, **options)

    async def sh(self, script: str, **options: Any) -> Finished:
        """The same, run to its end."""
        return await (await self.spawn(script, **options)).finish()

    async def check_alive(self) -> None:
        """An exec in it succeeds. Raises: FallsShort."""
        check_alive_output(await self.sh(ALIVE))


def check_alive_output(seen: Finished) -> None:
    """The output of `ALIVE` is right. Raises: FallsShort."""
    if seen.stdout != b"alive-42\n":
        raise FallsShort("an exec in the container prints alive-42", shown(seen.stdout))


def _is_terminal_end(error: KatrioError) -> bool:
    """By its text: no agent has a code for it."""
    if is_loss(error) or isinstance(error, AgentProtocolError | Unsupported):
        return False
    return any(words in error.message.lower() for words in _TERMINAL_ENDS)


def at_most(seen: bytes | bytearray) -> bytes:
    """Check the size of an output being collected. Raises: FallsShort if it has no end."""
    if len(seen) > COLLECTED_BYTES:
        raise FallsShort(f"an output of less than {COLLECTED_BYTES} bytes", f"{len(seen)} bytes and no end")
    return bytes(seen) if isinstance(seen, bytearray) else seen
