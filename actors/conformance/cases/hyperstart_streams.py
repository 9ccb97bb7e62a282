"""hyperstart's stream channel: input in slices, outputs of many processes, terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.conformance.case import Cases
from actors.conformance.cases.hyperstart import SOON, refused_command
from actors.conformance.expect import check, equal
from actors.node.protocols import GuestProtocol
from transports.hyperstart.codec import Code

if TYPE_CHECKING:
    from actors.conformance.hyperstart import Container, Hyperstart

__all__ = ["CASES"]

CASES = Cases(protocols=(GuestProtocol.HYPERSTART,))

LINES = 5000
LINE = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n"


@CASES.add(
    "hyperstart.input",
    title="Input reaches its process, and so does its end",
    does="writes three lines to `cat`, and an empty frame",
    expects="the lines come back; status 0",
    why="hyperstart-wire 8: an empty payload closes the input",
)
async def input_and_end(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.exec("cat")
    for line in (b"one\n", b"two\n", b"three\n"):
        await process.write(line)
    await process.close_stdin()
    done = await process.finish()
    equal((done.stdout, done.code), (b"one\ntwo\nthree\n", 0), "output and status are")


@CASES.add(
    "hyperstart.input-slices",
    title="Input in slices of 512 bytes arrives whole at a process that reads",
    does="writes 20 KB to `cat` in slices, each once the one before has come back, and closes its input",
    expects="every slice comes back, then the end",
    why="hyperstart-wire 8: observed: what is more than 512 bytes at once is dropped; a slice is not",
)
async def input_slices(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.exec("cat")
    for number in range(40):
        # the protocol has no flow control: input that is not read in time may be dropped
        slice_ = bytes((number,)) * 512
        await process.write(slice_)
        equal(await process.exactly(512), slice_, f"slice {number}")
    await process.close_stdin()
    equal(await process.rest(), b"", "at the end")


@CASES.add(
    "hyperstart.input-for-nobody",
    title="Input for a sequence that nobody has is answered with an empty frame",
    does="sends input on a sequence of no process",
    expects="an empty frame on it within 8 s",
    why="hyperstart-wire 8: observed",
)
async def input_for_nobody(guest: Hyperstart) -> None:
    nobody = guest.link.open_process(guest.fresh(), "nobody", terminal=False)
    try:
        await guest.link.write(nobody, b"hello")
        with guest.quick("input for nobody is answered", SOON):
            equal(await nobody.read(nobody.stdio, 1), b"", "what comes on its sequence is")
    finally:
        guest.link.forget(nobody)


@CASES.add(
    "hyperstart.output-large",
    title="A large output comes whole and in order",
    does="runs a process that prints 320 KB",
    expects="every byte",
    why="hyperstart-wire 8: output has back-pressure: what is not read makes the process wait",
)
async def output_large(guest: Hyperstart) -> None:
    container = await guest.run()
    done = await container.sh(f"yes {LINE.decode().strip()} | head -n {LINES}")
    check(done.stdout == LINE * LINES, f"{LINES} equal lines", f"{len(done.stdout)} bytes")


@CASES.add(
    "hyperstart.outputs-apart",
    title="Outputs of processes that run side by side do not mix",
    does="runs six processes at once, each of which prints its own word 50 times",
    expects="each one's word alone on its own sequence",
    why="hyperstart-wire 8: one channel for all streams, told apart by sequence",
)
async def outputs_apart(guest: Hyperstart) -> None:
    container = await guest.run()

    async def one(word: str) -> None:
        done = await container.sh(f"for i in $(seq 50); do echo {word}; done; echo {word} >&2")
        equal(done.stdout, f"{word}\n".encode() * 50, "its output is")
        equal(done.stderr, f"{word}\n".encode(), "its errors are")

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(one, f"word-{number}")


@CASES.add(
    "hyperstart.output-after-input",
    title="A process whose input was closed can still be read",
    does="closes the input of a process that prints afterwards",
    expects="all that it prints",
    why="agent-semantics 6.4 (48)",
)
async def output_after_input(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.spawn("cat; sleep 0.2; echo after")
    await process.write(b"before\n")
    await process.close_stdin()
    equal((await process.finish()).stdout, b"before\nafter\n", "its output is")


@CASES.add(
    "hyperstart.late-reader",
    title="Output that was not read in time is still there",
    does="runs a short process, lets half a second pass, then reads",
    expects="its output, and its status",
    why="hyperstart-wire 7: events and output are kept",
)
async def late_reader(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.spawn("echo out; echo err >&2; exit 5")
    await guest.pass_time(0.5)
    done = await process.finish()
    equal(done, (b"out\n", b"err\n", 5), "output, errors and status are")


@CASES.add(
    "hyperstart.terminal",
    title="A process with a terminal has one",
    does="runs a shell with a terminal that asks whether its streams are terminals",
    expects="yes; errors come with its output, lines end with CR LF",
    why="hyperstart-wire 7: terminal true",
    needs=("tty",),
)
async def terminal(guest: Hyperstart) -> None:
    container = await guest.run()
    done = await container.sh("test -t 0 && test -t 1 && echo yes; echo err >&2", tty=True)
    equal(done.stdout, b"yes\r\nerr\r\n", "its output is")


@CASES.add(
    "hyperstart.terminal-empty-frame",
    title="An empty frame does not end a terminal's input",
    does="sends an empty frame to a shell with a terminal, then a line",
    expects="the shell answers the line",
    why="hyperstart-wire 8: observed: ignored; 0x04 is the end",
    needs=("tty",),
)
async def terminal_empty_frame(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.spawn("stty -echo; echo ready; read line; echo got-$line", tty=True)
    await process.until("ready\r\n")
    await process.close_stdin()
    await process.write(b"more\n")
    await process.until("got-more")


@CASES.add(
    "hyperstart.winsize",
    title="A new size is seen in the terminal",
    does="sends WINSIZE with 33 rows and 77 columns, and asks the terminal",
    expects="33 77",
    why="hyperstart-wire 7: observed",
    needs=("tty",),
)
async def winsize(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.spawn("read line; stty size", tty=True)
    await process.resize(33, 77)
    await process.write(b"\n")
    await process.until("33 77")


@CASES.add(
    "hyperstart.winsize-refused",
    title="What has no terminal can't be resized",
    does="sends WINSIZE for an exec without a terminal, and for an id that nobody has used",
    expects="ERROR for both",
    why="hyperstart-wire 7: observed",
)
async def winsize_refused(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.exec("sleep", "1000")
    for name in (process.running.wire_id, guest.fresh()):
        body = {"container": container.id, "process": name, "row": 10, "column": 10}
        await refused_command(guest, Code.WINSIZE, body, "a winsize without a terminal")


@CASES.add(
    "hyperstart.background-child",
    title="A child in the background that holds the output holds the end of its process",
    does="runs a shell that leaves a child behind, which prints after 0.6 s, and exits with 6",
    expects="what the child prints before the end, then status 6",
    why="hyperstart-wire 7: observed: the event waits for all three ends",
)
async def background_child(guest: Hyperstart) -> None:
    container = await guest.run()
    done = await container.sh("(sleep 0.6; echo child) & exit 6")
    equal((done.stdout, done.code), (b"child\n", 6), "output and status are")


@CASES.add(
    "hyperstart.unread-output",
    title="An output that nobody reads does not hold up commands",
    does="leaves 600 KB of output unread; pings and signals beside it; then reads it",
    expects="the commands are answered within 8 s; every byte is there",
    why="hyperstart-wire 8: observed: output stalls its process, and ctl goes on",
    alone=True,
)
async def unread_output(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.spawn(f"yes {LINE.decode().strip()} | head -n {2 * LINES}")
    await guest.pass_time(0.3)
    with guest.quick("commands beside an output that nobody reads", SOON):
        await guest.command(Code.PING)
        await _signalled(container)
    seen = await process.rest()
    check(seen == LINE * 2 * LINES, f"{2 * LINES} equal lines", f"{len(seen)} bytes")


async def _signalled(container: Container) -> None:
    other = await container.exec("sleep", "1000")
    await other.signal(9)
    await other.running.wait_ended()
