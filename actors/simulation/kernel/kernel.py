"""The kernel: runs simulated processes up to a given time, delivers signals, freezes, counts, kills.

For the simulated engine, which tells it the time and asks when it is to be told again. A process's work costs time of
its own; small pieces of it are saved up, so that a program is not one timer for each call. Pure: randomness is given,
and of it only a new process's pace and start-up are drawn. Not for what a call does: `execution`.
"""

from __future__ import annotations

import heapq
import inspect
import signal
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from actors.simulation.kernel.calls import Call, Exec, Interrupted, Read, Wait
from actors.simulation.kernel.execution import CALLS, WAITS
from actors.simulation.kernel.process import Container, Disposition, Process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.seams import Rng
    from actors.simulation.kernel.calls import Program
    from actors.simulation.kernel.files import OpenFile, Tree
    from actors.simulation.kernel.terminal import Terminal

__all__ = ["Kernel"]

# work that a process may do before the clock is asked for it
_QUANTUM_SECONDS = 0.001
# a fork, and loading a program on top: what busybox takes
_FORK_SECONDS = 0.0003
_LOAD_SECONDS = 0.0007
# of any process: its text and stack
_PROCESS_BYTES = 256 * 1024
_IGNORED_BY_DEFAULT = (signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGCONT)
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class Kernel:
    """See the module. `run` first, then `next_time`, whenever something was changed from outside."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self.now = 0.0
        self._ready: deque[Process] = deque()
        # (time, number, process, its timer's number): a timer that was replaced is passed over
        self._timers: list[tuple[float, int, Process, int]] = []
        self._timer_numbers = 0

    # time

    def run(self, now: float) -> None:
        """Let every process do what it can until `now`."""
        self.now = now
        timers = self._timers
        while True:
            while timers and timers[0][0] <= now:
                _, _, process, number = heapq.heappop(timers)
                if process.timer == number:
                    process.timer = 0
                    self.wake(process)
            if not self._ready:
                return
            process = self._ready.popleft()
            process.queued = False
            self._step(process)

    def next_time(self) -> float:
        """When the next process goes on by itself; at once when one can now; inf for never."""
        if self._ready:
            return self.now
        while self._timers and self._timers[0][2].timer != self._timers[0][3]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else inf

    def wake(self, process: Process) -> None:
        """Let it go on with what it was doing."""
        if process.status is None and not process.queued and not process.timer:
            process.queued = True
            self._ready.append(process)

    def sleep(self, process: Process, seconds: float) -> None:
        """Wake it in so many seconds, the work that it has saved up included."""
        self._timer_numbers += 1
        process.timer = self._timer_numbers
        at = self.now + seconds + process.lag
        process.lag = 0.0
        heapq.heappush(self._timers, (at, self._timer_numbers, process, self._timer_numbers))

    def work(self, process: Process, seconds: float) -> None:
        """It has used the processor for so long."""
        seconds *= process.pace
        process.lag += seconds
        process.container.cpu_seconds += seconds

    # processes

    def make_container(
        self, name: str, tree: Tree, *, memory_limit: int | None, process_limit: int | None
    ) -> Container:
        """An empty one; its first process is its init."""
        return Container(name, tree, memory_limit=memory_limit, process_limit=process_limit)

    def spawn(
        self,
        container: Container,
        program: Program,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        cwd: str,
        files: Mapping[int, OpenFile],
        *,
        parent: Process | None = None,
        terminal: Terminal | None = None,
        loaded: bool = True,
        started: bool = True,
    ) -> Process:
        """A new process. Not `started`: it takes its first step once `start` is called."""
        pace = 0.5 + 1.5 * self._rng.random()
        process = Process(self, container, container.next_pid, parent, argv, environment, cwd, pace)
        container.next_pid += 1
        container.processes[process.pid] = process
        for fd, file in files.items():
            file.opened()
            process.files[fd] = file
        if terminal is not None:
            process.terminal = terminal
            terminal.processes[process] = None
        if parent is not None:
            parent.children[process.pid] = process
            for signum, disposition in parent.dispositions.items():
                if disposition is Disposition.IGNORE:
                    process.dispositions[signum] = disposition
        process.body = program(process)
        process.stopped = not started
        self.allocate(process, _PROCESS_BYTES)
        self.work(process, _FORK_SECONDS + (_LOAD_SECONDS if loaded else 0.0))
        if process.status is None:
            self.sleep(process, 0.0)
        return process

    def start(self, process: Process) -> None:
        """Let one that was spawned without it begin."""
        process.stopped = False
        self._release(process)

    def load(self, process: Process, call: Exec) -> None:
        """Replace its program; what it caught it catches no more."""
        assert process.body is not None
        process.argv, process.environment = call.argv, dict(call.environment)
        process.dispositions = {n: d for n, d in process.dispositions.items() if d is Disposition.IGNORE}
        process.caught.clear()
        process.body = call.program(process)
        self.work(process, _LOAD_SECONDS)

    def end(self, process: Process, status: int) -> None:
        """It has ended: files closed, memory given back, its children orphans; an init takes its container along."""
        if process.status is not None:
            return
        process.status = status
        process.timer = 0
        if process.waits_at is not None:
            process.waits_at.discard(process)
        container, body = process.container, process.body
        process.body = None
        # a process may end itself in a call of its own, while its body runs
        if body is not None and inspect.getgeneratorstate(body) != inspect.GEN_RUNNING:
            body.close()
        container.memory_bytes -= process.memory
        container.held.pop(process, None)
        del container.processes[process.pid]
        files, process.files = process.files, {}
        for file in files.values():
            file.closed()
        self._leave_terminal(process)
        for child in process.children.values():
            child.parent = None
        parent = process.parent
        if parent is not None and isinstance(parent.call, Wait):
            self.wake(parent)
        if process.is_init:
            for other in list(container.processes.values()):
                self.end(other, 128 + signal.SIGKILL)
        if process.on_end is not None:
            process.on_end(status)

    def _leave_terminal(self, process: Process) -> None:
        terminal = process.terminal
        if terminal is not None:
            leader = next(iter(terminal.processes)) is process
            del terminal.processes[process]
            if leader:
                terminal.hang_up()

    def allocate(self, process: Process, size: int) -> None:
        """Memory for it; over the limit the largest process of its container is killed, the youngest of equal ones."""
        container = process.container
        process.memory += size
        container.memory_bytes += size
        container.memory_peak = max(container.memory_peak, container.memory_bytes)
        while container.memory_limit is not None and container.memory_bytes > container.memory_limit:
            victim = max(container.processes.values(), key=lambda each: (each.memory, each.pid))
            container.oom_kills += 1
            self.end(victim, 128 + signal.SIGKILL)
            if not container.processes:
                return

    # signals

    def signal(self, process: Process, signum: int, *, inside: bool = False) -> None:
        """Deliver one. `inside`: sent by a process of the same container, which can't kill the init."""
        if process.status is not None:
            return
        number = signal.Signals(signum) if signum in list(signal.Signals) else signal.SIGUSR1
        if signum == signal.SIGCONT and not process.container.frozen:
            self.start(process)
        disposition = process.dispositions.get(signum)
        fatal = signum == signal.SIGKILL
        if fatal and process.is_init and inside:
            return
        if not fatal and (disposition is Disposition.IGNORE or (disposition is None and self._passes(process, signum))):
            return
        if process.container.frozen or (process.stopped and not fatal):
            process.pending.append(number)
            return
        self._deliver(process, signum, disposition)

    def _passes(self, process: Process, signum: int) -> bool:
        return process.is_init or signum in _IGNORED_BY_DEFAULT

    def _deliver(self, process: Process, signum: int, disposition: Disposition | None) -> None:
        if disposition is Disposition.CATCH and signum != signal.SIGKILL:
            process.caught.append(signum)
            if isinstance(process.call, Read | Wait) and process.call.interruptible:
                process.error = Interrupted()
                self.wake(process)
        elif signum in _STOPS:
            process.stopped = True
        else:
            self.end(process, 128 + signum)

    # freezing

    def freeze(self, container: Container) -> None:
        """None of its processes gets a step from now on."""
        container.frozen = True

    def thaw(self, container: Container) -> None:
        """They go on; what was sent to them meanwhile arrives now."""
        container.frozen = False
        for process in list(container.processes.values()):
            self._release(process)

    def kill_all(self, container: Container) -> None:
        """SIGKILL to every process, and thaw."""
        for process in list(container.processes.values()):
            self.end(process, 128 + signal.SIGKILL)
        container.frozen = False

    def _release(self, process: Process) -> None:
        """Give it the signals and the turn that came while it stood still."""
        pending, process.pending = process.pending, deque[signal.Signals]()
        for signum in pending:
            self.signal(process, signum)
        if process in process.container.held and not process.stopped:
            del process.container.held[process]
            self.wake(process)

    # steps

    def _step(self, process: Process) -> None:
        """Run it until it waits, has ended, or has used up its quantum."""
        if process.status is not None:
            return
        if process.container.frozen or process.stopped:
            process.container.held[process] = None
            return
        while process.status is None and self._advance(process):
            if process.lag > _QUANTUM_SECONDS:
                self.sleep(process, 0.0)
                return

    def _advance(self, process: Process) -> bool:
        """One call further; False when it waits or has ended."""
        body = process.body
        assert body is not None
        if process.waits_at is not None:
            process.waits_at.discard(process)
            process.waits_at = None
        error, process.error = process.error, None
        if error is not None:
            process.call = None
        elif process.call is not None:
            return self._perform(process, process.call)
        answer, process.answer = process.answer, None
        try:
            call = body.throw(error) if error is not None else body.send(answer)
        except StopIteration as stop:
            self.end(process, stop.value)
            return False
        process.written = 0
        return self._perform(process, call)

    def _perform(self, process: Process, call: Call) -> bool:
        """Try a call, for the first time or again; False when it waits."""
        first = process.call is None
        process.call = call
        if first:
            self.work(process, call.cost)
        try:
            answer = CALLS[type(call)](self, process, call)
        except Exception as error:
            if process.status is not None:
                return False
            process.call, process.error = None, error
            return True
        if answer is WAITS:
            return False
        process.call, process.answer = None, answer
        return process.status is None
