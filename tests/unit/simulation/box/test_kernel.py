"""The kernel by itself: bytes in pipes, signals, freezing, memory, work; pure, told the time by the test."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.simulation.box.kernel import calls
from actors.simulation.box.kernel.calls import CallFailed, Disposition
from actors.simulation.box.kernel.files import new_pipe
from actors.simulation.box.kernel.process import Launch
from tests.support.simulated import Machine, idle

if TYPE_CHECKING:
    from actors.simulation.box.kernel.calls import Body, Program
    from actors.simulation.box.kernel.process import Process

MIB = 1024 * 1024


def ticker(ticks: list[int]) -> Program:
    def program(_: Process) -> Body:
        while True:
            yield calls.Sleep(1)
            ticks.append(1)

    return program


# pipes


@given(
    st.lists(st.binary(min_size=0, max_size=300), max_size=20),
    st.lists(st.integers(1, 200), min_size=1, max_size=10),
    st.integers(1, 64),
)
def test_a_pipe_neither_loses_nor_reorders_a_byte_at_any_chunking(
    written: list[bytes], sizes: list[int], capacity: int
) -> None:
    machine = Machine()
    reading, writing = new_pipe(capacity)
    seen: list[bytes] = []

    def writer(_: Process) -> Body:
        for data in written:
            assert (yield calls.Write(1, data)) == len(data)
        return 0

    def reader(_: Process) -> Body:
        at = 0
        while data := (yield calls.Read(0, sizes[at % len(sizes)])):
            assert len(data) <= sizes[at % len(sizes)]
            seen.append(data)
            at += 1
        return 0

    both = machine.spawn(writer, {1: writing}), machine.spawn(reader, {0: reading})
    machine.go_on(60)
    assert [each.status for each in both] == [0, 0]
    assert b"".join(seen) == b"".join(written)


def test_a_pipe_holds_as_much_as_it_says_and_its_writer_waits() -> None:
    machine = Machine()
    reading, writing = new_pipe(100)
    reading.opened()

    def writer(_: Process) -> Body:
        yield calls.Write(1, b"x" * 150)
        return 0

    process = machine.spawn(writer, {1: writing})
    machine.go_on(1)
    assert process.status is None
    assert reading.read(1000) == b"x" * 100
    machine.go_on(1)
    assert process.status == 0
    assert reading.read(1000) == b"x" * 50
    assert reading.read(1000) == b""


def test_writing_where_nobody_reads_is_a_signal_and_an_error_for_who_ignores_it() -> None:
    machine = Machine()
    errors: list[str] = []

    def writer(_: Process) -> Body:
        yield calls.Write(1, b"x")
        return 0

    def hardened(_: Process) -> Body:
        yield calls.Handle(signal.SIGPIPE, Disposition.IGNORE)
        try:
            yield calls.Write(1, b"x")
        except CallFailed as failed:
            errors.append(failed.error)
        return 3

    ends = [new_pipe(10)[1] for _ in range(2)]
    both = machine.spawn(writer, {1: ends[0]}), machine.spawn(hardened, {1: ends[1]})
    machine.go_on(1)
    assert [each.status for each in both] == [128 + signal.SIGPIPE, 3]
    assert errors == ["Broken pipe"]


def test_the_end_of_a_pipe_comes_with_the_last_of_its_writers() -> None:
    reading, writing = new_pipe(10)
    for _ in range(2):
        writing.opened()
    writing.closed()
    assert reading.read(1) is None
    writing.closed()
    assert reading.read(1) == b""


def test_a_closed_other_descriptor_wakes_nobody() -> None:
    reading, writing = new_pipe(10)
    told: list[None] = []
    reading.readable.on_change = lambda: told.append(None)
    for _ in range(2):
        writing.opened()
    writing.closed()
    assert not told
    writing.closed()
    assert told


# signals


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, 34, 64])
def test_a_signal_without_a_handler_ends_any_process_but_the_init(signum: int) -> None:
    machine = Machine()
    process = machine.spawn(idle)
    machine.go_on(1)
    machine.kernel.signal(process, signum)
    machine.kernel.signal(machine.init, signum)
    assert (process.status, machine.init.status) == (128 + signum, None)


@pytest.mark.parametrize("signum", [signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGCONT])
def test_some_signals_are_ignored_by_default(signum: int) -> None:
    machine = Machine()
    process = machine.spawn(idle)
    machine.kernel.signal(process, signum)
    assert process.status is None


def test_kill_can_be_neither_caught_nor_ignored() -> None:
    machine = Machine()

    def stubborn(_: Process) -> Body:
        for disposition in Disposition:
            yield calls.Handle(signal.SIGKILL, disposition)
        yield calls.Sleep(100)
        return 0

    process = machine.spawn(stubborn)
    machine.go_on(1)
    machine.kernel.signal(process, signal.SIGKILL)
    assert process.status == 128 + signal.SIGKILL


def test_an_init_is_killed_from_outside_and_takes_all_along_youngest_children_included() -> None:
    machine = Machine()
    process = machine.spawn(idle)
    machine.kernel.signal(machine.init, signal.SIGKILL, inside=True)
    assert machine.init.status is None
    machine.kernel.signal(machine.init, signal.SIGKILL)
    assert [each.status for each in (machine.init, process)] == [137, 137]
    assert machine.container.processes == {}
    assert machine.container.memory_bytes == 0


def test_a_caught_signal_interrupts_a_wait_that_may_be_interrupted() -> None:
    machine = Machine()
    story: list[object] = []

    def program(process: Process) -> Body:
        yield calls.Handle(signal.SIGUSR1, Disposition.CATCH)
        reading, _ = yield calls.Pipe()
        try:
            yield calls.Read(reading, 1, interruptible=True)
        except calls.Interrupted:
            story.append(list(process.caught))
        child = yield calls.Spawn(idle, ("idle",), {})
        yield calls.Wait(child)
        story.append("never")
        return 0

    process = machine.spawn(program)
    machine.go_on(1)
    machine.kernel.signal(process, signal.SIGUSR1)
    machine.go_on(1)
    machine.kernel.signal(process, signal.SIGUSR1)
    machine.go_on(1)
    assert story == [[signal.SIGUSR1]]
    assert process.status is None


def test_a_signal_just_before_a_wait_is_not_slept_over() -> None:
    machine = Machine()
    story: list[str] = []

    def program(process: Process) -> Body:
        yield calls.Handle(signal.SIGUSR1, Disposition.CATCH)
        yield calls.Spawn(idle, ("idle",), {})
        yield calls.Kill(process.pid, signal.SIGUSR1)
        try:
            yield calls.Wait(None, interruptible=True)
        except calls.Interrupted:
            story.append("awake")
        return 0

    process = machine.spawn(program)
    machine.go_on(1)
    assert (story, process.status) == (["awake"], 0)


def test_a_stopped_process_goes_on_with_cont_and_takes_its_signals_then() -> None:
    machine = Machine()
    ticks: list[int] = []
    process = machine.spawn(ticker(ticks))
    machine.go_on(3.5)
    machine.kernel.signal(process, signal.SIGSTOP)
    counted = len(ticks)
    machine.go_on(10)
    assert len(ticks) == counted
    assert process.state == "T"
    machine.kernel.signal(process, signal.SIGCONT)
    machine.go_on(3)
    assert len(ticks) > counted
    machine.kernel.signal(process, signal.SIGSTOP)
    machine.kernel.signal(process, signal.SIGTERM)
    assert process.status is None
    machine.kernel.signal(process, signal.SIGCONT)
    assert process.status == 128 + signal.SIGTERM


def test_a_process_that_was_not_started_is_not_started_by_a_signal() -> None:
    machine = Machine()
    ticks: list[int] = []
    launch = Launch(ticker(ticks), ("test",), {}, "/", {})
    process = machine.kernel.spawn(machine.container, launch, started=False)
    machine.kernel.signal(process, signal.SIGCONT)
    machine.go_on(5)
    assert not ticks
    machine.kernel.start(process)
    machine.go_on(5)
    assert ticks
    other = machine.kernel.spawn(machine.container, launch, started=False)
    machine.kernel.signal(other, signal.SIGKILL)
    assert other.status == 137


@given(st.lists(st.sampled_from(["freeze", "thaw", "stop", "cont", "term", "pass"]), max_size=30))
def test_frozen_and_stopped_processes_never_run_and_lose_no_signal(actions: list[str]) -> None:
    machine = Machine()
    kernel, container = machine.kernel, machine.container
    ticks: list[int] = []
    process = machine.spawn(ticker(ticks))
    machine.go_on(1)
    asked = False
    for action in actions:
        if action == "freeze":
            kernel.freeze(container)
        elif action == "thaw":
            kernel.thaw(container)
        elif action != "pass":
            asked = asked or action == "term"
            signum = {"stop": signal.SIGSTOP, "cont": signal.SIGCONT, "term": signal.SIGTERM}[action]
            kernel.signal(process, signum)
        before = len(ticks)
        machine.go_on(3)
        runs = not (container.frozen or process.stopped or process.status is not None)
        assert (len(ticks) > before) is runs
    kernel.thaw(container)
    kernel.signal(process, signal.SIGCONT)
    before = len(ticks)
    machine.go_on(3)
    assert process.status == (128 + signal.SIGTERM if asked else None)
    assert (len(ticks) > before) is not asked


# freezing


def test_a_frozen_process_survives_kill_until_it_is_thawed() -> None:
    machine = Machine()
    process = machine.spawn(idle)
    machine.go_on(1)
    machine.kernel.freeze(machine.container)
    machine.kernel.signal(process, signal.SIGKILL)
    machine.go_on(1)
    assert process.status is None
    assert process.state == "D"
    machine.kernel.thaw(machine.container)
    assert process.status == 137


def test_a_sleep_that_ended_while_frozen_has_ended_at_the_thaw() -> None:
    machine = Machine()

    def sleeper(_: Process) -> Body:
        yield calls.Sleep(5)
        return 4

    process = machine.spawn(sleeper)
    machine.go_on(1)
    machine.kernel.freeze(machine.container)
    machine.go_on(100)
    assert process.status is None
    machine.kernel.thaw(machine.container)
    machine.go_on(0)
    assert process.status == 4


# memory and processor time


def test_the_largest_process_is_killed_over_the_limit_and_counted() -> None:
    machine = Machine()
    machine.container.memory_limit = 20 * MIB
    told: list[None] = []
    machine.container.on_oom = lambda: told.append(None)

    def hog(size: int) -> Program:
        def program(_: Process) -> Body:
            yield calls.Allocate(size)
            yield calls.Sleep(100)
            return 0

        return program

    large = machine.spawn(hog(12 * MIB))
    machine.go_on(1)
    small = machine.spawn(hog(10 * MIB))
    machine.go_on(1)
    assert (large.status, small.status, machine.init.status) == (137, None, None)
    assert machine.container.oom_kills == len(told) == 1
    assert machine.container.memory_bytes < 11 * MIB
    machine.kernel.signal(small, signal.SIGKILL)
    assert machine.container.memory_bytes == machine.init.memory


def test_work_takes_time_and_is_counted() -> None:
    machine = Machine()

    def worker(_: Process) -> Body:
        yield calls.Work(10)
        return 0

    process = machine.spawn(worker)
    machine.go_on(4)
    assert process.status is None
    machine.go_on(20)
    assert process.status == 0
    assert 5 <= machine.container.cpu_seconds <= 21


def test_an_endless_program_neither_hangs_the_kernel_nor_starves_its_neighbour() -> None:
    machine = Machine()

    def busy(_: Process) -> Body:
        while True:
            yield calls.Work(1e-6)

    ticks: list[int] = []
    machine.spawn(busy)
    machine.spawn(ticker(ticks))
    machine.go_on(0.5)
    machine.spawn(ticker(ticks))
    machine.go_on(2)
    assert len(ticks) >= 3


def test_a_program_that_looks_after_no_error_ends_with_one() -> None:
    machine = Machine()

    def careless(_: Process) -> Body:
        yield calls.Close(99)
        yield calls.Read(99, 1)
        return 0

    process = machine.spawn(careless)
    machine.go_on(1)
    assert process.status == 1


def test_exec_keeps_what_is_inherited_and_no_more() -> None:
    machine = Machine()
    reading, writing = new_pipe(10)
    reading.opened()
    found: list[object] = []

    def second(process: Process) -> Body:
        found.extend((process.argv, dict(process.dispositions), sorted(process.files)))
        yield calls.Write(1, b"x")
        return 6

    def first(_: Process) -> Body:
        yield calls.Handle(signal.SIGINT, Disposition.IGNORE)
        yield calls.Handle(signal.SIGTERM, Disposition.CATCH)
        yield calls.Duplicate(1, None)
        yield calls.Exec(second, ("second",), {})
        return 0

    process = machine.spawn(first, {1: writing})
    machine.go_on(1)
    assert process.status == 6
    assert found == [("second",), {signal.SIGINT: Disposition.IGNORE}, [1]]
    assert (reading.read(10), reading.read(10)) == (b"x", b"")
