"""Simulated terminals and files by themselves: what is typed, shown, mended, hung up; what a disk holds."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.simulation.box.kernel import calls
from actors.simulation.box.kernel.calls import CallFailed, Disposition
from actors.simulation.box.kernel.terminal import Terminal
from actors.simulation.image import busybox_tree
from tests.support.simulated import Machine, idle

if TYPE_CHECKING:
    from actors.simulation.box.kernel.calls import Body
    from actors.simulation.box.kernel.process import Process

MIB = 1024 * 1024


def terminal_with_reader() -> tuple[Machine, Terminal, list[bytes], Process]:
    machine, terminal, lines = Machine(), Terminal(24, 80), list[bytes]()

    def reader(_: Process) -> Body:
        while data := (yield calls.Read(0, 4096)):
            lines.append(data)
        return 0

    process = machine.spawn(reader, {0: terminal, 1: terminal})
    machine.go_on(1)
    return machine, terminal, lines, process


@given(
    st.lists(st.binary(max_size=20).map(lambda data: bytes(byte % 26 + 97 for byte in data)), max_size=10), st.data()
)
def test_lines_reach_the_reader_whole_and_in_order_however_they_are_typed(
    lines: list[bytes], data: st.DataObject
) -> None:
    machine, terminal, seen, process = terminal_with_reader()
    typed = b"".join(line + b"\r" for line in lines) + b"\x04"
    shown = b""
    while typed:
        size = data.draw(st.integers(1, len(typed)))
        taken = terminal.master_write(typed[:size])
        assert taken is not None
        typed = typed[taken:]
        machine.go_on(0)
        shown += terminal.master_read(10_000) or b""
    machine.go_on(1)
    assert seen == [line + b"\n" for line in lines]
    assert shown == b"".join(line + b"\r\n" for line in lines)
    assert process.status == 0


def test_a_line_can_be_mended_before_it_is_sent() -> None:
    machine, terminal, seen, _ = terminal_with_reader()
    terminal.master_write(b"abX\x7fc\rwrong\x15right\r")
    machine.go_on(1)
    assert seen == [b"abc\n", b"right\n"]
    assert terminal.master_read(1000) == b"abX\b \bc\r\nwrong" + b"\b \b" * 5 + b"right\r\n"


def test_echo_and_lines_can_be_turned_off() -> None:
    machine, terminal, seen, _ = terminal_with_reader()
    terminal.echo = False
    terminal.master_write(b"secret\r")
    terminal.lines = False
    terminal.master_write(b"a")
    machine.go_on(1)
    assert seen == [b"secret\n", b"a"]
    assert terminal.master_read(1000) is None


def test_hanging_up_ends_who_does_not_ignore_it() -> None:
    machine, terminal, _, process = terminal_with_reader()
    errors: list[str] = []

    def hardened(_: Process) -> Body:
        yield calls.Handle(signal.SIGHUP, Disposition.IGNORE)
        assert (yield calls.Read(0, 10)) == b""
        try:
            yield calls.Write(1, b"x")
        except CallFailed as failed:
            errors.append(failed.error)
            return 5
        return 0

    other = machine.spawn(hardened, {0: terminal, 1: terminal})
    machine.go_on(1)
    terminal.hang_up()
    machine.go_on(1)
    assert (process.status, other.status) == (128 + signal.SIGHUP, 5)
    assert errors == ["Input/output error"]
    assert terminal.master_read(10) == b""
    with pytest.raises(CallFailed):
        terminal.master_write(b"x")


def test_a_reader_that_never_reads_stops_the_typing_and_a_too_long_line_loses_its_rest() -> None:
    machine = Machine()
    terminal = Terminal(24, 80)
    machine.spawn(idle, {0: terminal})
    assert terminal.master_write(b"x" * 5000) == 4096
    assert terminal.master_write(b"y\r") == 2
    assert terminal.master_write(b"more") is None
    assert terminal.read(5000) == b"x" * 4095 + b"\n"


# files


def test_a_full_disk_is_an_error_and_removing_makes_room() -> None:
    tree = busybox_tree(readonly=False)
    file = tree.open("/tmp/a", "w")
    block = bytes(MIB)
    for _ in range(64):
        assert file.write(block) == MIB
    with pytest.raises(CallFailed, match="No space left on device"):
        file.write(b"x")
    tree.remove("/tmp/a")
    assert tree.open("/tmp/b", "w").write(block) == MIB


def test_a_file_has_one_content_and_each_opening_its_own_offset() -> None:
    tree = busybox_tree(readonly=False)
    writer, appender, reader = tree.open("/tmp/a", "w"), tree.open("/tmp/a", "a"), tree.open("/tmp/a", "r")
    writer.write(b"one")
    appender.write(b"two")
    writer.write(b"X")
    assert reader.read(100) == b"oneXwo"
    assert reader.read(100) == b""
    with pytest.raises(CallFailed, match="Bad file descriptor"):
        reader.write(b"x")
