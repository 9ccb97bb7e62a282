"""ExecProcess: what it runs, and when it must refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal
from actors.conformance.kata_container import Process
from actors.conformance.together import OK, outcome

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()


@CASES.add(
    "exec.output",
    title="Both outputs of an exec are read, each by itself, up to their ends",
    does="runs a shell that prints one word to stdout and another to stderr",
    expects="each word on its own stream, then the end of both",
    why="agent.proto ReadStdout, ReadStderr: empty data is the end (kata-agent 700bddeecc)",
)
async def output(kata: Kata) -> None:
    container = await kata.run()
    done = await container.sh("echo out-$((1 + 1)); echo err-$((2 + 2)) >&2")
    equal(done.stdout, b"out-2\n", "on stdout")
    equal(done.stderr, b"err-4\n", "on stderr")


@CASES.add(
    "exec.in-its-container",
    title="An exec runs among its container's processes and files",
    does="writes a file with one exec and reads it with another; looks for the init among the processes",
    expects="the file's content, and the init's program in the list",
    why="agent.proto ExecProcess: a process of the container",
)
async def in_its_container(kata: Kata) -> None:
    container = await kata.run("sleep", "87654")
    name = kata.fresh("file")
    await container.sh(f"echo content-$((3 * 5)) > /tmp/{name}")
    done = await container.sh(f"cat /tmp/{name}; rm /tmp/{name}; ps -ef")
    check(done.stdout.startswith(b"content-15\n"), "the file of the other exec", done.stdout)
    check(b"87654" in done.stdout, "the init in the list", done.stdout)


@CASES.add(
    "exec.environment-and-directory",
    title="An exec has an environment and a directory of its own",
    does="runs a shell with a variable and cwd /tmp in a container that has neither",
    expects="both as asked",
    why="OCI runtime spec, process; ExecProcess carries one",
)
async def environment(kata: Kata) -> None:
    container = await kata.run()
    done = await container.sh('echo "$COLOUR at $(pwd)"', env={"COLOUR": "dark blue"}, cwd="/tmp")
    equal(done.stdout, b"dark blue at /tmp\n", "its output")


@CASES.add(
    "exec.user",
    title="An exec runs as its own numeric user",
    does="runs `id -u` with uid 4321 in a container of root's",
    expects="4321",
    why="agent-semantics 2: exec's user and groups are numeric",
    needs=("isolation",),
)
async def user(kata: Kata) -> None:
    container = await kata.run()
    equal((await container.sh("id -u", user="4321:4321")).stdout, b"4321\n", "its output")


@CASES.add(
    "exec.missing-program-told",
    title="An exec of a program that is not there is told soon, and harms nobody",
    does="executes /no/such/program, then a shell in the same container",
    expects="soon a refusal, or exit code 126 or 127; the container is healthy",
    why="kata-containers#8026: hung for 60 s; #5724, #869",
)
async def missing_program(kata: Kata) -> None:
    container = await kata.run()
    name = kata.fresh("ex")
    with kata.quick("an exec of a missing program is answered"):
        if await outcome(container.exec("/no/such/program", named=name)) == OK:
            ended = (await Process(kata, container.id, name).finish()).code
            check(ended in (126, 127), "a refusal, or exit code 126 or 127", f"exit code {ended}")
    await container.check_alive()


@CASES.add(
    "exec.duplicate-refused",
    title="An exec id that is taken is refused, and its owner is unharmed",
    does="executes twice with the same id while the first one runs",
    expects="already_exists; the first still answers on its streams",
    why="agent-semantics 6.3 (26): silently overwritten until kata-agent 5f08cc75b3",
)
async def duplicate(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("cat")
    with kata.refused("a second exec with the same id", "already_exists", go_on=True):
        await container.exec("cat", named=process.id)
    await process.write(b"still here\n")
    equal(await process.until("\n"), b"still here\n", "the first one's output")


@CASES.add(
    "exec.container-id-refused",
    title="The container's own id is no exec id",
    does="executes with an exec id that equals the container's id, which is its init's",
    expects="a refusal; the init is still the init",
    why="agent.proto: an exec_id equal to the container's id means the init",
)
async def container_id(kata: Kata) -> None:
    container = await kata.ticking()
    with kata.refused("an exec with the init's id", go_on=True):
        await container.exec("cat", named=container.id)
    await container.init.until("tick-")


@CASES.add(
    "exec.without-process-refused",
    title="An exec without a process is refused",
    does="sends ExecProcess with no Process message",
    expects="a refusal; the container is healthy",
    why="agent-semantics 5.2: needs Process",
    fatal=True,
)
async def without_process(kata: Kata) -> None:
    container = await kata.run()
    with kata.refused("an exec without a process"):
        await kata.call("ExecProcess", container_id=container.id, exec_id=kata.fresh("ex"))
    await container.check_alive()


@CASES.add(
    "exec.unknown-container-refused",
    title="An exec in a container that is not there is refused",
    does="executes in an id that nobody has used",
    expects="not_found",
    why="agent-semantics 7.1 (3): typed NOT_FOUND; the Rust agent answers INTERNAL",
)
async def unknown_container(kata: Kata) -> None:
    with kata.refused("an exec in an unknown container", "not_found"):
        await kata.call(
            "ExecProcess", container_id=kata.fresh(), exec_id=kata.fresh("ex"), process=kata.process("true")
        )


@CASES.add(
    "exec.paused-rejected",
    title="An exec into a paused container is refused at once",
    does="pauses a container, executes in it, resumes it, and executes again",
    expects="a refusal soon; after the resume an exec works",
    why="agent-semantics 1.3, 6.2 (17): the child is born frozen, and the Rust agent waits for it under its lock",
    risky=True,
)
async def paused(kata: Kata) -> None:
    container = await kata.run()
    await container.pause()
    with kata.quick("an exec into a paused container is answered"), kata.refused("an exec into a paused container"):
        await container.exec("true")
    await container.resume()
    await container.check_alive()


@CASES.add(
    "exec.stopped-rejected",
    title="An exec into a container whose init has ended is refused",
    does="runs a container to its end, and executes in it",
    expects="a refusal soon",
    why="agent-semantics 1.3: exec into STOPPED",
)
async def stopped(kata: Kata) -> None:
    container = await kata.shell("exit $((2 * 3))")
    equal((await container.init.finish()).code, 6, "exit code")
    with kata.quick("an exec into what has ended is answered"), kata.refused("an exec into what has ended"):
        await container.exec("true")


@CASES.add(
    "exec.before-start",
    title="An exec in a created container works",
    does="executes in a container that was not started yet, then starts it",
    expects="the exec's output, and later the init's",
    why="agent-semantics 1.3: OCI permits exec in created; virtcontainers since aa469f45",
)
async def before_start(kata: Kata) -> None:
    container = await kata.create(kata.spec("sh", "-c", "echo init-$((3 + 3)); sleep 100000"))
    await container.check_alive()
    await container.start()
    await container.init.until("init-6\n")


@CASES.add(
    "exec.many",
    title="Execs run side by side, and each one's output is its own",
    does="runs 12 execs at once in one container, each prints its number a few times",
    expects="twelve complete outputs, none mixed up",
    why="agent-semantics 6.3 (26), 6.5 (55): calls are isolated",
)
async def many(kata: Kata) -> None:
    container = await kata.run()
    seen: dict[int, bytes] = {}

    async def one(number: int) -> None:
        script = f"for i in 1 2 3; do echo n{number}-$i; done; exit {number}"
        done = await container.sh(script)
        seen[number] = done.stdout + b"%d" % done.code

    async with kata.together() as nursery:
        for number in range(12):
            nursery.start_soon(one, number)
    wanted = {n: f"n{n}-1\nn{n}-2\nn{n}-3\n{n}".encode() for n in range(12)}
    equal(seen, wanted, "their outputs and codes")


@CASES.add(
    "exec.one-after-another",
    title="A container takes many execs, one after the other",
    does="runs 25 execs, each with an exit code of its own, and one more",
    expects="each exit code is right, and the container is alive",
    why="kata-containers/agent#762 (8325ad8), kata-containers#4752: leaks and double closes under exec churn",
    seconds=90.0,
)
async def one_after_another(kata: Kata) -> None:
    container = await kata.run()
    for number in range(25):
        equal((await container.sh(f"exit $(({number} + 1))")).code, number + 1, "exit code")
    await container.check_alive()


@CASES.add(
    "exec.ends-with-init",
    title="The execs of a container end with its init",
    does="runs an exec, kills the init alone, and waits for both",
    expects="137 for both",
    why="pid namespaces: with process 1 all others end; agent-semantics 6.3 (39): none is left over",
    needs=("isolation",),
)
async def ends_with_init(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("sleep", "100000")
    await container.init.signal(9)
    equal(await container.init.wait(), 137, "the init's exit code")
    equal(await process.wait(), 137, "the exec's exit code")
