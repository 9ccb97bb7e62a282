"""Guests on this machine: one process each, in its own run directory; and the images that they run.

For systems of the embedded world. The inside of a guest is `actors.guest`, which runs in the
spawned process.
"""

from __future__ import annotations

import logging
import signal
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.agents.base import Channels
from actors.errors import GuestDied, NotFound, ResourceExhausted
from actors.images.store import ARCHIVES
from actors.limits import guest_words
from actors.node.exhaustion import is_exhaustion
from actors.node.faults import kill_guest
from actors.node.protocols import Channel, GuestProtocol
from actors.node.rundir import RunDirectory, held_log, sweep_directory
from transports.errors import Exhausted, TransportError
from transports.stream import dial_with_backoff, unix_dialer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from actors.images.store import ImageStore
    from actors.limits import Limits
    from actors.seams import ChildProcess, Seams

__all__ = ["EmbeddedGuest", "EmbeddedGuests", "EmbeddedImages"]

_log = logging.getLogger("katrio")

# an orderly shutdown, and more than the 10 s after which the launcher kills a guest: if the launcher were killed then,
# nobody would wait for the guest's death
ENDING_SECONDS = 15.0
LOG_TAIL_BYTES = 2000
# archives examined or unpacked concurrently: the process's threads are needed elsewhere too
IMAGES_AT_ONCE = 8


