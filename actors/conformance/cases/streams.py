"""ReadStdout, ReadStderr, WriteStdin and CloseStdin: every byte, in order, up to end of file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.conformance.case import Cases, FallsShort
from actors.conformance.expect import check, equal, is_loss
from actors.errors import KatrioError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()

KIB = 1024
# as long as a prime, so that bytes at two places of a buffer differ
_PATTERN = bytes(index * 7 % 251 for index in range(251))


@CASES.add(
    "stdin.reaches-process",
    title="What is written is what a process reads",
    does="writes lines to a shell that adds them up, closes its input, and reads what it prints",
    expects="the sum 42, and exit code 0",
    why="agent.proto WriteStdin, CloseStdin",
)
async def reaches(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("s=0; while read n; do s=$((s+n)); done; echo sum-$s")
    equal(await process.write(b"12\n"), 3, "bytes taken:")
    equal(await process.write(b"30\n"), 3, "bytes taken:")
    await process.close_stdin()
    done = await process.finish()
    equal(done.stdout, b"sum-42\n", "its output")
    equal(done.code, 0, "exit code")


@CASES.add(
    "stdin.to-init",
    title="An init has an input too",
    does="writes to an init that is `cat`, reads it back, closes its input and waits",
    expects="the bytes, then the end, exit code 0",
    why="agent.proto: the init's exec_id is its container's id",
)
async def to_init(kata: Kata) -> None:
    container = await kata.run("cat")
    await container.init.write(b"there and back\n")
    equal(await container.init.until("\n"), b"there and back\n", "what came back")
    await container.init.close_stdin()
    done = await container.init.finish()
    check(done.stdout == b"" and done.code == 0, "the end and exit code 0", done)


@CASES.add(
    "stdin.binary",
    title="Input and output are bytes, not text",
    does="sends all 256 values through `cat`, twice",
    expects="the same bytes in the same order",
    why="agent.proto: fields of type bytes",
)
async def binary(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("cat")
    data = bytes(range(256)) * 2
    await process.write(data)
    await process.close_stdin()
    equal(await process.rest(), data, "what came back")


@CASES.add(
    "stdin.large",
    title="A large input arrives whole",
    does="sends 1 MiB in four writes through `cat`, while its output is read",
    expects="1 MiB, the same bytes in the same order",
    why="agent-semantics 6.4 (44), (46): a full pipe makes a writer wait, nothing is lost",
)
async def large(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("cat")
    pieces = [(_PATTERN * (1 + 256 * KIB // len(_PATTERN)))[number : number + 256 * KIB] for number in range(4)]

    async def write() -> None:
        for piece in pieces:
            rest = piece
            while rest:
                taken = await process.write(rest)
                if not 0 < taken <= len(rest):
                    raise FallsShort(f"1 to {len(rest)} bytes taken", str(taken))
                rest = rest[taken:]
        await process.close_stdin()

    async with kata.together() as nursery:
        nursery.start_soon(write)
        seen = await process.rest()
    wanted = b"".join(pieces)
    check(
        seen == wanted,
        f"{len(wanted)} bytes as they were sent",
        f"{len(seen)} bytes, {_first_difference(seen, wanted)}",
    )


def _first_difference(seen: bytes | bytearray, wanted: bytes) -> str:
    least = min(len(seen), len(wanted))
    if seen[:least] == wanted[:least]:
        return "the same as far as they go"
    place = next(index for index in range(least) if seen[index] != wanted[index])
    return f"other ones from byte {place} on"


@CASES.add(
    "stdin.empty-write",
    title="An empty write does nothing, and does not close the input",
    does="writes nothing to `cat`, then a line",
    expects="0 bytes taken; the line comes back",
    why="agent-semantics 1.3, empty write; the Rust agent takes it for the end (kata-containers#9532)",
)
async def empty_write(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("cat")
    equal(await process.write(b""), 0, "bytes taken:")
    await process.write(b"after nothing\n")
    equal(await process.until("\n"), b"after nothing\n", "what came back")


@CASES.add(
    "stdin.close-ends-input",
    title="Closing the input lets its reader see the end, and its output stays readable",
    does="closes the input of a `cat` that has read a line, then reads on",
    expects="the line, the end, exit code 0",
    why="agent-semantics 6.4 (47), (48): the end comes after the last bytes, and closes nothing else",
)
async def close_ends(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("cat")
    await process.write(b"the last line\n")
    await process.close_stdin()
    done = await process.finish()
    equal(done.stdout, b"the last line\n", "its output")
    equal(done.code, 0, "exit code")


@CASES.add(
    "stdin.close-twice",
    title="Closing an input twice is no error",
    does="closes the input of a shell twice, and lets it end with 41",
    expects="ok twice, exit code 41",
    why="agent-semantics 1.3, 7.1 (3): repeated close-stdin is ok; 1.x's second errors",
)
async def close_twice(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("cat; exit $((40 + 1))")
    await process.close_stdin()
    await process.close_stdin()
    equal((await process.finish()).code, 41, "exit code")


@CASES.add(
    "stdin.write-after-close",
    title="A write after the close takes nothing, or is refused; it never hangs or pretends",
    does="closes a process's input, and writes to it",
    expects="0 bytes taken, or a refusal, soon; the process has ended by its input's end with 43",
    why="agent-semantics 1.3, write after stdin close: 0 bytes or like EPIPE",
)
async def write_after_close(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("cat; exit $((40 + 3))")
    await process.close_stdin()
    with kata.quick("a write after the close is answered"):
        equal(await _taken(process.write(b"too late")), 0, "bytes taken:")
    done = await process.finish()
    check(done.stdout == b"" and done.code == 43, "no output and exit code 43", done)


@CASES.add(
    "stdin.write-after-end",
    title="A write to a process that has ended takes nothing, or is refused",
    does="waits for an exec that exits with 44, and writes to it",
    expects="0 bytes taken, or a refusal, soon",
    why="agent-semantics 1.3, 6.4 (46)",
)
async def write_after_end(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("exit $((40 + 4))")
    equal(await process.wait(), 44, "exit code")
    with kata.quick("a write to what has ended is answered"):
        equal(await _taken(process.write(b"too late")), 0, "bytes taken:")


async def _taken(writing: Awaitable[int]) -> int:
    """The bytes written; 0 also for a refusal."""
    try:
        return await writing
    except KatrioError as error:
        if is_loss(error):
            raise
        return 0


@CASES.add(
    "stdin.close-beside-write",
    title="A close does not wait for a writer that is stuck",
    does="fills the input of a process that never reads, and closes it meanwhile",
    expects="the close is answered soon, and so is the writer once the process has ended",
    why="agent-semantics 6.4 (46): kata-containers/runtime#439, kata-containers#2884: the closer waited for ever",
)
async def close_beside_write(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("sleep", "100000")
    written: list[int] = []

    async def write() -> None:
        written.append(await _taken(process.write(b"x" * (3 * 1024 * KIB))))

    async with kata.together() as nursery:
        nursery.start_soon(write)
        await kata.pass_time(0.5)
        with kata.quick("the close is answered"):
            await process.close_stdin()
        await process.signal(9)
        equal(await process.wait(), 137, "exit code")
        await kata.comes("the writer is answered", written)
    check(written[0] < 3 * 1024 * KIB, "fewer bytes taken than were sent", written)


@CASES.add(
    "stdin.unknown-refused",
    title="A write to a process that is not there is refused",
    does="writes to an exec id that nobody has used, and in a container that is not there",
    expects="not_found for both",
    why="agent-semantics 5.1: INTERNAL for both in the Rust agent; 7.1 (3): typed NOT_FOUND",
)
async def unknown(kata: Kata) -> None:
    container = await kata.run()
    with kata.refused("a write to an unknown exec", "not_found"):
        await kata.call("WriteStdin", container_id=container.id, exec_id=kata.fresh("ex"), data=b"x")
    with kata.refused("a write in an unknown container", "not_found"):
        await kata.call("WriteStdin", container_id=kata.fresh(), exec_id=kata.fresh("ex"), data=b"x")


@CASES.add(
    "stdout.at-most-asked",
    title="A read returns at most as many bytes as were asked for, and loses none",
    does="reads ten bytes of output three at a time",
    expects="pieces of 1 to 3 bytes that make up the ten",
    why="agent.proto ReadStdout: len",
)
async def at_most_asked(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("printf 0123456789")
    pieces: list[bytes] = []
    while piece := await process.read(size=3):
        pieces.append(piece)
    equal(b"".join(pieces), b"0123456789", "its output")


@CASES.add(
    "stdout.end-again",
    title="The end of an output is told as often as it is asked for",
    does="reads an output to its end, and reads twice more",
    expects="empty each time, soon",
    why="agent-semantics 5.2: empty is EOF",
)
async def end_again(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo last-$((4 + 5))")
    equal(await process.rest(), b"last-9\n", "its output")
    with kata.quick("a read at the end is answered"):
        for _ in range(2):
            equal(await process.read(), b"", "at the end")


@CASES.add(
    "stdout.waits-for-data",
    title="A read waits until there is something",
    does="reads the output of a process that prints after 0.7 s",
    expects="the bytes, not an early end",
    why="agent-semantics 5.2: a long poll; empty would mean the end",
)
async def waits_for_data(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("sleep 0.7; echo late-$((6 + 6))")
    equal(await process.read(), b"late-12\n", "the first read")


@CASES.add(
    "stdout.large",
    title="A large output is read whole, in order, however slow its reader",
    does="reads 120,000 numbered lines with a pause every now and then",
    expects="every line once, in order, and exit code 0",
    why="agent-semantics 6.4 (44): a slow reader holds its writer back, nothing is lost",
)
async def large_output(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("seq 1 120000")
    seen = bytearray()
    while data := await process.read():
        seen += data
        if len(seen) % 7 == 0:
            await kata.pass_time(0.02)
    wanted = b"".join(b"%d\n" % number for number in range(1, 120001))
    check(
        bytes(seen) == wanted, f"{len(wanted)} bytes in order", f"{len(seen)} bytes, {_first_difference(seen, wanted)}"
    )
    equal(await process.wait(), 0, "exit code")


@CASES.add(
    "stdout.full-pipe-blocks-nobody",
    title="A process that nobody reads holds up nobody else",
    does="lets an exec print without end and never reads it; runs another exec meanwhile, and kills the first",
    expects="the other works soon; the first ends with 137",
    why="agent-semantics 6.4 (44), 6.3 (41): a stalled reader stalls the agent",
)
async def full_pipe(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("yes", "nobody reads this")
    await kata.pass_time(0.5)
    with kata.quick("an exec beside it"):
        await container.check_alive()
    await process.signal(9)
    equal(await process.wait(), 137, "exit code")


@CASES.add(
    "stdout.both-at-once",
    title="A silent stream does not keep the other from being read",
    does="reads both outputs of a process that prints to stderr alone",
    expects="what it printed, while the read of stdout still waits",
    why="agent-semantics 5.2: readers wait per stream",
)
async def both_at_once(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo only-$((3 + 8)) >&2; exec sleep 100000")
    seen: list[bytes] = []

    async def stdout() -> None:
        seen.append(await process.read())

    async with kata.together() as nursery:
        nursery.start_soon(stdout)
        await kata.pass_time(0.2)
        equal(await process.until("\n", "ReadStderr"), b"only-11\n", "on stderr")
        equal(seen, [], "on stdout so far")
        await process.signal(9)
    equal(seen, [b""], "on stdout at the end")


@CASES.add(
    "stdout.after-exit",
    title="What a process printed can be read after its end",
    does="reads the output of an exec half a second after it has ended",
    expects="all of it",
    why="agent-semantics 6.3 (25): kata-containers/runtime#35: short-lived commands print nothing",
)
async def after_exit(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo early-$((7 + 8)); exit 1")
    await kata.pass_time(0.6)
    equal(await process.rest(), b"early-15\n", "its output")


@CASES.add(
    "stdout.huge-length-bounded",
    title="A read that asks for 4 GiB is answered with what there is",
    does="reads a line with len 4294967295",
    expects="the line, and an agent that still works",
    why="agent-semantics 6.4 (53): the agent allocates `len` bytes first",
    fatal=True,
)
async def huge_length(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("echo small-$((9 + 9)); sleep 100000")
    answer = await kata.call("ReadStdout", container_id=container.id, exec_id=process.id, len=2**32 - 1)
    equal(answer.data, b"small-18\n", "what was read")
    await container.check_alive()


@CASES.add(
    "stdout.unknown-refused",
    title="A read from a process that is not there is refused",
    does="reads from an exec id that nobody has used, and in a container that is not there",
    expects="not_found for both, soon: an end would be taken for a silent process",
    why="agent-semantics 5.1: unknown process NOT_FOUND",
)
async def read_unknown(kata: Kata) -> None:
    container = await kata.run()
    with kata.quick("reads of what is not there are answered"):
        with kata.refused("a read from an unknown exec", "not_found"):
            await kata.call("ReadStdout", container_id=container.id, exec_id=kata.fresh("ex"), len=10)
        with kata.refused("a read in an unknown container", "not_found"):
            await kata.call("ReadStderr", container_id=kata.fresh(), exec_id=kata.fresh("ex"), len=10)


@CASES.add(
    "stdout.waiting-read-blocks-nobody",
    title="Reads that wait hold up nothing else on their link",
    does="reads 20 silent processes at once over one link, and runs another exec over the same",
    expects="the other works soon",
    why="agent-semantics 6.5 (55), 7.1 (8): long polls share a link",
)
async def waiting_reads(kata: Kata) -> None:
    container = await kata.run()
    processes = [await container.exec("sleep", "100000") for _ in range(5)]
    async with kata.together() as nursery:
        for process in processes:
            for stream in ("ReadStdout", "ReadStderr") * 2:
                nursery.start_soon(process.read, stream)
        await kata.pass_time(0.2)
        with kata.quick("an exec beside 20 reads"):
            await container.check_alive()
        nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint()
