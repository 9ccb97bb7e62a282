"""The kernel: runs simulated processes up to a given time, delivers signals, freezes, counts, kills.

For the simulated engine, which passes in the time and asks for the next deadline. A process's work costs virtual time;
small amounts are accumulated, so that a program does not need a timer per call. Pure: random numbers are passed in,
and only a new process's cost factor is drawn from them. Not for what a call does: `execution`.
"""

from __future__ import annotations

import heapq
import signal
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from actors.simulation.box.kernel.calls import WAITS, Call, CallFailed, Disposition, Exec, Interrupted, Read, Wait
from actors.simulation.box.kernel.process import Container, Launch, Process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CallTable", "Kernel"]

# work that a process may do before the clock is asked for it
_QUANTUM_SECONDS = 0.002
# a fork, and loading a program on top: what busybox takes
_FORK_SECONDS = 0.0002
_LOAD_SECONDS = 0.0005
# of any process: its text and stack
_PROCESS_BYTES = 256 * 1024
_IGNORED_BY_DEFAULT = (signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGCONT)
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


# the implementation of a call: takes the kernel, the process and the call, and returns the result
CallTable: TypeAlias = "Mapping[type[Call], Callable[[Kernel, Process, Any], object]]"


class Kernel:
    """`run` first, then `next_time`, whenever something was changed from outside.

    Args:
        draw: a float in [0, 1), as `random.random`.
        calls: what each call does (`execution.CALLS`).
    """

    def __init__(self, draw: Callable[[], float], calls: CallTable) -> None:
        self._draw = draw
        self._calls = calls
        self.now = 0.0
        self._ready: deque[Process] = deque()
        # (time, number, process): the process's own timer number says whether this one was replaced
        self._timers: list[tuple[float, int, Process]] = []
        self._timer_numbers = 0
        self._next_number = 2

    # time

    def run(self, now: float) -> None:
        """Run every process until `now`."""
        self.now = now
        timers, ready = self._timers, self._ready
        while True:
            while timers and timers[0][0] <= now:
                _, number, process = heapq.heappop(timers)
                if process.timer == number:
                    process.timer = 0
                    self.wake(process)
            if not ready:
                return
            process = ready.popleft()
            process.queued = False
            self._step(process)

    def next_time(self) -> float:
        """When the next timer expires; now if a process can run; inf if there is none."""
        if self._ready:
            return self.now
        timers = self._timers
        while timers and timers[0][2].timer != timers[0][1]:
            heapq.heappop(timers)
        return timers[0][0] if timers else inf

    def wake(self, process: Process) -> None:
        """Make it runnable: its call is retried."""
        if process.status is None and not process.queued and not process.timer:
            process.queued = True
            self._ready.append(process)

    def sleep(self, process: Process, seconds: float) -> None:
        """Wake it after so many seconds, plus its accumulated work."""
        self._timer_numbers += 1
        process.timer = self._timer_numbers
        at = self.now + seconds + process.lag
        process.lag = 0.0
        heapq.heappush(self._timers, (at, self._timer_numbers, process))

    def work(self, process: Process, seconds: float) -> None:
        """Account processor time to it."""
        seconds *= process.cost_factor
        process.cpu_seconds += seconds
        process.lag += seconds * process.container.slowness
        process.container.cpu_seconds += seconds

    # processes

    def spawn(
        self, container: Container, launch: Launch, *, parent: Process | None = None, started: bool = True
    ) -> Process:
        """A new process. Not `started`: it takes its first step once `start` is called."""
        cost_factor = 0.5 + 1.5 * self._draw()
        process = Process(self, container, self._next_number, container.next_pid, launch, cost_factor)
        self._next_number += 1
        container.next_pid += 1
        container.processes[process.pid] = process
        for fd, file in launch.files.items():
            file.opened()
            process.files[fd] = file
        if launch.terminal is not None:
            process.terminal = launch.terminal
            launch.terminal.attach(process)
        if parent is not None:
            process.parent = parent
            parent.children[process.pid] = process
            for signum, disposition in parent.dispositions.items():
                if disposition is Disposition.IGNORE:
                    process.dispositions[signum] = disposition
        process.body = launch.program(process)
        process.started = started
        self.allocate(process, _PROCESS_BYTES)
        self.work(process, _FORK_SECONDS + (_LOAD_SECONDS if launch.loaded else 0.0))
        self.wake(process)
        return process

    def start(self, process: Process) -> None:
        """Start one that was spawned without `started`."""
        process.started = True
        self._release(process)

    def load(self, process: Process, call: Exec) -> None:
        """Replace its program; signal handlers are reset, as by execve(2)."""
        process.argv, process.environment = call.argv, dict(call.environment)
        process.dispositions = {n: d for n, d in process.dispositions.items() if d is Disposition.IGNORE}
        process.caught.clear()
        before, process.body = process.body, call.program(process)
        if before is not None:
            before.close()
        self.allocate(process, _PROCESS_BYTES - process.memory)
        self.work(process, _LOAD_SECONDS)

    def end(self, process: Process, status: int) -> None:
        """End it: files are closed, memory is freed, its children are orphaned; an init ends its container."""
        if process.status is not None:
            return
        process.status = status
        process.timer = 0
        if process.waits_at is not None:
            process.waits_at.discard(process)
        container, body = process.container, process.body
        process.body = None
        if body is not None:
            body.close()
        container.memory_bytes -= process.memory
        container.held.pop(process, None)
        del container.processes[process.pid]
        files, process.files = process.files, {}
        for file in files.values():
            file.closed()
        if process.terminal is not None:
            process.terminal.leave(process)
        for child in process.children.values():
            child.parent = None
        parent = process.parent
        if parent is not None and isinstance(parent.call, Wait):
            self.wake(parent)
        if process.is_init:
            for other in list(container.processes.values()):
                self._kill(other, signal.SIGKILL)
        if process.on_end is not None:
            process.on_end(status)

    def allocate(self, process: Process, size: int) -> None:
        """Memory for it; over the limit the largest process of its container is killed, the youngest of equal ones."""
        container = process.container
        process.memory += size
        container.memory_bytes += size
        while container.memory_limit is not None and container.memory_bytes > container.memory_limit:
            container.failed_charges += 1
            victim = max(container.processes.values(), key=lambda each: (each.memory, each.pid))
            container.oom_kills += 1
            self._kill(victim, signal.SIGKILL)
            if container.on_oom is not None:
                container.on_oom()
            if not container.processes:
                break
        container.memory_peak = max(container.memory_peak, container.memory_bytes)

    # signals

    def signal(self, process: Process, signum: int, *, inside: bool = False) -> None:
        """Deliver one. `inside`: sent by a process of the same container, which can't kill the init."""
        if process.status is not None:
            return
        uncatchable = signum in (signal.SIGKILL, signal.SIGSTOP)
        if signum == signal.SIGCONT:
            # it goes on even if it handles or ignores this one, and no stop from before comes after
            for stop in [each for each in process.pending if each in _STOPS]:
                process.pending.remove(stop)
            if process.stopped:
                process.stopped = False
                self._release(process)
        elif signum in _STOPS and process.stopped:
            return
        disposition = None if uncatchable else process.dispositions.get(signum)
        if process.is_init and disposition is None and (inside or not uncatchable):
            return
        if disposition is Disposition.IGNORE or (disposition is None and signum in _IGNORED_BY_DEFAULT):
            return
        if process.container.frozen or (process.stopped and signum != signal.SIGKILL) or not process.started:
            if signum == signal.SIGKILL and not process.container.frozen:
                self._kill(process, signal.SIGKILL)
            elif signum not in process.pending:
                process.pending.append(signum)
            return
        self._deliver(process, signum, disposition)

    def _deliver(self, process: Process, signum: int, disposition: Disposition | None) -> None:
        if disposition is Disposition.CATCH:
            # like any signal below the real-time ones it is pending once or not at all
            if signum not in process.caught:
                process.caught.append(signum)
            if isinstance(process.call, Read | Wait) and process.call.interruptible:
                process.error = Interrupted()
                self.wake(process)
        elif signum in _STOPS:
            process.stopped = True
        else:
            self._kill(process, signum)

    def _kill(self, process: Process, signum: int) -> None:
        process.killed_by = signum
        self.end(process, 128 + signum)

    # freezing

    def freeze(self, container: Container) -> None:
        """Its processes are not scheduled from now on."""
        container.frozen = True

    def thaw(self, container: Container) -> None:
        """Resume them; signals that are pending are delivered."""
        container.frozen = False
        for process in list(container.processes.values()):
            self._release(process)

    def kill_all(self, container: Container) -> None:
        """SIGKILL to every process, and thaw."""
        container.frozen = False
        for process in list(container.processes.values()):
            self._kill(process, signal.SIGKILL)

    def _release(self, process: Process) -> None:
        """Deliver the signals and the wake-up that came while it was frozen."""
        if not process.started and process.status is None:
            return
        pending, process.pending = process.pending, deque[int]()
        for signum in pending:
            self.signal(process, signum)
        if process in process.container.held and not process.stopped:
            del process.container.held[process]
            self.wake(process)

    # steps

    def _step(self, process: Process) -> None:
        """Run it until it blocks, ends, or has used up its quantum."""
        if process.status is not None:
            return
        if process.container.frozen or process.stopped or not process.started:
            process.container.held[process] = None
            return
        while self._advance(process):
            if process.lag > _QUANTUM_SECONDS:
                self.sleep(process, 0.0)
                return

    def _advance(self, process: Process) -> bool:
        """Run it to its next call; False when it blocks, is frozen or has ended."""
        body = process.body
        assert body is not None
        if process.waits_at is not None:
            process.waits_at.discard(process)
            process.waits_at = None
        error, process.error = process.error, None
        if error is None and process.call is not None:
            return self._perform(process, process.call)
        answer, process.answer = process.answer, None
        process.call = None
        process.progress = 0
        try:
            call = body.send(answer) if error is None else body.throw(error)
        except StopIteration as stop:
            self.end(process, stop.value)
            return False
        except CallFailed:
            # a program that doesn't look after an error of its own
            self.end(process, 1)
            return False
        self.work(process, call.cost)
        return self._perform(process, call)

    def _perform(self, process: Process, call: Call) -> bool:
        """Execute or retry a call; False when the process blocks, is frozen or has ended."""
        process.call = call
        try:
            answer = self._calls[type(call)](self, process, call)
        except CallFailed as error:
            process.call, process.error = None, error
        else:
            if answer is WAITS:
                if process.caught and isinstance(call, Read | Wait) and call.interruptible:
                    # it came just before: nobody waits with a signal at hand
                    process.call, process.error = None, Interrupted()
                    return True
                return False
            process.call, process.answer = None, answer
        if process.stopped and process.status is None:
            process.container.held[process] = None
            return False
        return process.status is None
