"""Every simulated program, with whatever arguments and input: it ends, or waits, and never falls over."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.simulation.box.kernel.execution import CALLS
from actors.simulation.box.kernel.files import Null, PlainFile
from actors.simulation.box.kernel.kernel import Kernel
from actors.simulation.box.kernel.process import Container, Launch
from actors.simulation.box.kernel.terminal import Terminal
from actors.simulation.box.programs.table import PROGRAMS
from actors.simulation.image import busybox_tree

WORDS = st.sampled_from(
    [
        "", "-", "--", "-n", "-c", "-r", "-f", "-p", "-d", "-s", "-e", "-o", "-i", "-u", "-w", "-m", "-1", "+1", "-5", "0", "1", "3", "1k", "2M",
        "9" * 30, "0.01", "inf", "infinity", "/", "/etc/passwd", "/tmp", "/tmp/x", "/nowhere/x", "/dev/null", "/dev/full", "/dev/tty", "a", "a-c",
        "c-a", "[:alpha:]", "[", "]", "(", ")", "!", "=", "-eq", "-t", "*", "[a", "a\\", "\\(", "%s", "%d", "%*d", "%999999d", "%", "\\c", "\\x",
        "bs=1", "bs=3M", "count=2", "if=/etc/group", "if=/nowhere", "of=/tmp/y", "of=/tmp", "NAME=value", "sh", "echo", "sleep", "size", "rows",
        "pid,args", "nope", "TERM", "KILL", "1,3-5,7-", ",", "+%s", "é", "\udcff",
    ]
)  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
@settings(max_examples=60)
@given(
    arguments=st.lists(WORDS, max_size=5),
    stdin=st.binary(max_size=200) | st.just(b"one\ntwo\ntwo\n\n10 x\n"),
    on_a_terminal=st.booleans(),
)
def test_a_program_never_falls_over(name: str, arguments: list[str], stdin: bytes, on_a_terminal: bool) -> None:
    kernel = Kernel(random.Random(0).random, CALLS)
    container = Container("box", busybox_tree(readonly=False), hostname="box")
    container.memory_limit = 32 * 1024 * 1024
    container.process_limit = 10
    terminal = Terminal(24, 80) if on_a_terminal else None
    files = {
        0: terminal or PlainFile(bytearray(stdin), "r", lambda _: False),
        1: terminal or Null(),
        2: terminal or Null(),
    }
    launch = Launch(
        PROGRAMS[name].run, (name, *arguments), {"PATH": "/bin", "HOME": "/root"}, "/", files, terminal=terminal
    )
    process = kernel.spawn(container, launch)
    if terminal is not None:
        terminal.master_write(stdin)
    kernel.run(0)
    for _ in range(50):
        if terminal is not None:
            terminal.master_read(1024 * 1024)
        kernel.run(min(kernel.next_time(), kernel.now + 0.1))
    assert process.status is None or 0 <= process.status <= 255
