"""hyperstart's API 4244 over the executor: the control and the stream channel of one pod.

Serves two byte streams to a hyperstart host. Where a real guest would crash on bad input, this one answers
ERROR or closes; what it can't do it answers with ERROR, as a real one answers any unknown code. Process input is in
`hyperstart_process`, states in the executor.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVarTuple, Unpack

import trio

from actors.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidTransition,
    KatrioError,
    NotFound,
    ResourceExhausted,
    Unsupported,
)
from actors.guest.services.hyperstart_bodies import oci_process, oci_spec
from actors.guest.services.hyperstart_process import LiveProcess
from actors.node.exhaustion import told_when_exhausted
from actors.nurseries import Background
from actors.wire.fields import check_signal
from actors.wire.spec import ExitStatus, TerminalSize
from transports.errors import LocalProtocolError, RemoteProtocolError
from transports.hyperstart import messages
from transports.hyperstart.codec import Code, command_name
from transports.hyperstart.control import GuestControl
from transports.hyperstart.streams import GuestStreams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from actors.guest.executor import Executor
    from actors.guest.platform import Platform
    from actors.guest.process_io import ProcessIo
    from actors.limits import Limits
    from transports.hyperstart.control import Command

__all__ = ["HyperstartService"]

Ts = TypeVarTuple("Ts")

API_VERSION = 4244
SIGTERM, SIGKILL = 15, 9
# the protocol has one pod, without a name
POD = "pod"
# hosts of one channel that may queue for their predecessor to disconnect: a restarted one, not a crowd
WAITING_HOSTS = 4
_KILL_ERRORS: tuple[tuple[type[KatrioError], bytes], ...] = (
    (NotFound, b"no such container\0"),
    (InvalidArgument, b"invalid signal\0"),
)


class HyperstartService:
    """Start `run` first; then `serve_control` and `serve_streams`, each with one connection at a time.

    A second host waits until the first has disconnected, as on the serial port of a VM.

    Args:
        share: the directory that stands for a real guest's /tmp/hyper/shared.
        on_error: called with service, method and an unexpected exception; only that command is refused, nothing else
        is affected.
    """

    live_process: type[LiveProcess] = LiveProcess

    def __init__(
        self,
        executor: Executor,
        limits: Limits,
        *,
        platform: Platform,
        share: str,
        on_error: Callable[[str, str, Exception], None],
    ) -> None:
        self._on_error = on_error
        self._executor = executor
        self._limits = limits
        self._platform = platform
        self._share = share
        self._control = GuestControl()
        self._streams = GuestStreams()
        self._control_stream: trio.abc.Stream | None = None
        self._streams_stream: trio.abc.Stream | None = None
        self._streams_up = trio.Event()
        self._control_host, self._streams_host = trio.Lock(), trio.Lock()
        self._control_turn, self._streams_turn = trio.Lock(), trio.Lock()
        self._background = Background()
        self._live: dict[tuple[str, str], LiveProcess] = {}
        self._inits: dict[str, LiveProcess] = {}
        self._changed = trio.lowlevel.ParkingLot()
        # ends of processes while no host was connected
        self._untold: list[tuple[str, str, int]] = []

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run one task per process, until cancelled."""
        async with self._background.open():
            task_status.started()
            await trio.sleep_forever()

    # channels

    async def serve_control(self, stream: trio.abc.Stream) -> None:
        """Serve one host's commands, in order."""
        async with stream, _turn(self._control_host) as taken:
            if taken:
                await self._obey_host(stream)

    async def _obey_host(self, stream: trio.abc.Stream) -> None:
        self._control_stream, self._control = stream, GuestControl()
        untold, self._untold = self._untold, []
        for ended in untold:
            self._control.tell_finished(*ended)
        try:
            await self._flush_control()
            while self._control.failure is None and (data := await _receive(stream)):
                self._control.receive_data(data)
                while (command := self._control.next_command()) is not None:
                    await self._flush_control()
                    await self._obey(command)
                await self._flush_control()
        finally:
            self._control_stream = None

    async def serve_streams(self, stream: trio.abc.Stream) -> None:
        """Serve one host's stream channel."""
        async with stream, _turn(self._streams_host) as taken:
            if taken:
                await self._carry_streams(stream)

    async def _carry_streams(self, stream: trio.abc.Stream) -> None:
        self._streams_stream = stream
        self._streams.begin_host()
        self._streams_up.set()
        try:
            while self._streams.failure is None and (data := await _receive(stream)):
                for sequence, payload in self._streams.receive_data(data):
                    for process in self._live.values():
                        if process.stdio == sequence:
                            process.put_input(payload)
                await self._flush_streams()
        finally:
            self._streams_stream = None
            self._streams_up = trio.Event()

    async def _flush_control(self) -> None:
        async with self._control_turn:
            if self._control_stream is not None:
                await _send(self._control_stream, self._control.data_to_send())

    async def _flush_streams(self) -> None:
        async with self._streams_turn:
            if self._streams_stream is not None:
                await _send(self._streams_stream, self._streams.data_to_send())

    # commands

    async def _obey(self, command: Command) -> None:
        if command.code == Code.DESTROYPOD:
            self._control.defer(command)
            self._go_on_with("DESTROYPOD", self._destroy, self._control, command)
            return
        table: dict[int, Callable[[bytes], Awaitable[bytes]]] = {
            Code.GETVERSION: self._version,
            Code.PING: self._nothing,
            Code.READY: self._nothing,
            Code.STARTPOD: self._start_pod,
            Code.NEWCONTAINER: self._new_container,
            Code.EXECCMD: self._exec,
            Code.KILLCONTAINER: self._kill_container,
            Code.SIGNALPROCESS: self._signal_process,
            Code.WINSIZE: self._winsize,
        }
        method = table.get(command.code)
        try:
            if method is None:
                raise Unsupported(f"code {command.code}")
            with told_when_exhausted(f"code {command.code}"):
                self._control.answer(command, await method(command.payload))
        except Exception as error:
            self._heed(command_name(command.code), error)
            self._control.answer(command, _refusal(command.code, error), accepted=False)
        await self._flush_control()

    def _heed(self, what: str, error: Exception) -> None:
        """The protocol's refusals carry no text. Anything but a refusal is an internal error, and is logged."""
        if not isinstance(error, (KatrioError, RemoteProtocolError, trio.TooSlowError)):
            self._on_error("hyperstart", what, error)

    def _go_on_with(self, what: str, act: Callable[[Unpack[Ts]], Awaitable[None]], *args: *Ts) -> None:
        """Start a background task; an exception in it is logged and affects nothing else."""

        async def apart() -> None:
            try:
                await act(*args)
            except Exception as error:
                self._on_error("hyperstart", what, error)

        self._background.start_soon(apart)

    async def _version(self, _: bytes) -> bytes:
        return API_VERSION.to_bytes(4)

    async def _nothing(self, _: bytes) -> bytes:
        return b""

    async def _start_pod(self, payload: bytes) -> bytes:
        body = messages.decode_json(payload, messages.Pod)
        if body.shareDir:
            raise Unsupported("STARTPOD: this guest has its share already; leave shareDir out", field="shareDir")
        if not 0 < len(body.hostname.encode()) <= 64 or "\0" in body.hostname:
            raise InvalidArgument(f"hostname {body.hostname[:80]!r}: expected 1 to 64 bytes", field="hostname")
        self._executor.model.create_sandbox(POD)
        self._platform.set_hostname(body.hostname)
        return b""

    async def _new_container(self, payload: bytes) -> bytes:
        body = messages.decode_json(payload, messages.Container)
        if self._executor.model.sandbox is None:
            raise InvalidTransition("NEWCONTAINER before STARTPOD", state="no pod", verb="create_container")
        process = self._reserve(body.id, body.process, name=body.id)
        try:
            await self._executor.create(body.id, oci_spec(body, self._share))
        except InvalidArgument as error:
            return self._never_ran(process, error)
        except BaseException:
            self._forget(process)
            raise
        self._inits[body.id] = process
        self._follow(process)
        try:
            await self._executor.start(body.id)
        except KatrioError:
            # remove it: such a host has no other command for a container that does not run
            await self._executor.remove(body.id)
            raise
        return b""

    async def _exec(self, payload: bytes) -> bytes:
        body = messages.decode_json(payload, messages.Exec)
        if body.container not in self._inits:
            raise NotFound(f"container {body.container[:80]!r}: no such container")
        process = self._reserve(body.container, body.process, name=body.process.id)
        try:
            await self._executor.exec(body.container, process.name, oci_process(body.process))
        except InvalidArgument as error:
            return self._never_ran(process, error)
        except BaseException:
            self._forget(process)
            raise
        self._follow(process)
        return b""

    def _reserve(self, container: str, body: messages.Process, *, name: str) -> LiveProcess:
        """Reserve its id and its sequences. Raises: AlreadyExists, InvalidArgument."""
        init = name == container
        for other in self._live.values():
            same_id = (other.container, other.id) == (container, body.id) or (not init and other.id == body.id)
            if same_id or {other.stdio, other.stderr} & {body.stdio, body.stderr} - {0}:
                raise AlreadyExists(f"process {body.id[:80]!r}: its id or a sequence of it is taken")
        try:
            messages.encode_json(messages.Exec(container=container, process=body))
        except LocalProtocolError as error:
            raise InvalidArgument(str(error), field="process") from None
        process = self.live_process(container, body, name=name, limits=self._limits)
        self._live[process.key] = process
        return process

    def _never_ran(self, process: LiveProcess, error: InvalidArgument) -> bytes:
        """A missing program: accept the command, then report the end as a shell would; any other error is a refusal."""
        if not str(error.details.get("field", "")).endswith("args"):
            self._forget(process)
            raise error
        self._streams.open(process.stdio, process.stderr)
        self._go_on_with("missing program", self._tell_missing, process, f"{error}\n".encode())
        return b""

    async def _tell_missing(self, process: LiveProcess, text: bytes) -> None:
        await self._write_out(process.stderr or process.stdio, text)
        await self._tell_end(process, ExitStatus(127))

    async def _kill_container(self, payload: bytes) -> bytes:
        body = messages.decode_json(payload, messages.Kill)
        init = self._inits.get(body.container)
        if init is None:
            raise NotFound(f"container {body.container[:80]!r}: no such container")
        await self._signal(init, body.signal)
        return b""

    async def _signal_process(self, payload: bytes) -> bytes:
        body = messages.decode_json(payload, messages.SignalProcess)
        await self._signal(self._process(body.container, body.process), body.signal)
        return b""

    async def _winsize(self, payload: bytes) -> bytes:
        body = messages.decode_json(payload, messages.WinSize)
        process = self._process(body.container, body.process)
        self._executor.resize(process.container, process.name, TerminalSize(body.row, body.column))
        return b""

    def _process(self, container: str, process: str) -> LiveProcess:
        found = self._live.get((container, process))
        if found is None:
            raise NotFound(f"process {process[:80]!r} of container {container[:80]!r}: no such process")
        return found

    async def _signal(self, process: LiveProcess, signum: int) -> None:
        # recorded as a possible cause of an exit code of 128 + N
        check_signal(signum)
        if signum:
            process.told_signal(signum)
        await self._executor.signal(process.container, process.name, signum)

    async def _destroy(self, control: GuestControl, command: Command) -> None:
        try:
            await self._end_pod()
        except Exception as error:
            self._heed("DESTROYPOD", error)
            control.answer(command, accepted=False)
            await self._flush_control()
        else:
            await self._say_goodbye(control, command)

    async def _end_pod(self) -> None:
        """SIGTERM to every process, then wait without a time limit."""
        for process in list(self._live.values()):
            # a process that has already ended is fine
            with contextlib.suppress(KatrioError):
                await self._signal(process, SIGTERM)
        while self._live:
            await self._changed.park()
        await self._executor.destroy()

    async def _say_goodbye(self, control: GuestControl, command: Command) -> None:
        """Answer, then close both channels."""
        control.answer(command)
        await self._flush_control()
        streams = self._streams_stream
        if self._control_stream is not None:
            await self._control_stream.aclose()
        # a host takes the end of either channel as the guest's: let one that still reads the answer disconnect by itself
        with trio.move_on_after(self._limits.answer_grace_seconds):
            async with self._streams_host:
                pass
        if streams is not None:
            await streams.aclose()

    # processes

    def _follow(self, process: LiveProcess) -> None:
        self._streams.open(process.stdio, process.stderr)
        io = self._executor.process(process.container, process.name)
        self._go_on_with("process", self._until_end, process, io)

    async def _until_end(self, process: LiveProcess, io: ProcessIo) -> None:
        try:
            await self._carry(process, io)
        except Exception:
            # its end could never be reported, nor its id reused: kill it, and report that
            with contextlib.suppress(KatrioError):
                await self._executor.signal(process.container, process.name, SIGKILL)
            if self._inits.get(process.container) is process:
                await self._end_others(process)
                await self._remove(process)
            await self._tell_end(process, ExitStatus(128 + SIGKILL))
            raise

    async def _carry(self, process: LiveProcess, io: ProcessIo) -> None:
        init = self._inits.get(process.container) is process
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.feed, io)
            async with trio.open_nursery() as outputs:
                outputs.start_soon(self._pump, process.stdio, io.read_stdout)
                if process.stderr:
                    outputs.start_soon(self._pump, process.stderr, io.read_stderr)
                status = await io.wait()
                if init:
                    await self._end_others(process)
            nursery.cancel_scope.cancel()
        if init:
            await self._remove(process)
        await self._tell_end(process, status)

    async def _end_others(self, init: LiveProcess) -> None:
        for other in self._live.values():
            if other.container == init.container and other is not init:
                other.told_signal(SIGKILL)
        # kills also whatever else holds its output
        with contextlib.suppress(KatrioError):
            await self._executor.kill_all(init.container)

    async def _remove(self, init: LiveProcess) -> None:
        """The protocol removes a container when its init ends; the id is free once that is reported."""
        while any(other.container == init.container and other is not init for other in self._live.values()):
            await self._changed.park()
        with contextlib.suppress(KatrioError):
            await self._executor.remove(init.container)
        del self._inits[init.container]

    async def _pump(self, sequence: int, read: Callable[[int], Awaitable[bytes]]) -> None:
        while True:
            try:
                data = await read(self._limits.chunk_bytes)
            except ResourceExhausted:
                continue  # a gap in the output, which the protocol can't express
            if not data:
                return
            await self._write_out(sequence, data)

    async def _write_out(self, sequence: int, data: bytes) -> None:
        # without a host on the channel the process blocks, as on a full pipe
        await self._streams_up.wait()
        self._streams.send_output(sequence, data)
        await self._flush_streams()

    async def _tell_end(self, process: LiveProcess, status: ExitStatus) -> None:
        init = self._inits.get(process.container)
        if init is not None and init.was_sent(SIGKILL):
            # the kernel kills the others of the pid namespace before the init is reaped
            process.told_signal(SIGKILL)
        self._streams.end(process.stdio)
        await self._flush_streams()
        ended = (process.container, process.id, process.told_status(status))
        if self._control_stream is None:
            self._untold.append(ended)
        else:
            self._control.tell_finished(*ended)
            await self._flush_control()
        self._forget(process)

    def _forget(self, process: LiveProcess) -> None:
        """Free its id, and wake an ended init that waits for its container's last process."""
        del self._live[process.key]
        self._changed.unpark_all()


def _refusal(code: int, error: Exception) -> bytes:
    """Empty, except for KILLCONTAINER."""
    if code != Code.KILLCONTAINER:
        return b""
    return next((text for kind, text in _KILL_ERRORS if isinstance(error, kind)), b"kill failed\0")


@contextlib.asynccontextmanager
async def _turn(hosts: trio.Lock) -> AsyncGenerator[bool]:
    """Wait until earlier hosts have disconnected; False when too many are waiting."""
    if hosts.statistics().tasks_waiting >= WAITING_HOSTS:
        yield False
        return
    async with hosts:
        yield True


async def _receive(stream: trio.abc.Stream) -> bytes:
    try:
        return bytes(await stream.receive_some())
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


async def _send(stream: trio.abc.Stream, data: bytes) -> None:
    """A disconnected host is noticed by the reading task."""
    if not data:
        return
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
