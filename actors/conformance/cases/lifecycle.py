"""Create, start and remove: in order, twice, out of order, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal, quick, refused

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()


@CASES.add(
    "start.runs-init",
    title="Start lets the init run, and not before",
    does="creates a container whose init prints a sum, waits, then starts it",
    expects="no output before the start, the sum after it, exit code 0",
    why="virtcontainers startContainer; agent.proto StartContainer",
)
async def start_runs_init(kata: Kata) -> None:
    container = await kata.create(kata.spec("sh", "-c", "echo sum-$((40 + 2))"))
    await container.start()
    done = await container.init.finish()
    equal(done.stdout, b"sum-42\n", "its output")
    equal(done.code, 0, "exit code")


@CASES.add(
    "start.twice-refused",
    title="A second start is refused at once",
    does="starts a running container again",
    expects="a refusal within 5 s, and the container runs on",
    why="agent-semantics 6.1 (1): the Rust agent opens exec.fifo under its lock and stops answering anybody",
)
async def start_twice(kata: Kata) -> None:
    container = await kata.run()
    with quick("a second start is answered", 5.0), refused("a second start"):
        await container.start()
    equal((await container.sh("echo alive-$((6 * 7))")).stdout, b"alive-42\n", "an exec afterwards prints")


@CASES.add(
    "create.duplicate-refused",
    title="A container id that is taken is refused, and its owner is unharmed",
    does="creates a container again under the id of a running one",
    expects="already_exists; the first container still runs",
    why="agent-semantics 6.1 (3): the Rust agent's roll-back kills the living container of that id",
)
async def create_duplicate(kata: Kata) -> None:
    container = await kata.run()
    with refused("a second create with the same id", "already_exists"):
        await kata.call("CreateContainer", container_id=container.id, exec_id=container.id, OCI=kata.spec())
    equal((await container.sh("echo alive-$((6 * 7))")).stdout, b"alive-42\n", "an exec afterwards prints")


@CASES.add(
    "remove.ends-and-frees",
    title="Remove ends what runs, and frees the id",
    does="removes a running container, asks for it, and makes another of the same id",
    expects="what waits for it is told 137, it is not_found afterwards, and its id can be used again",
    why="kata-agent do_remove_container: SIGKILL to all; agent-semantics 6.3 (34)",
)
async def remove_frees(kata: Kata) -> None:
    container = await kata.run()
    await container.remove()
    with refused("an exec in what was removed", "not_found"):
        await container.exec("true")
    again = await kata.create(kata.spec("sh", "-c", "echo again-$((20 + 1))"), named=container.id)
    await again.start()
    equal(await again.init.rest(), b"again-21\n", "its output")


@CASES.add(
    "remove.unknown-refused",
    title="Removing a container that is not there is told",
    does="removes an id that nobody has used",
    expects="not_found",
    why="agent-semantics 1.3: delete missing; force is the client's affair",
)
async def remove_unknown(kata: Kata) -> None:
    with refused("remove of an unknown container", "not_found"):
        await kata.call("RemoveContainer", container_id=kata.fresh())


@CASES.add(
    "wait.exit-code",
    title="An exec's exit code is told",
    does="runs a shell that exits with 7, reads its output to the end and waits",
    expects="status 7",
    why="agent.proto WaitProcess",
)
async def wait_exit_code(kata: Kata) -> None:
    container = await kata.run()
    equal((await container.sh("exit $((3 + 4))")).code, 7, "exit code")


@CASES.add(
    "exec.output",
    title="Both outputs of an exec are read, each by itself, up to their ends",
    does="runs a shell that prints one word to stdout and another to stderr",
    expects="each word on its own stream, then the end of both",
    why="agent.proto ReadStdout, ReadStderr: empty data is the end (kata-agent 700bddeecc)",
)
async def exec_output(kata: Kata) -> None:
    container = await kata.run()
    done = await container.sh("echo out-$((1 + 1)); echo err-$((2 + 2)) >&2")
    check(done.stdout == b"out-2\n", "b'out-2\\n' on stdout", done.stdout)
    check(done.stderr == b"err-4\n", "b'err-4\\n' on stderr", done.stderr)