class EmbeddedGuests:
    """Launches guests below `run_root`; see `actors.sandbox.GuestLauncher`.

    `launcher`: its module, and arguments before the launcher's own.

    Raises: InvalidArgument, when `limits` are impossible for a guest.
    """

    def __init__(
        self,
        *,
        run_root: Path,
        engine: str,
        environment: Mapping[str, str],
        seams: Seams,
        limits: Limits,
        protocol: GuestProtocol = GuestProtocol.TTRPC,
        launcher: Sequence[str] = ("actors.guest.launch",),
    ) -> None:
        self._launcher = launcher
        self._run_root = run_root
        self._engine = engine
        self._environment = environment
        self._seams = seams
        self._limits = limits
        self._limit_words = [word for told in guest_words(limits) for word in ("--limit", told)]
        self._protocol = protocol
        self._directories: dict[str, RunDirectory] = {}
        # by sandbox: its launcher process, and its guest once that answers
        self._running: dict[str, tuple[ChildProcess, EmbeddedGuest]] = {}

    def directory(self, sandbox: str) -> RunDirectory:
        """The run directory of a running sandbox. Raises: NotFound."""
        found = self._directories.get(sandbox)
        if found is None:
            raise NotFound(f"no guest runs for sandbox {sandbox!r}")
        return found

    async def kill(self, sandbox: str) -> None:
        """Kill a running sandbox's guest, and wait until its death is noticed. Raises: NotFound."""
        if sandbox not in self._running:
            raise NotFound(f"no guest runs for sandbox {sandbox!r}")
        launcher, guest = self._running[sandbox]
        kill_guest(launcher.pid)
        await guest.wait_gone()

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[EmbeddedGuest]) -> None:
        directory = RunDirectory(self._run_root / self._seams.ids.fresh(sandbox))
        with ExitStack() as held:
            try:
                held.enter_context(held_log(directory))
                child = await self._spawn(sandbox, directory)
            except OSError as error:
                # its log may exist already
                sweep_directory(directory.path)
                failed = ResourceExhausted if is_exhaustion(error) else GuestDied
                raise failed(f"sandbox {sandbox!r}: its guest can't be started: {error}") from error
            await self._run(sandbox, directory, child, task_status)

    async def _run(
        self,
        sandbox: str,
        directory: RunDirectory,
        child: ChildProcess,
        task_status: trio.TaskStatus[EmbeddedGuest],
    ) -> None:
        self._directories[sandbox] = directory
        guest = EmbeddedGuest(self._channels(directory), child.pid)
        try:
            await self._until_it_answers(guest, child, directory)
            self._running[sandbox] = child, guest
            task_status.started(guest)
            code = await child.wait()
            guest.tell_gone(f"its process ended with code {code}{self._log_tail(directory)}")
        finally:
            self._running.pop(sandbox, None)
            with trio.CancelScope(shield=True):
                await self._end(child, directory)
            guest.tell_gone("it was ended")
            del self._directories[sandbox]

    def _channels(self, directory: RunDirectory) -> Channels:
        dialers = {channel: unix_dialer(str(path)) for channel, path in directory.sockets.items()}
        if self._protocol is GuestProtocol.HYPERSTART:
            return Channels(dialers[Channel.CONTROL], dialers[Channel.STREAMS])
        return Channels(dialers[Channel.AGENT])

    async def _spawn(self, sandbox: str, directory: RunDirectory) -> ChildProcess:
        """Raises: OSError."""
        argv = [
            self._seams.processes.own_interpreter(),
            # never import from the working directory
            "-P",
            "-m",
            *self._launcher,
            "--sandbox",
            sandbox,
            "--directory",
            str(directory.path),
            "--engine",
            self._engine,
            "--protocol",
            self._protocol,
            *self._limit_words,
        ]
        return await self._seams.processes.spawn(argv, env=self._environment, log=directory.log)

    async def _until_it_answers(self, guest: EmbeddedGuest, child: ChildProcess, directory: RunDirectory) -> None:
        """Dial until it answers; if the guest dies first, fails at once with the guest's own error text."""
        answered = False
        failure = ""

        async def watch(scope: trio.CancelScope) -> None:
            await child.wait()
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, nursery.cancel_scope)
            try:
                stream = await dial_with_backoff(guest.channels.agent, seconds=self._limits.guest_start_seconds)
            except Exhausted as error:
                raise ResourceExhausted(f"the guest can't be reached: {error}") from error
            except TransportError as error:
                failure = str(error)
            else:
                answered = True
                await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()
        if not answered:
            code = child.poll()
            failure = f"it did not answer in time: {failure}" if code is None else f"it ended with code {code}"
            raise GuestDied(f"the guest did not come up: {failure}{self._log_tail(directory)}")

    async def _end(self, child: ChildProcess, directory: RunDirectory) -> None:
        """Shut it down in order, then by force; sweep whatever is left."""
        child.close_lifeline()
        with trio.move_on_after(ENDING_SECONDS) as ending:
            await child.wait()
        if ending.cancelled_caught:
            _log.warning("the guest in %s did not end within %g s: it is killed", directory.path, ENDING_SECONDS)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        try:
            await self._seams.threads.run(partial(sweep_directory, directory.path))
        except OSError as error:
            # the launcher has swept before it exited; a later sweep finds the rest
            _log.warning("the guest's directory %s could not be looked at: %s", directory.path, error)

    def _log_tail(self, directory: RunDirectory) -> str:
        try:
            text = self._seams.files.read(directory.log)[-LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
        except OSError:
            return ""
        return f"; the last it said: {text}" if text else ""


class EmbeddedGuest:
    """See `actors.sandbox.Guest`."""

    def __init__(self, channels: Channels, launcher: int) -> None:
        self.channels = channels
        self._launcher = launcher
        self._gone = trio.Event()
        self._reason = ""

    def tell_gone(self, reason: str) -> None:
        """Its process has ended; the first caller's reason counts."""
        self._reason = self._reason or reason
        self._gone.set()

    async def wait_gone(self) -> str:
        """See `actors.sandbox.Guest`."""
        await self._gone.wait()
        return self._reason

    def kill(self) -> None:
        """See `actors.sandbox.Guest`."""
        with suppress(NotFound):
            kill_guest(self._launcher)


class EmbeddedImages:
    """Unpacked roots on this host; see `actors.sandbox.Images`."""

    def __init__(self, store: ImageStore, seams: Seams) -> None:
        self._store = store
        self._seams = seams
        self._at_once = trio.CapacityLimiter(IMAGES_AT_ONCE)

    async def resolve(self, image: str, *, spoilt: bool) -> str:
        """See `actors.sandbox.Images`. A cancel stops the unpacking, and removes what there is of it."""
        # cached roots must not wait behind archives that are slow to unpack
        async with self._at_once if image.startswith(ARCHIVES) else nullcontext():
            return str(await self._seams.threads.run(partial(self._store.resolve, image)))

    async def release(self, rootfs: str) -> None:
        """Roots are shared and read-only: nothing to do."""
