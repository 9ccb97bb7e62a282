"""CreateContainer: what it must accept, what it must refuse, and what a failure leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal
from actors.conformance.together import OK, outcome
from actors.schemas.oci import Root

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()
NOWHERE = "/katrio/conformance/no/such/root"


@CASES.add(
    "create.waits-for-start",
    title="A created container runs nothing before it is started",
    does="creates a container whose init prints at once, and reads its output for a second before the start",
    expects="nothing is printed before the start, the line after it",
    why="OCI runtime spec, create and start; virtcontainers: state ready",
)
async def waits_for_start(kata: Kata) -> None:
    container = await kata.create(kata.spec("sh", "-c", "echo began-$((40 + 2)); sleep 100000"))
    check(await container.init.silent(1.0), "no output before the start", "output")
    await container.start()
    # the cancelled read may have consumed the line: a shell in it is proof too
    await container.check_alive()


@CASES.add(
    "create.duplicate-refused",
    title="A container id that is taken is refused, and its owner is unharmed",
    does="creates a container again under the id of a running one",
    expects="already_exists; the first container still runs",
    why="agent-semantics 6.1 (3): the Rust agent's roll-back kills the living container of that id",
)
async def duplicate(kata: Kata) -> None:
    container = await kata.run()
    with kata.refused("a second create with the same id", "already_exists", go_on=True):
        await kata.call("CreateContainer", container_id=container.id, exec_id=container.id, OCI=kata.spec())
    await container.check_alive()


@CASES.add(
    "create.without-spec-refused",
    title="A create without a specification is refused",
    does="sends CreateContainer with no OCI message; then makes a proper container of the same id",
    expects="a refusal, and the id stays free",
    why="agent-semantics 4.3: absent OCI is EINVAL; 6.1 (4): a failed create leaves nothing",
    fatal=True,
)
async def without_spec(kata: Kata) -> None:
    container = kata.container_of(kata.fresh())
    with kata.refused("a create without OCI"):
        await kata.call("CreateContainer", container_id=container.id, exec_id=container.id)
    await (await kata.create(kata.spec(), named=container.id)).start()
    await container.check_alive()


@CASES.add(
    "create.without-process-refused",
    title="A create without a process is refused",
    does="sends CreateContainer with an OCI message that has no Process; then makes a proper container of the same id",
    expects="a refusal, and the id stays free",
    why="agent-semantics 4.3: OCI.Process is required",
)
async def without_process(kata: Kata) -> None:
    container = kata.container_of(kata.fresh())
    spec = msgspec.structs.replace(kata.spec(), process=None)
    with kata.refused("a create without a process"):
        await kata.call("CreateContainer", container_id=container.id, exec_id=container.id, OCI=spec)
    await (await kata.create(kata.spec(), named=container.id)).start()
    await container.check_alive()


@CASES.add(
    "create.empty-id-refused",
    title="An empty container id is refused",
    does="creates a container whose id is empty",
    expects="invalid_argument",
    why="agent-semantics 4.3: ids have at least 2 characters; an empty one would name the agent's own directory",
)
async def empty_id(kata: Kata) -> None:
    with kata.refused("an empty id", "invalid_argument"):
        await kata.call("CreateContainer", container_id="", exec_id="", OCI=kata.spec())


@CASES.add(
    "create.path-in-id-refused",
    title="A container id with a slash is refused",
    does="creates a container with a slash in its id",
    expects="invalid_argument: ids become paths",
    why="agent-semantics 4.3: alphanumeric, then alphanumeric . _ -",
)
async def path_in_id(kata: Kata) -> None:
    name = f"{kata.fresh()}/x"
    kata.container_of(name)
    with kata.refused("an id with a slash", "invalid_argument"):
        await kata.call("CreateContainer", container_id=name, exec_id=name, OCI=kata.spec())


@CASES.add(
    "create.parent-in-id-refused",
    title="A container id that climbs out of the agent's directory is refused",
    does="creates a container with the id ../NAME",
    expects="invalid_argument, and nothing is made outside",
    why="agent-semantics 4.3, danger list (2)",
    destructive=True,
)
async def parent_in_id(kata: Kata) -> None:
    name = f"../{kata.fresh()}"
    kata.container_of(name)
    with kata.refused("an id that begins with ../", "invalid_argument"):
        await kata.call("CreateContainer", container_id=name, exec_id=name, OCI=kata.spec())


@CASES.add(
    "create.missing-root-refused",
    title="A root that is not there is refused, and the id is free again",
    does="creates a container with a root directory that does not exist, then a proper one with the same id",
    expects="a refusal of the first at its create or its start; the second runs",
    why="kata-containers#4749 (09672eb2da): a failed create kept the name; agent-semantics 6.1 (4)",
    needs=("isolation",),
)
async def missing_root(kata: Kata) -> None:
    container = kata.container_of(kata.fresh())
    spec = msgspec.structs.replace(kata.spec(), root=Root(path=NOWHERE))
    with kata.refused("a root that is not there"):
        await kata.create(spec, named=container.id)
        with kata.quick("its start is answered"):
            await container.start()
    # a container that is refused only at its start still exists
    await outcome(container.remove())
    await (await kata.create(kata.spec(), named=container.id)).start()
    await container.check_alive()


@CASES.add(
    "create.missing-program-refused",
    title="An init that can't be run is told, and the id can be used again",
    does="creates and starts a container with a program that does not exist, removes it, makes a proper one of that id",
    expects="create or start is refused, or the init ends with 126 or 127; the second container runs",
    why="agent-semantics 6.1 (4), (6); OCI runtime spec, create",
)
async def missing_program(kata: Kata) -> None:
    container = kata.container_of(kata.fresh())
    code = await outcome(kata.create(kata.spec("/no/such/program"), named=container.id))
    if code == OK:
        code = await outcome(container.start())
    if code == OK:
        ended = await container.init.wait()
        check(ended in (126, 127), "a refusal, or exit code 126 or 127", f"exit code {ended}")
    await kata.code("RemoveContainer", container_id=container.id)
    await (await kata.create(kata.spec(), named=container.id)).start()
    await container.check_alive()


@CASES.add(
    "create.environment",
    title="The init has the environment of its specification",
    does="starts a container whose init prints two variables, one of them with spaces and an equals sign",
    expects="both values, byte for byte",
    why="OCI runtime spec, process.env",
)
async def environment(kata: Kata) -> None:
    script = 'echo "$FIRST|$SECOND"'
    container = await kata.shell(script, env={"FIRST": "one two=three", "SECOND": "ünï"})
    equal((await container.init.finish()).stdout.decode(), "one two=three|ünï\n", "its output")


@CASES.add(
    "create.arguments",
    title="Arguments arrive as they were sent",
    does="runs a shell with arguments that hold spaces, quotes and nothing at all",
    expects="each argument byte for byte, the empty one too",
    why="OCI runtime spec, process.args",
)
async def arguments(kata: Kata) -> None:
    container = await kata.run("sh", "-c", 'for each in "$@"; do echo "<$each>"; done', "sh", "a b", "", '"q"', "$HOME")
    equal((await container.init.finish()).stdout, b'<a b>\n<>\n<"q">\n<$HOME>\n', "its output")


@CASES.add(
    "create.working-directory",
    title="The init begins in its working directory",
    does="starts a container with cwd /tmp whose init prints where it is",
    expects="/tmp",
    why="OCI runtime spec, process.cwd",
)
async def working_directory(kata: Kata) -> None:
    container = await kata.shell("pwd", cwd="/tmp")
    equal((await container.init.finish()).stdout, b"/tmp\n", "its output")


@CASES.add(
    "create.user",
    title="The init runs as its numeric user and group",
    does="starts a container with uid 1234 and gid 2345 whose init prints both",
    expects="1234 and 2345",
    why="OCI runtime spec, process.user; agent-semantics 2: users are numeric on kata's wire",
    needs=("isolation",),
)
async def user(kata: Kata) -> None:
    container = await kata.shell("id -u; id -g", user="1234:2345")
    equal((await container.init.finish()).stdout, b"1234\n2345\n", "its output")


@CASES.add(
    "create.read-only-root",
    title="A read-only root can't be written",
    does="starts a container with Root.Readonly whose init tries to write below /",
    expects="the write fails, and /tmp can still be written",
    why="OCI runtime spec, root.readonly",
    needs=("isolation",),
)
async def read_only_root(kata: Kata) -> None:
    script = "echo x > /katrio-wrote-this 2> /tmp/why && echo wrote; echo y > /tmp/y && echo scratch-$((2 + 3))"
    container = await kata.shell(script, readonly=True)
    done = await container.init.finish()
    check(b"wrote" not in done.stdout, "a write below / that fails", done.stdout)
    check(b"scratch-5" in done.stdout, "/tmp can be written", done.stdout)


@CASES.add(
    "create.own-processes",
    title="A container sees its own processes alone",
    does="starts two containers and lists the processes that a shell in one of them can see",
    expects="the init is process 1, and nothing of the other container is there",
    why="agent-semantics 4.3: the agent adds a pid namespace",
    needs=("isolation",),
)
async def own_processes(kata: Kata) -> None:
    marker = "98761"
    other = await kata.run("sleep", marker)
    container = await kata.shell("echo init-$$; sleep 100000")
    equal(await container.init.until("\n"), b"init-1\n", "its process id")
    seen = (await container.sh("ps -ef")).stdout
    check(b"sleep" in seen, "a list with its own sleep", seen)
    check(marker.encode() not in seen, "no process of another container", seen)
    await other.check_alive()


@CASES.add(
    "create.own-files",
    title="What one container writes is not seen in another",
    does="writes a file below /tmp in one container and looks for it in another",
    expects="the file is there in the first alone",
    why="agent-semantics 4.3: mounts are the container's own",
    needs=("isolation",),
)
async def own_files(kata: Kata) -> None:
    one, other = await kata.run(), await kata.run()
    await one.sh("echo mine > /tmp/mine")
    equal((await one.sh("cat /tmp/mine")).stdout, b"mine\n", "in the first")
    equal((await other.sh("test -e /tmp/mine; echo $?")).stdout, b"1\n", "test -e in the other")


@CASES.add(
    "create.many",
    title="Containers are made side by side",
    does="creates and starts 8 containers at once, each printing a number of its own",
    expects="each prints its own",
    why="agent-semantics 6.1 (3): creates run at once in one agent",
)
async def many(kata: Kata) -> None:
    seen: dict[int, bytes] = {}

    async def one(number: int) -> None:
        container = await kata.shell(f"echo number-$(({number} * 3))")
        seen[number] = await container.init.rest()

    async with kata.together() as nursery:
        for number in range(8):
            nursery.start_soon(one, number)
    equal(seen, {number: f"number-{number * 3}\n".encode() for number in range(8)}, "their outputs")
