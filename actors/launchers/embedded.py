"""Guests on this machine: one process each, in its own run directory; and the images that they run.

For systems of the embedded world. The inside of a guest is `actors.guest`, which runs in the
spawned process.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.agents.base import Channels
from actors.errors import GuestDied, NotFound, ResourceExhausted
from actors.images.store import ARCHIVES
from actors.launchers.templates import open_template
from actors.limits import guest_words
from actors.node.exhaustion import is_exhaustion
from actors.node.protocols import Channel, GuestProtocol
from actors.node.rundir import RunDirectory, held_log, sweep_directory
from transports.errors import Exhausted, TransportError
from transports.stream import dial_with_backoff, unix_dialer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from pathlib import Path

    from actors.images.store import ImageStore
    from actors.launchers.forked import Launcher
    from actors.launchers.template import GuestTemplate
    from actors.limits import Limits
    from actors.seams import Seams

__all__ = ["EmbeddedGuest", "EmbeddedGuests", "EmbeddedImages", "open_guests"]

_log = logging.getLogger("katrio")

# an orderly shutdown, and more than the 10 s after which the launcher kills a guest: if the launcher were killed then,
# nobody would wait for the guest's death
ENDING_SECONDS = 15.0
LOG_TAIL_BYTES = 2000
# a forked guest answers within some tens of ms, and a look costs a tenth of one
FIRST_LOOK, LONGEST_LOOK = 0.002, 0.004
# archives examined or unpacked concurrently: the process's threads are needed elsewhere too
IMAGES_AT_ONCE = 8


@asynccontextmanager
async def open_guests(
    *,
    run_root: Path,
    engine: str,
    environment: Mapping[str, str],
    seams: Seams,
    limits: Limits,
    protocol: GuestProtocol = GuestProtocol.TTRPC,
    template: Sequence[str] = ("actors.guest.template",),
) -> AsyncGenerator[EmbeddedGuests]:
    """Guests below `run_root`, and the template that they are forked from, which ends with the block.

    `template`: its module, and arguments before the template's own.

    Raises: InvalidArgument, when `limits` are impossible for a guest.
    """
    # never import from the working directory
    argv = [seams.processes.own_interpreter(), "-P", "-m", *template, "--engine", engine, "--protocol", protocol]
    argv += [word for limit in guest_words(limits) for word in ("--limit", limit)]
    async with open_template(argv, environment=environment, processes=seams.processes) as opened:
        yield EmbeddedGuests(opened, run_root=run_root, seams=seams, limits=limits, protocol=protocol)


class EmbeddedGuests:
    """Launches guests; see `open_guests`, and `actors.sandbox.GuestLauncher`."""

    def __init__(
        self, template: GuestTemplate, *, run_root: Path, seams: Seams, limits: Limits, protocol: GuestProtocol
    ) -> None:
        self._template = template
        self._run_root = run_root
        self._seams = seams
        self._limits = limits
        self._protocol = protocol
        self._directories: dict[str, RunDirectory] = {}
        # by sandbox, once its guest answers
        self._running: dict[str, tuple[Launcher, EmbeddedGuest]] = {}

    def directory(self, sandbox: str) -> RunDirectory:
        """The run directory of a running sandbox. Raises: NotFound."""
        found = self._directories.get(sandbox)
        if found is None:
            raise NotFound(f"no guest runs for sandbox {sandbox!r}")
        return found

    async def kill(self, sandbox: str) -> None:
        """Kill a running sandbox's guest, and wait until its death is noticed. Raises: NotFound."""
        launcher, guest = self._running.get(sandbox, (None, None))
        if launcher is None or guest is None or not launcher.kill_guest():
            raise NotFound(f"no guest runs for sandbox {sandbox!r}")
        await guest.wait_gone()

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[EmbeddedGuest]) -> None:
        directory = RunDirectory(self._run_root / self._seams.ids.fresh(sandbox))
        with ExitStack() as held:
            try:
                held.enter_context(held_log(directory))
                launcher = await self._fork(directory)
            except OSError as error:
                # its log may exist already
                sweep_directory(directory.path)
                failed = ResourceExhausted if is_exhaustion(error) else GuestDied
                raise failed(f"sandbox {sandbox!r}: its guest can't be started: {error}") from error
            await self._run(sandbox, directory, launcher, task_status)

    async def _fork(self, directory: RunDirectory) -> Launcher:
        """Raises: OSError, GuestDied."""
        try:
            return await self._template.fork(directory.log, seconds=self._limits.guest_start_seconds)
        except (GuestDied, trio.Cancelled):
            # nothing was begun but the log
            sweep_directory(directory.path)
            raise

    async def _run(
        self,
        sandbox: str,
        directory: RunDirectory,
        launcher: Launcher,
        task_status: trio.TaskStatus[EmbeddedGuest],
    ) -> None:
        self._directories[sandbox] = directory
        guest = EmbeddedGuest(self._channels(directory), launcher)
        try:
            launcher.begin(sandbox, directory.path)
            await self._until_it_answers(guest, launcher, directory)
            self._running[sandbox] = launcher, guest
            task_status.started(guest)
            code = await launcher.wait()
            guest.tell_gone(f"its process ended with code {code}{self._log_tail(directory)}")
        finally:
            self._running.pop(sandbox, None)
            with trio.CancelScope(shield=True):
                await self._end(launcher, directory)
            guest.tell_gone("it was ended")
            del self._directories[sandbox]

    def _channels(self, directory: RunDirectory) -> Channels:
        dialers = {channel: unix_dialer(str(path)) for channel, path in directory.sockets.items()}
        if self._protocol is GuestProtocol.HYPERSTART:
            return Channels(dialers[Channel.CONTROL], dialers[Channel.STREAMS])
        return Channels(dialers[Channel.AGENT])

    async def _until_it_answers(self, guest: EmbeddedGuest, launcher: Launcher, directory: RunDirectory) -> None:
        """Dial until it answers; if the guest dies first, fails at once with the guest's own error text."""
        answered = False
        failure = ""

        async def watch(scope: trio.CancelScope) -> None:
            await launcher.wait()
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, nursery.cancel_scope)
            try:
                stream = await dial_with_backoff(
                    guest.channels.agent,
                    seconds=self._limits.guest_start_seconds,
                    first_pause=FIRST_LOOK,
                    longest_pause=LONGEST_LOOK,
                )
            except Exhausted as error:
                raise ResourceExhausted(f"the guest can't be reached: {error}") from error
            except TransportError as error:
                failure = str(error)
            else:
                answered = True
                await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()
        if not answered:
            code = launcher.poll()
            failure = f"it did not answer in time: {failure}" if code is None else f"it ended with code {code}"
            raise GuestDied(f"the guest did not come up: {failure}{self._log_tail(directory)}")

    async def _end(self, launcher: Launcher, directory: RunDirectory) -> None:
        """Shut it down in order, then by force; sweep whatever is left."""
        launcher.close_lifeline()
        with trio.move_on_after(ENDING_SECONDS) as ending:
            await launcher.wait()
        if ending.cancelled_caught:
            _log.warning("the guest in %s did not end within %g s: it is killed", directory.path, ENDING_SECONDS)
        launcher.kill()
        await launcher.wait()
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

    def __init__(self, channels: Channels, launcher: Launcher) -> None:
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
        self._launcher.kill_guest()


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
