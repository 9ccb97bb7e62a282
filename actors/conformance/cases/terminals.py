"""Processes with a terminal, and TtyWinResize."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal, is_loss
from actors.conformance.kata_container import at_most
from actors.conformance.together import OK, outcome
from actors.errors import KatrioError
from actors.wire.spec import TerminalSize

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()

TTY = ("tty",)


@CASES.add(
    "tty.is-one",
    title="An exec with a terminal has one on all three streams",
    does="runs a shell with a terminal that tests its descriptors, and one without",
    expects="terminals in the first, none in the second",
    why="OCI runtime spec, process.terminal",
    needs=TTY,
)
async def is_one(kata: Kata) -> None:
    container = await kata.run()
    script = "for fd in 0 1 2; do test -t $fd && echo yes-$fd || echo no-$fd; done"
    seen = (await (await container.spawn(script, tty=True)).rest()).split()
    equal(seen, [b"yes-0", b"yes-1", b"yes-2"], "with a terminal")
    equal((await container.sh(script)).stdout.split(), [b"no-0", b"no-1", b"no-2"], "without")


@CASES.add(
    "tty.init",
    title="An init can have a terminal",
    does="starts a container with a terminal whose init says so, reads it, types a line",
    expects="its words and what it read, and exit code 8",
    why="OCI runtime spec, process.terminal",
    needs=TTY,
)
async def init(kata: Kata) -> None:
    container = await kata.shell("test -t 0 && echo tty-$((1 + 1)); read line; echo got-$line; exit 8", tty=True)
    await container.init.until("tty-2")
    await container.init.write(b"typed\n")
    await container.init.until("got-typed")
    await container.init.rest()
    equal(await container.init.wait(), 8, "exit code")


@CASES.add(
    "tty.stderr-on-stdout",
    title="With a terminal stderr comes with stdout, and a read of stderr takes nothing away",
    does="prints to both outputs of a process with a terminal, with a reader on each",
    expects="all words on stdout, in order; the end, or nothing, on stderr",
    why="agent-semantics 6.4 (50): both readers read the same master, and split the output",
    needs=TTY,
)
async def stderr_on_stdout(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn(
        "read go; i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo out-$i; echo err-$i >&2; done", tty=True
    )
    stolen = bytearray()

    async def stderr() -> None:
        try:
            while data := await process.read("ReadStderr"):
                stolen.extend(data)
                at_most(stolen)
        except KatrioError as error:
            if is_loss(error):
                raise
            # a refusal is as good: nothing was written

    async with kata.together() as nursery:
        nursery.start_soon(stderr)
        await kata.under_way()
        await process.write(b"go\n")
        seen = (await process.rest()).split()
        # time for a message in flight to the other reader
        await kata.pass_time(0.2)
        nursery.cancel_scope.cancel()
    wanted = [word for number in range(1, 21) for word in (f"out-{number}".encode(), f"err-{number}".encode())]
    equal(seen[-40:], wanted, "on stdout")
    equal(bytes(stolen), b"", "on stderr")


@CASES.add(
    "tty.echo-and-lines",
    title="A terminal echoes what is typed, and gives it line by line",
    does="types a line to `cat` in a terminal",
    expects="the line twice: the echo, and what cat prints",
    why="termios: a fresh terminal echoes and is canonical",
    needs=TTY,
)
async def echo(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo up-$((1 + 2)); cat", tty=True)
    await process.until("up-3")
    await process.write(b"hello\n")
    seen = await process.until("hello\r\nhello\r\n")
    check(b"hello\r\nhello\r\n" in seen, "the echo and the line", seen)


@CASES.add(
    "tty.interrupt",
    title="^C in a terminal interrupts what runs there",
    does="types ^C to a sleep in a terminal",
    expects="exit code 130",
    why="termios: VINTR sends SIGINT to the foreground",
    needs=TTY,
)
async def interrupt(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo up-$((2 + 2)); exec sleep 100000", tty=True)
    await process.until("up-4")
    await process.write(b"\x03")
    equal(await process.wait(), 130, "exit code")


@CASES.add(
    "tty.end-of-input",
    title="^D at the beginning of a line is the end of input",
    does="types a line and ^D to a shell that reads to the end",
    expects="it ends with 17",
    why="termios: VEOF",
    needs=TTY,
)
async def end_of_input(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo up-$((2 + 3)); cat > /dev/null; exit 17", tty=True)
    await process.until("up-5")
    await process.write(b"line\n\x04")
    equal(await process.wait(), 17, "exit code")


@CASES.add(
    "tty.close-stdin-spares-session",
    title="Closing the input of a terminal does not hang up its session",
    does="closes the input of a shell in a terminal, then types to it",
    expects="ok, and the shell still answers",
    why="agent-semantics 1.3, 6.4 (49): the Rust agent closes the master, and all get SIGHUP",
    needs=TTY,
)
async def close_stdin(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo up-$((3 + 3)); read line; echo got-$line; sleep 100000", tty=True)
    await process.until("up-6")
    await process.close_stdin()
    await kata.pass_time(0.3)
    await process.write(b"alive\n")
    await process.until("got-alive")


@CASES.add(
    "resize.seen",
    title="A new size is seen in the terminal",
    does="resizes a terminal to 33 rows and 101 columns, then to 44 and 55",
    expects="`stty size` says so each time",
    why="agent.proto TtyWinResize: row, column",
    needs=TTY,
)
async def resize_seen(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo up-$((3 + 4)); while read line; do stty size; done", tty=True)
    await process.until("up-7")
    for rows, columns in ((33, 101), (44, 55)):
        await process.resize(rows, columns)
        await process.write(b"\n")
        await process.until(f"{rows} {columns}\r\n")


@CASES.add(
    "resize.told",
    title="What runs in a terminal is told of a new size",
    does="resizes the terminal of a shell with a handler for WINCH",
    expects="the handler runs",
    why="tty_ioctl(4): TIOCSWINSZ sends SIGWINCH to the foreground",
    needs=TTY,
)
async def resize_told(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn(
        "trap 'echo changed-$((4 + 4))' WINCH; echo up-$((4 + 5)); while true; do sleep 0.1; done", tty=True
    )
    await process.until("up-9")
    await process.resize(20, 70)
    await process.until("changed-8")


@CASES.add(
    "resize.init",
    title="An init's terminal can be resized",
    does="resizes the terminal of an init that prints its size when it is asked",
    expects="the new size",
    why="agent.proto: the init's exec_id is its container's id",
    needs=TTY,
)
async def resize_init(kata: Kata) -> None:
    container = await kata.shell("echo up-$((5 + 5)); while read line; do stty size; done", tty=True)
    await container.init.until("up-10")
    await container.init.resize(12, 34)
    await container.init.write(b"\n")
    await container.init.until("12 34\r\n")


@CASES.add(
    "resize.first-size",
    title="A terminal begins with the size of its specification",
    does="executes with ConsoleSize 21 by 63, and asks for the size at once",
    expects="21 63",
    why="OCI runtime spec, process.consoleSize",
    needs=TTY,
)
async def first_size(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("stty size", tty=True, size=TerminalSize(21, 63))
    equal((await process.rest()).split(), [b"21", b"63"], "its size")


@CASES.add(
    "resize.before-start",
    title="A size that is given before the start is kept, or refused",
    does="creates a container with a terminal, resizes it to 31 rows and 92 columns, starts it, and asks its init for the size",
    expects="a refusal and an init that runs, or ok and 31 92",
    why="agent-semantics 6.4 (42): a client resizes as soon as it has created; the size is lost",
    needs=TTY,
)
async def before_start(kata: Kata) -> None:
    container = await kata.create(kata.spec("sh", "-c", "stty size; exit 29", tty=True))
    with kata.quick("a resize before the start is answered"):
        answer = await outcome(container.init.resize(31, 92))
    await container.start()
    seen = (await container.init.rest()).split()
    if answer == OK:
        equal(seen, [b"31", b"92"], "its size")
    equal(await container.init.wait(), 29, "exit code")


@CASES.add(
    "resize.after-exit",
    title="A resize of what has ended harms nothing",
    does="resizes the terminal of an exec that has exited with 30, asks for its code, and runs another",
    expects="ok or a refusal, soon; no other code than 30, and the container is healthy",
    why="agent-semantics 6.4 (42): a window that changes as its process ends",
    needs=TTY,
)
async def after_exit(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("exit 30", tty=True)
    equal(await process.rest(), b"", "its output")
    equal(await process.wait(), 30, "exit code")
    with kata.quick("a resize of what has ended is answered"):
        await outcome(process.resize(31, 92))
    await process.still_tells(30)
    await container.check_alive()


@CASES.add(
    "resize.without-terminal-refused",
    title="What has no terminal can't be resized",
    does="resizes an exec without a terminal",
    expects="invalid_transition (FAILED_PRECONDITION); the exec goes on",
    why="agent-semantics 1.3, winsize, no tty; 1.x answers so, the Rust agent UNAVAILABLE",
)
async def without_terminal(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("cat")
    with kata.refused("a resize without a terminal", "invalid_transition"):
        await process.resize(10, 10)
    await process.write(b"still here\n")
    equal(await process.until("\n"), b"still here\n", "its output")


@CASES.add(
    "resize.unknown-refused",
    title="A terminal that is not there can't be resized",
    does="resizes an exec id that nobody has used",
    expects="not_found",
    why="agent-semantics 5.1: unknown process NOT_FOUND",
)
async def resize_unknown(kata: Kata) -> None:
    container = await kata.run()
    with kata.refused("a resize of an unknown exec", "not_found"):
        await kata.call("TtyWinResize", container_id=container.id, exec_id=kata.fresh("ex"), row=10, column=10)


@CASES.add(
    "tty.hang-up-with-leader",
    title="A terminal's output ends with the process that it belongs to",
    does="reads a terminal whose shell prints and ends with 19",
    expects="its line, then the end soon, and 19",
    why="agent-semantics 5.2: after an exit at most 500 ms of waiting; a pty's EIO is the end",
    needs=TTY,
)
async def hang_up(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo bye-$((6 + 6)); exit 19", tty=True)
    equal(await process.until("\n"), b"bye-12\r\n", "its output")
    with kata.quick("the end of a terminal's output is told"), kata.done("a read at the end of a terminal's output"):
        equal(await process.read(), b"", "the end is")
    equal(await process.wait(), 19, "exit code")
