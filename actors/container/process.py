"""One process of a container as its actor follows it: both outputs, and how it ended.

The agent's wait is called once for each process and its answer kept, so that any number of waiters, late
ones and cancelled ones get the same. Not for lifecycle: the container actor decides what may be asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.container.output import Output
from actors.errors import AgentUnreachable, GuestDied, KatrioError, NotFound, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.agents.base import AgentConnection
    from actors.limits import Limits
    from actors.wire.spec import ExitStatus

__all__ = ["FollowedProcess"]


class FollowedProcess:
    """A process that the agent runs for us. `name` is how callers call it, `agent_name` how the agent does."""

    def __init__(
        self,
        container: str,
        name: str,
        *,
        tty: bool,
        connection: AgentConnection,
        limits: Limits,
    ) -> None:
        self.name = name
        self.agent_name = name or container
        self.tty = tty
        self.stdout = Output(limits.unread_output_bytes)
        self.stderr = Output(limits.unread_output_bytes)
        self._container = container
        self._connection = connection
        self._limits = limits
        self._status: ExitStatus | None = None
        self._failure: KatrioError | None = None
        self._settled = trio.Event()
        # set once the agent has told the end; what is still read after it is bounded by a grace
        self._reads: list[trio.CancelScope] = []
        self._exited = False

    @property
    def settled(self) -> bool:
        """Whether its end is known, or known to be unknowable."""
        return self._settled.is_set()

    @property
    def exited(self) -> bool:
        """Whether the agent has told its end, though it may not know how."""
        return self._exited

    @property
    def done(self) -> bool:
        """Whether its end is known and its output has ended: the agent is asked nothing more about it."""
        return self.settled and self.stdout.ended and self.stderr.ended

    @property
    def status(self) -> ExitStatus | None:
        """How it ended, once it has."""
        return self._status

    async def wait(self) -> ExitStatus:
        """How it ended.

        Raises:
            OutcomeUnknown: it has ended, and the agent can't tell how (`signal` in the details); or it may have ended.
            GuestDied: that can't be known any more.
        """
        await self._settled.wait()
        if self._status is None:
            assert self._failure is not None
            raise type(self._failure)(self._failure.message, **self._failure.details)
        return self._status

    def lose(self, failure: KatrioError) -> None:
        """Its end can't be known any more; what was read stays readable."""
        if not self._settled.is_set():
            self._failure = failure
            self._settled.set()
        self.stdout.end()
        self.stderr.end()

    async def wait_settled(self) -> None:
        """Wait until its end is known, or known to be unknowable."""
        await self._settled.wait()

    async def follow(self, on_end: Callable[[], None]) -> None:
        """Read its outputs and wait for its end, until both are done. Never raises a KatrioError.

        `on_end` is called once, when its end is settled; output that somebody still reads may go on after it.
        """
        async with trio.open_nursery() as nursery:
            outputs = trio.Event()
            nursery.start_soon(self._pump_all, outputs)
            if not self._connection.keeps_output_after_wait:
                await outputs.wait()
            end = await self._ask_end()
            if end is not None:
                self._exited = True
                for scope in self._reads:
                    scope.deadline = trio.current_time() + self._limits.drain_grace_seconds
                with trio.move_on_after(self._limits.drain_grace_seconds):
                    await outputs.wait()
                if not self._settled.is_set():
                    if isinstance(end, OutcomeUnknown):
                        self._failure = end
                    else:
                        self._status = end
                    self._settled.set()
            on_end()

    async def _ask_end(self) -> ExitStatus | OutcomeUnknown | None:
        """None: it can't be known any more whether it ended."""
        while not self._settled.is_set():
            try:
                return await self._connection.wait_process(self._container, self.agent_name)
            except (AgentUnreachable, OutcomeUnknown) as error:
                if isinstance(error, OutcomeUnknown) and "signal" in error.details:
                    return error  # no lost reply: the agent can't tell death by that signal from a clean exit
                # a wait changes nothing: the link dials again by itself, and the sandbox tells if the guest died
                await trio.sleep(self._limits.reconnect_pause_seconds)
            except GuestDied:
                # its sandbox tells, and says whether it was to be so
                await self._settled.wait()
            except NotFound as error:
                self.lose(OutcomeUnknown(f"the agent does not know process {self.agent_name!r} any more: {error}"))
            except KatrioError as error:
                self.lose(error)
        return None

    async def _pump_all(self, done: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, self.stdout, self._connection.read_stdout)
            if self.tty:
                self.stderr.end()
            else:
                nursery.start_soon(self._pump, self.stderr, self._connection.read_stderr)
        done.set()

    async def _pump(self, output: Output, read: Callable[[str, str, int], Awaitable[bytes]]) -> None:
        while not output.ended:
            await output.room()
            with trio.CancelScope() as reading:
                if self._exited:
                    reading.deadline = trio.current_time() + self._limits.drain_grace_seconds
                self._reads.append(reading)
                try:
                    data = await read(self._container, self.agent_name, self._limits.read_bytes)
                except OutcomeUnknown:
                    output.lost_reply()
                    await trio.sleep(self._limits.reconnect_pause_seconds)
                    continue
                except AgentUnreachable:
                    await trio.sleep(self._limits.reconnect_pause_seconds)
                    continue
                except KatrioError as error:
                    if isinstance(lost := error.details.get("lost"), int):
                        output.lost_bytes(lost)
                        continue
                    data = b""
                finally:
                    self._reads.remove(reading)
                if data:
                    lost = output.append(data)
                    if lost:
                        # slowed down, not held back: a flood for nobody must not take the time of others
                        await trio.sleep(lost / self._limits.lost_output_bytes_per_second)
                    continue
            # the end; or, after the exit, a grandchild that holds the pipe and said nothing for the whole grace
            output.end()
