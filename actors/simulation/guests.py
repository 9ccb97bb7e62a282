"""Simulated guests: the guest's real executor and service over a simulated engine, as tasks of the same run.

The simulated world launches one per sandbox and can kill it. Instead of a guest process there is a
shielded task: asked to end, it shuts down in order; killed, it vanishes with everything that ran in it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.agents.base import Channels
from actors.errors import NotFound
from actors.guest.compose import Composed, compose
from actors.guest.platform import BarePlatform
from actors.node.protocols import Channel, GuestProtocol
from actors.simulation.links import stream_pair
from transports.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.limits import Limits
    from actors.seams import Rng
    from actors.simulation.engine import SimulatedEngine
    from transports.base import Dialer

__all__ = ["SimulatedGuests"]

# time from a guest's start until its socket exists, drawn from this range
_BOOT_SECONDS = (0.02, 0.2)
# as for a real guest, see `actors.guest.serve`
_ENDING_SECONDS = 8.0


class SimulatedGuests:
    """Launches guests; see `actors.sandbox.GuestLauncher`.

    Args:
        make_engine: makes the engine of a sandbox, by its name.
        rng: for boot times and links.
        note: called with all bytes read on a link, and the link's name.

    Attributes:
        bugs: unexpected exceptions from a guest's handlers, with the call; the caller got INTERNAL.
    """

    def __init__(
        self,
        make_engine: Callable[[str], SimulatedEngine],
        *,
        rng: Rng,
        note: Callable[[str, bytes], None],
        limits: Limits,
        protocol: GuestProtocol = GuestProtocol.TTRPC,
    ) -> None:
        self._make_engine = make_engine
        self._rng = rng
        self._note = note
        self._limits = limits
        self._protocol = protocol
        self._guests: dict[str, _Guest] = {}
        self.bugs: list[tuple[str, Exception]] = []

    def engine(self, sandbox: str) -> SimulatedEngine:
        """The engine of a sandbox. Raises: NotFound."""
        return self._guest(sandbox).engine

    def kill(self, sandbox: str) -> None:
        """End its guest at once, with everything that runs in it and without notice. Raises: NotFound."""
        self._guest(sandbox).kill("its guest was killed")

    def _guest(self, sandbox: str) -> _Guest:
        found = self._guests.get(sandbox)
        if found is None:
            raise NotFound(f"no guest runs for sandbox {sandbox!r}")
        return found

    def _complain(self, service: str, method: str, error: Exception) -> None:
        self.bugs.append((f"{service}/{method}", error))

    async def __call__(self, sandbox: str, *, task_status: trio.TaskStatus[_Guest]) -> None:
        """See `actors.sandbox.GuestLauncher`."""
        await trio.sleep(self._rng.uniform(*_BOOT_SECONDS))
        engine = self._make_engine(sandbox)
        platform = _Platform(engine)
        composed = compose(engine, self._limits, version="katrio simulated", platform=platform, on_error=self._complain)
        guest = _Guest(sandbox, engine, composed, self._protocol, self._rng, self._note)
        self._guests[sandbox] = guest
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(guest.run, name=f"{sandbox}:machine")
                task_status.started(guest)
                try:
                    await guest.wait_gone()
                finally:
                    guest.terminate()
        finally:
            del self._guests[sandbox]


class _Platform(BarePlatform):
    """A machine whose hostname its containers see."""

    def __init__(self, engine: SimulatedEngine) -> None:
        super().__init__()
        self._engine = engine

    def set_hostname(self, name: str) -> None:
        self._engine.set_hostname(name)


class _Guest:
    """See `actors.sandbox.Guest`."""

    def __init__(
        self,
        sandbox: str,
        engine: SimulatedEngine,
        composed: Composed,
        protocol: GuestProtocol,
        rng: Rng,
        note: Callable[[str, bytes], None],
    ) -> None:
        self.engine = engine
        self._sandbox = sandbox
        self._rng = rng
        self._note = note
        self._executor = composed.executor
        self._face = composed.servers[protocol]
        self._links: trio.Nursery | None = None
        self._dialled = 0
        self._asked_to_end = trio.Event()
        self._power = trio.CancelScope()
        self._reason = "its guest has ended"
        self._gone = trio.Event()

    @property
    def channels(self) -> Channels:
        """See `actors.sandbox.Guest`."""
        if Channel.CONTROL in self._face.channels:
            return Channels(self._dialer(Channel.CONTROL), self._dialer(Channel.STREAMS))
        return Channels(self._dialer(Channel.AGENT))

    async def wait_gone(self) -> str:
        """See `actors.sandbox.Guest`."""
        await self._gone.wait()
        return self._reason

    def terminate(self) -> None:
        """Like SIGTERM."""
        self._asked_to_end.set()

    def kill(self, reason: str = "it was killed") -> None:
        """Like SIGKILL."""
        self._reason = reason
        self._power.cancel()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """The whole guest, until it is terminated or killed.

        A call that changes state is not interrupted, not even by a kill: the nursery of its tasks ends after it.
        """
        executor = self._executor
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                await nursery.start(executor.run)
                await nursery.start(self._face.run)
                with self._power:
                    async with trio.open_nursery() as links:
                        self._links = links
                        task_status.started()
                        try:
                            await self._asked_to_end.wait()
                        finally:
                            self._links = None
                        links.cancel_scope.cancel()
                    with trio.move_on_after(_ENDING_SECONDS):
                        await executor.destroy()
                nursery.cancel_scope.cancel()
        self._gone.set()

    def _dialer(self, channel: Channel) -> Dialer:
        return partial(self._dial, self._face.channels[channel])

    async def _dial(self, serve: Callable[[trio.abc.Stream], Awaitable[None]]) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self._links is None:
            raise Unreachable(f"the guest of sandbox {self._sandbox!r} does not listen")
        self._dialled += 1
        name = f"{self._sandbox}#{self._dialled}"
        ours, theirs = stream_pair(name, self._rng, self._note)
        self._links.start_soon(serve, theirs, name=f"{name}:server")
        return ours
