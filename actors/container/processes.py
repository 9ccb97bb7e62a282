"""The processes of one container: starting, signalling, feeding, reading and awaiting them.

The container actor's part for single processes; the container's own state is in `actor`. What a process's state
is made of: `actors.container.process`.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, TypeVar

import trio

from actors.container.process import FollowedProcess
from actors.errors import (
    AgentError,
    AlreadyExists,
    InvalidArgument,
    InvalidTransition,
    KatrioError,
    NotFound,
    OutcomeUnknown,
    ResourceExhausted,
)
from actors.ids import check_id
from actors.wire.verbs import Nothing, Signalled, Written

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from actors.agents.base import AgentConnection
    from actors.container.output import Output
    from actors.events import Events
    from actors.limits import Limits
    from actors.mailbox import Request
    from actors.wire.spec import ExitStatus
    from actors.wire.verbs import Exec, ProcessRef, ReadOutput, Signal, Winsize, WriteStdin

__all__ = ["Processes"]

T = TypeVar("T")

# sending these to an ended process is no error; virtcontainers' CLI arrived at the same rule (runtime #1084)
_ENDING = frozenset({signal.SIGTERM, signal.SIGKILL})
# names listed in an error message, to help find a typo
_NAMED = 20


class Processes:
    """The processes of a container: running ones, and ended ones until they make room for new ones.

    The empty name is its init, which always stays.

    `check(verb)` refuses a verb in the present state.
    """

    def __init__(
        self, container: str, agent: AgentConnection, limits: Limits, check: Callable[[str], None], events: Events
    ) -> None:
        self._container = container
        self._agent = agent
        self._limits = limits
        self._check = check
        self._events = events
        self._known: dict[str, FollowedProcess] = {}

    def __iter__(self) -> Iterator[FollowedProcess]:
        return iter(list(self._known.values()))

    @property
    def init(self) -> FollowedProcess:
        """The init."""
        return self._known[""]

    def reserve(self, name: str, *, tty: bool) -> FollowedProcess:
        """Reserve the name before any await, so that two concurrent requests for it can't both succeed."""
        process = FollowedProcess(self._container, name, tty=tty, connection=self._agent, limits=self._limits)
        self._known[name] = process
        return process

    def follow(self, process: FollowedProcess, nursery: trio.Nursery, on_end: Callable[[], None]) -> None:
        """Read and await it in `nursery`; `on_end` is called once its exit status is settled."""

        def ended() -> None:
            if process.exited:
                self._events.exit(process.name, process.status)
            on_end()

        if self._agent.follows_processes:
            name = f"{self._container}:follow:{process.name}"
            nursery.start_soon(process.follow, ended, name=name)
        else:
            process.stdout.end()
            process.stderr.end()

    async def ended(self, process: FollowedProcess) -> None:
        """Wait until its exit status is settled; returns at once with an agent that runs nothing."""
        if self._agent.follows_processes:
            await process.wait_settled()

    def lose(self, error: KatrioError) -> None:
        """The guest is gone: no exit status can be known any more."""
        for process in self:
            process.lose(error)

    def _process(self, name: str) -> FollowedProcess:
        process = self._known.get(name)
        if process is None:
            known = sorted(filter(None, self._known))
            listed = ", ".join(known[:_NAMED]) or "none but its init"
            more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
            raise NotFound(
                f"container {self._container!r} has no process {name!r}; it has {listed}{more}",
                process=name,
            )
        return process

    def _open_process(self, verb: str, name: str) -> FollowedProcess:
        self._check(verb)
        return self._process(name)

    async def exec(self, nursery: trio.Nursery, args: Exec, request: Request) -> Nothing:
        """Start another process and follow it."""
        self._check("exec")
        check_id(args.id, "id", self._limits.id_length)
        if args.id in self._known or args.id == self._container:
            raise AlreadyExists(f"container {self._container!r} has a process {args.id!r} already; choose another id")
        self._make_room()
        process = self.reserve(args.id, tty=args.process.tty)
        try:
            await self._agent.exec_process(self._container, args.id, args.process)
        except OutcomeUnknown:
            # it may be running: following it will tell
            self.follow(process, nursery, _nothing)
            raise
        except BaseException:
            del self._known[args.id]
            process.lose(AgentError(f"exec of {args.id!r} failed; it never ran"))
            raise
        self.follow(process, nursery, _nothing)
        return Nothing()

    def _make_room(self) -> None:
        """Forget the exec that was started first of those that have ended, as the guest does: its status, output and id."""
        if len(self._known) < self._limits.processes:
            return
        for process in self:
            if process.name and process.done:
                del self._known[process.name]
                return
        raise ResourceExhausted(
            f"container {self._container!r}: {self._limits.processes} processes run in it, or their output is still read; "
            "end one first",
            limit=self._limits.processes,
        )

    async def signal(self, args: Signal, request: Request) -> Signalled:
        """Signal one process, or with `all` each one; ended ones are skipped."""
        if args.all and args.process:
            raise InvalidArgument("signal: `all` and `process` exclude each other", field="process")
        target = self._process(args.process)
        if target.settled and (not args.all or args.signal in _ENDING):
            return Signalled(0)
        self._check("signal")
        live = [process for process in self if not process.settled]
        if args.all and args.signal == signal.SIGKILL:
            await self._agent.kill_all(self._container)
            return Signalled(len(live))
        # the init last: its end may kill the others before they got the signal
        reached = [await self._reached(each, args.signal) for each in (reversed(live) if args.all else (target,))]
        return Signalled(sum(reached))

    async def _reached(self, process: FollowedProcess, signum: int) -> bool:
        """Whether it may have got the signal; False if it had ended, however its agent reports that."""
        signalled = self._agent.signal_process(self._container, process.agent_name, signum)
        return await self._unless_ended(process, _done(signalled)) is not None

    async def _unless_ended(self, process: FollowedProcess, asked: Awaitable[T]) -> T | None:
        """The agent's result; None if it refuses because the process has ended, however it reports that."""
        try:
            return await asked
        except (AgentError, NotFound) as error:
            if "process" not in error.details and not await self.ends(process):
                raise
            return None

    async def ends(self, process: FollowedProcess) -> bool:
        """Whether a refusal was due to its end: few agents have a code for that, but the end is reported soon after."""
        if self._agent.tells_ended:
            return process.settled
        with trio.move_on_after(
            self._limits.drain_grace_seconds if process.is_ending else self._limits.answer_grace_seconds
        ):
            await process.wait_settled()
        return process.settled

    async def winsize(self, args: Winsize, request: Request) -> Nothing:
        """Resize its terminal."""
        process = self._open_process("winsize", args.process)
        if not process.tty:
            raise InvalidTransition(
                f"winsize: process {process.agent_name!r} has no terminal; create it with tty", verb="winsize"
            )
        resized = self._agent.winsize_process
        if process.settled or not await self._unless_ended(
            process, _done(resized(self._container, process.agent_name, args.size))
        ):
            raise NotFound(f"winsize: process {process.agent_name!r} has ended", process=args.process)
        return Nothing()

    async def write_stdin(self, args: WriteStdin, request: Request) -> Written:
        """Write, waiting for room."""
        process = self._open_process("write_stdin", args.process)
        # an empty write would be end of file for today's Rust agent
        if not args.data or process.settled:
            return Written(0)
        asked = self._agent.write_stdin(self._container, process.agent_name, args.data)
        return Written(await self._unless_ended(process, asked) or 0)

    async def close_stdin(self, args: ProcessRef, request: Request) -> Nothing:
        """Close stdin; a no-op for a terminal, as closing its master would hang up the session."""
        process = self._open_process("close_stdin", args.process)
        if not process.settled and not process.tty:
            await self._unless_ended(process, self._agent.close_stdin(self._container, process.agent_name))
        return Nothing()

    async def wait(self, args: ProcessRef, request: Request) -> ExitStatus:
        """Its exit status, from the kept result."""
        process = self._process(args.process)
        if not self._agent.follows_processes:
            return await self._agent.wait_process(self._container, process.agent_name)
        return await process.wait()

    async def read_stdout(self, args: ReadOutput, request: Request) -> Nothing:
        """Push its stdout until the end."""
        return await self._push(self._process(args.process).stdout, request)

    async def read_stderr(self, args: ReadOutput, request: Request) -> Nothing:
        """Push its stderr until the end."""
        return await self._push(self._process(args.process).stderr, request)

    async def _push(self, output: Output, request: Request) -> Nothing:
        output.attach()
        try:
            told = 0
            while (part := await output.front(self._limits.chunk_bytes)) is not None:
                await request.push(part.data, offset=part.offset, gap=part.gap)
                output.passed_on(part)
                told = part.offset + len(part.data)
            if told < output.offset:
                # everything was read before: an empty part reports the total
                await request.push(b"", offset=output.offset)
        finally:
            output.detach()
        return Nothing()


async def _done(asked: Awaitable[object]) -> bool:
    await asked
    return True


def _nothing() -> None:
    """The `on_end` of an exec: only its waiters are interested."""
