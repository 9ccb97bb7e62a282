"""One process of a container as its actor follows it: both outputs, and its exit status.

The agent's wait is called once per process and its result kept, so that any number of waiters, late
and cancelled ones included, get the same. The container actor decides which verbs are allowed.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from operator import gt
from typing import TYPE_CHECKING

import trio
from trio_util import AsyncValue

from actors.agents.base import Polls
from actors.container.output import Output
from actors.errors import AgentUnreachable, GuestDied, KatrioError, NotFound, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.agents.base import AgentConnection
    from actors.limits import Limits
    from actors.wire.spec import ExitStatus

__all__ = ["FollowedProcess"]


class FollowedProcess:
    """A process run by the agent. `name` is the callers' id for it, `agent_name` the agent's."""

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
        # reads in progress; once the agent has reported the end, each has a deadline
        self._reads: list[trio.CancelScope] = []
        self._exited = False
        # whether asking for the exit status waits for the outputs to end, and how many outputs are open
        self._waits_for_output = False
        self._going_on = AsyncValue(1 if tty else 2)
        # start time of each unanswered read; and outputs without room, waiting for their reader
        self._asked: dict[Output, float] = {}
        self._held_back: dict[Output, None] = {}
        # bytes received per output at the last poll that came before the output's end
        self._polled: dict[Output, int] = {}

    @property
    def settled(self) -> bool:
        """Whether its exit status is known, or can't be known any more."""
        return self._settled.is_set()

    @property
    def exited(self) -> bool:
        """Whether the agent has reported its end, even without an exit status."""
        return self._exited

    @property
    def done(self) -> bool:
        """Whether its exit status is settled and its outputs have ended: no more agent calls for it."""
        return self.settled and self.stdout.ended and self.stderr.ended

    @property
    def status(self) -> ExitStatus | None:
        """Its exit status, once known."""
        return self._status

    async def wait(self) -> ExitStatus:
        """Wait for its exit status.

        Raises:
            OutcomeUnknown: it has ended, but the agent can't tell how (`signal` in the details); or it may have ended.
            GuestDied: it can't be known any more.
        """
        await self._settled.wait()
        if self._status is None:
            assert self._failure is not None
            raise type(self._failure)(self._failure.message, **self._failure.details)
        return self._status

    def lose(self, failure: KatrioError) -> None:
        """Its exit status can't be known any more; received output stays readable."""
        if not self._settled.is_set():
            self._failure = failure
            self._settled.set()
        self.stdout.end()
        self.stderr.end()

    async def wait_settled(self) -> None:
        """Wait until its exit status is known, or can't be known any more."""
        await self._settled.wait()

    async def follow(self, on_end: Callable[[], None]) -> None:
        """Read its outputs and wait for its exit status, until both are done. Never raises a KatrioError.

        `on_end` is called once, when its exit status is settled; output that has a reader may continue after it.
        """
        async with trio.open_nursery() as nursery:
            outputs = trio.Event()
            nursery.start_soon(self._pump_all, outputs)
            end: ExitStatus | OutcomeUnknown | None = None
            if not self._connection.keeps_output_after_wait:
                self._waits_for_output = True
                end = await self._outputs_or_end()
                self._waits_for_output = False
            end = end or await self._ask_end()
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

    def hurry(self) -> bool:
        """Stop waiting for its outputs and ask for its exit status now; whether it was waiting."""
        waits = self._waits_for_output
        if waits:
            self._going_on.value = 0
        return waits

    @property
    def is_ending(self) -> bool:
        """Whether it may have ended: an output is closed, which few programs do themselves."""
        return self.stdout.ended or (self.stderr.ended and not self.tty)

    async def _outputs_or_end(self) -> ExitStatus | None:
        """Wait until its outputs have ended (None), or until a poll finds that it has ended while others hold them (status)."""
        limits = self._limits
        polled, pause = trio.current_time(), limits.poll_first_seconds
        due, before = polled + pause, self._going_on.value
        while not self.settled:
            with trio.move_on_at(due) as waiting:
                await self._going_on.wait_value(partial(gt, before))  # pyright: ignore[reportUnknownMemberType]  # no types there
            if self._going_on.value == 0:
                return None
            now = trio.current_time()
            if not waiting.cancelled_caught:
                before = self._going_on.value
                due = min(due, now + limits.poll_likely_seconds)
            elif not self._may_poll(likely=self.is_ending, long_ago=now - polled >= limits.poll_longest_seconds):
                due = now + limits.poll_likely_seconds
            elif (end := await self._poll()) is not None:
                return end
            else:
                polled = trio.current_time()
                due = polled + pause
                if self._connection.polls is not Polls.OFTEN:
                    pause = min(2 * pause, limits.poll_longest_seconds)
        return None

    def _may_poll(self, *, likely: bool, long_ago: bool) -> bool:
        """Whether polling is safe: output written before the end has arrived, as a poll's answer may discard unread output."""
        now, quiet = trio.current_time(), self._limits.poll_likely_seconds
        open_outputs = [output for output in (self.stdout, self.stderr) if not output.ended]
        if any(output in self._held_back for output in open_outputs):
            return False
        silent = all(now - self._asked.get(output, now) >= quiet for output in open_outputs)
        return silent or likely or long_ago or self._connection.polls is Polls.OFTEN

    async def _poll(self) -> ExitStatus | None:
        if self._connection.polls is Polls.NEVER:
            return None
        self._polled = {output: output.received for output in (self.stdout, self.stderr) if not output.ended}
        with trio.move_on_after(self._limits.poll_answer_seconds), suppress(KatrioError):
            return await self._connection.poll_process(self._container, self.agent_name)
        return None

    async def _ask_end(self) -> ExitStatus | OutcomeUnknown | None:
        """None: whether it ended can't be known any more."""
        while not self._settled.is_set():
            try:
                return await self._connection.wait_process(self._container, self.agent_name)
            except (AgentUnreachable, OutcomeUnknown) as error:
                if isinstance(error, OutcomeUnknown) and "signal" in error.details:
                    return error  # not a lost reply: the agent can't tell death by that signal from exit code 0
                # a wait changes nothing, so retry: the link redials by itself, and the sandbox reports a dead guest
                await trio.sleep(self._limits.reconnect_pause_seconds)
            except GuestDied:
                # the sandbox reports the reason, and whether it was intended
                await self._settled.wait()
            except NotFound as error:
                self.lose(OutcomeUnknown(f"the agent does not know process {self.agent_name!r} any more: {error}"))
            except KatrioError as error:
                self.lose(error)
        return None

    async def _pump_all(self, done: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pump_one, self.stdout, self._connection.read_stdout)
            if self.tty:
                self.stderr.end()
            else:
                nursery.start_soon(self._pump_one, self.stderr, self._connection.read_stderr)
        done.set()

    async def _pump_one(self, output: Output, read: Callable[[str, str, int], Awaitable[bytes]]) -> None:
        await self._pump(output, read)
        self._going_on.value = max(0, self._going_on.value - 1)

    async def _pump(self, output: Output, read: Callable[[str, str, int], Awaitable[bytes]]) -> None:
        whole = False
        while not output.ended:
            self._held_back[output] = None
            await output.room()
            del self._held_back[output]
            self._asked[output] = trio.current_time()
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
                else:
                    whole = not data
                finally:
                    self._reads.remove(reading)
                if data:
                    lost = output.append(data)
                    if lost:
                        # rate limit: output that nobody reads must not take others' time
                        self._held_back[output] = None
                        await trio.sleep(lost / self._limits.lost_output_bytes_per_second)
                    continue
            if not whole and output.received > self._polled.get(output, output.received):
                # output that came during the poll may have been followed by more, which is lost
                output.lost_reply()
            # end of file; or, after the exit, a descendant holds the pipe and was silent for the whole grace period
            output.end()
