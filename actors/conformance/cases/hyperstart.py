"""hyperstart's commands: version and replies, containers and execs, signals and ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import trio

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal
from actors.errors import OutcomeUnknown
from actors.node.protocols import GuestProtocol
from transports.hyperstart.codec import Code, command_name

if TYPE_CHECKING:
    from actors.conformance.hyperstart import Container, Hyperstart, Process

__all__ = ["CASES", "ended", "refused_command"]

CASES = Cases(protocols=(GuestProtocol.HYPERSTART,))

SIGTERM, SIGKILL, SIGUSR1 = 15, 9, 10
SOON = 8.0
NOBODY = 99
# the status that such a guest reports for death by a signal
KILLED = 0


async def refused_command(guest: Hyperstart, code: int, body: dict[str, Any] | bytes, what: str) -> bytes:
    """The payload of its ERROR. Raises: FallsShort if it was accepted."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await guest.ask(code, payload)
    check(not answer.accepted, f"ERROR to {what}", f"ACK to {command_name(code)}")
    return answer.payload


async def ended(process: Process) -> int:
    """The status reported by the guest, within a time limit. Raises: FallsShort."""
    with process.guest.quick("the end of the process is told, and of its output", SOON):
        await process.running.wait_ended()
    try:
        return await process.wait()
    except OutcomeUnknown:
        return KILLED


def execution(container: Container, **changed: Any) -> dict[str, Any]:
    """A hand-made EXECCMD. Its sequences are unused: an accepted process is not followed."""
    process = {"id": container.guest.fresh("ex"), "stdio": 10**9 + 1, "stderr": 10**9 + 2, "terminal": False}
    return {"container": container.id, "process": process | {"args": ["true"], "workdir": "/"} | changed}


@CASES.add(
    "hyperstart.version",
    title="The guest tells the version of its API",
    does="sends GETVERSION",
    expects="4 bytes, and at least 4243: below it processes have no ids",
    why="hyperstart api.h; runv branches on 4242",
)
async def version(guest: Hyperstart) -> None:
    payload = await guest.command(Code.GETVERSION)
    equal(len(payload), 4, "bytes of the answer:")
    check(int.from_bytes(payload) >= 4243, "a version of at least 4243", int.from_bytes(payload))


@CASES.add(
    "hyperstart.ping",
    title="A ping is answered",
    does="sends PING, and PING with a payload",
    expects="ACK without a payload, both times",
    why="hyperstart-wire 3: its payload is ignored",
)
async def ping(guest: Hyperstart) -> None:
    for payload in (b"", b"null"):
        equal(await guest.command(Code.PING, payload), b"", "its answer is")


@CASES.add(
    "hyperstart.unknown-command",
    title="A command that nobody knows is refused",
    does="sends codes 99 and 2 (GETPOD, abandoned), then PING",
    expects="ERROR for both; the ping is answered",
    why="hyperstart-wire 3: observed",
)
async def unknown_command(guest: Hyperstart) -> None:
    for code in (NOBODY, 2):
        await refused_command(guest, code, b"", f"code {code}")
    await guest.command(Code.PING)


@CASES.add(
    "hyperstart.answers-in-order",
    title="Every command gets its own answer",
    does="sends GETVERSION, PING and an unknown code by turns, from six tasks at once",
    expects="each is answered as it alone can be",
    why="agent-semantics 6.5 (66): replies have no id; a listener that is registered late takes another's",
)
async def answers_in_order(guest: Hyperstart) -> None:
    async def one(code: int, accepted: bool, size: int) -> None:
        for _ in range(5):
            answer = await guest.ask(code)
            equal((answer.accepted, len(answer.payload)), (accepted, size), f"answer to {command_name(code)}")

    async with trio.open_nursery() as nursery:
        for row in ((Code.GETVERSION, True, 4), (Code.PING, True, 0), (NOBODY, False, 0)) * 2:
            nursery.start_soon(one, *row)


@CASES.add(
    "hyperstart.next",
    title="The guest tells of every byte that it reads",
    does="sends commands with and without a payload, and adds up NEXT",
    expects="as many bytes as were sent, within 8 s",
    why="hyperstart-wire 5: runv writes no more until the sum is right, so a byte too few stalls it for ever",
    alone=True,
)
async def next_sum(guest: Hyperstart) -> None:
    tap = guest.target.control_tap
    container = await guest.run()
    await guest.command(Code.PING, bytes(700))
    await container.kill(SIGKILL)
    with trio.move_on_after(SOON):
        while tap.confirmed_bytes < tap.sent_bytes:  # the link does not report NEXT
            await guest.pass_time(0.02)
    equal(tap.confirmed_bytes, tap.sent_bytes, "bytes told by NEXT are")


@CASES.add(
    "hyperstart.not-json",
    title="A body that is no JSON is refused",
    does="sends EXECCMD and NEWCONTAINER with half an object, then PING",
    expects="ERROR for both; the ping is answered",
    why="hyperstart-wire 6: observed: ERROR, and the VM runs on",
)
async def not_json(guest: Hyperstart) -> None:
    for code in (Code.EXECCMD, Code.NEWCONTAINER):
        await refused_command(guest, code, b'{"container":', "half an object")
    await guest.command(Code.PING)


@CASES.add(
    "hyperstart.unknown-key",
    title="A container with a key that nobody knows is refused",
    does="sends NEWCONTAINER with a key of the Clear Containers fork",
    expects="ERROR",
    why="hyperstart-wire 7: observed: any other key",
)
async def unknown_key(guest: Hyperstart) -> None:
    body: dict[str, object] = {"id": guest.fresh(), "rootfs": "", "image": "", "systemMountsInfo": {}}
    await refused_command(guest, Code.NEWCONTAINER, body, "a container with a key that nobody knows")


@CASES.add(
    "hyperstart.container-runs",
    title="NEWCONTAINER makes a container and starts it",
    does="makes a container whose init prints and exits with 3",
    expects="its output, the end of it, and status 3",
    why="hyperstart-wire 7: there is no separate start",
)
async def container_runs(guest: Hyperstart) -> None:
    container = await guest.shell("echo init-$((1 + 1)); exit 3")
    done = await container.init.finish()
    equal((done.stdout, done.code), (b"init-2\n", 3), "output and status are")


@CASES.add(
    "hyperstart.container-duplicate",
    title="A container id that is taken is refused, and its owner lives on",
    does="makes a container again under the id of a running one",
    expects="ERROR; an exec in the first runs",
    why="hyperstart-wire 7: observed",
)
async def container_duplicate(guest: Hyperstart) -> None:
    container = await guest.run()
    with guest.refused("a second container of one id", go_on=True):
        await guest.run(named=container.id)
    await container.check_alive()


@CASES.add(
    "hyperstart.container-id-free",
    title="A container's id is free once its end was told",
    does="makes a container that ends, and another of the same id",
    expects="the second runs",
    why="hyperstart-wire 7: observed",
)
async def container_id_free(guest: Hyperstart) -> None:
    first = await guest.shell("true")
    equal(await ended(first.init), 0, "status")
    second = await guest.shell("echo again", named=first.id)
    equal((await second.init.finish()).stdout, b"again\n", "its output is")


@CASES.add(
    "hyperstart.exec-output",
    title="An exec's outputs come on their own sequences, and its exit code with its end",
    does="runs a shell in a running container that prints to both outputs and exits with 7",
    expects="each word on its own stream, and status 7",
    why="hyperstart EXECCMD, PROCESSASYNCEVENT",
)
async def exec_output(guest: Hyperstart) -> None:
    container = await guest.run()
    done = await container.sh("echo out-$((1 + 1)); echo err-$((2 + 2)) >&2; exit $((3 + 4))")
    equal(done.stdout, b"out-2\n", "on stdout")
    equal(done.stderr, b"err-4\n", "on stderr")
    equal(done.code, 7, "status")


@CASES.add(
    "hyperstart.exec-environment",
    title="An exec has the environment, directory and user that it was sent with",
    does="runs a shell with a variable, a working directory and a numeric user",
    expects="each of them",
    why="hyperstart-wire 7: the process object",
)
async def exec_environment(guest: Hyperstart) -> None:
    container = await guest.run()
    script = 'echo "$COLOUR $(pwd) $(id -u)"'
    done = await container.sh(script, env={"COLOUR": "dark blue"}, cwd="/bin", user="1000")
    equal(done.stdout, b"dark blue /bin 1000\n", "its output is")


@CASES.add(
    "hyperstart.exec-statuses",
    title="Exit codes are told as they are",
    does="runs shells that exit with 0, 1, 126 and 255",
    expects="the same numbers",
    why="hyperstart-wire 7: status 0 to 255",
)
async def exec_statuses(guest: Hyperstart) -> None:
    container = await guest.run()
    for code in (0, 1, 126, 255):
        equal((await container.sh(f"exit {code}")).code, code, "status")


@CASES.add(
    "hyperstart.exec-missing-program",
    title="A program that is not there ends with 127, and says so",
    does="execs a program that is not there",
    expects="ACK, then a line on its error output, and status 127",
    why="hyperstart-wire 7: observed: ACK says that it was forked",
)
async def exec_missing_program(guest: Hyperstart) -> None:
    container = await guest.run()
    done = await (await container.exec("/no/such/program")).finish()
    equal(done.code, 127, "status")
    check(bool(done.stderr), "a line on its error output", done.stderr)


@CASES.add(
    "hyperstart.exec-nowhere",
    title="An exec in a container that is not there is refused",
    does="execs in an id that nobody has used, and in a container that has ended",
    expects="ERROR for both",
    why="hyperstart-wire 7",
)
async def exec_nowhere(guest: Hyperstart) -> None:
    container = await guest.shell("true")
    await ended(container.init)
    gone = execution(container)
    await refused_command(guest, Code.EXECCMD, gone, "an exec in a container that has ended")
    await refused_command(guest, Code.EXECCMD, gone | {"container": guest.fresh()}, "an exec in no container")


@CASES.add(
    "hyperstart.exec-duplicate",
    title="A process id that is taken is refused",
    does="execs under the id of a running exec",
    expects="ERROR; the first runs on",
    why="hyperstart-wire 7: unique over all running processes of the VM",
)
async def exec_duplicate(guest: Hyperstart) -> None:
    container = await guest.run()
    first = await container.spawn("read line; echo $line")
    body = execution(container, id=first.running.wire_id)
    await refused_command(guest, Code.EXECCMD, body, "an exec of a taken id")
    await first.write(b"still-here\n")
    equal((await first.finish()).stdout, b"still-here\n", "its output is")


@CASES.add(
    "hyperstart.exec-without-sequences",
    title="A process without sequences is refused",
    does="execs with stdio 0, and without a terminal with stderr 0",
    expects="ERROR for both",
    why="hyperstart-wire 7: observed",
)
async def exec_without_sequences(guest: Hyperstart) -> None:
    container = await guest.run()
    await refused_command(guest, Code.EXECCMD, execution(container, stdio=0), "an exec with stdio 0")
    await refused_command(guest, Code.EXECCMD, execution(container, stderr=0), "an exec with stderr 0")


@CASES.add(
    "hyperstart.kill-init",
    title="KILLCONTAINER ends the init, and with it all others",
    does="kills a container with two execs in it",
    expects="all three ends are told within 8 s; an exec afterwards is refused",
    why="hyperstart-wire 7: observed: the others get SIGKILL and report as well",
)
async def kill_init(guest: Hyperstart) -> None:
    container = await guest.run()
    others = [await container.exec("sleep", "1000") for _ in range(2)]
    await container.kill(SIGKILL)
    for process in (container.init, *others):
        equal(await ended(process), KILLED, "status")
    await refused_command(guest, Code.EXECCMD, execution(container), "an exec in a container that was killed")


@CASES.add(
    "hyperstart.kill-refusals",
    title="Why a kill was refused is told",
    does="kills a container that is not there, and a running one with signal 999",
    expects="ERROR with `no such container`, ERROR with `invalid signal`, each ended by NUL",
    why="hyperstart-wire 7: the one ERROR whose payload means anything",
)
async def kill_refusals(guest: Hyperstart) -> None:
    container = await guest.run()
    for name, number, wanted in (
        (guest.fresh(), SIGKILL, b"no such container\0"),
        (container.id, 999, b"invalid signal\0"),
    ):
        seen = await refused_command(guest, Code.KILLCONTAINER, {"container": name, "signal": number}, "a bad kill")
        equal(seen, wanted, "its payload is")


@CASES.add(
    "hyperstart.signal-process",
    title="SIGNALPROCESS reaches one process",
    does="sends TERM to one of two execs",
    expects="its end is told within 8 s; the other and the init live on",
    why="hyperstart-wire 7; agent-semantics 2: the fork's agent ignored which process was meant",
)
async def signal_process(guest: Hyperstart) -> None:
    container = await guest.run()
    hit, spared = await container.exec("sleep", "1000"), await container.spawn("read line; echo spared")
    await hit.signal(SIGTERM)
    equal(await ended(hit), KILLED, "status")
    await spared.close_stdin()
    equal((await spared.finish()).stdout, b"spared\n", "the other's output is")
    await container.check_alive()


@CASES.add(
    "hyperstart.signal-handled",
    title="A signal that a process handles is delivered, and does not end it",
    does="sends USR1 to a shell that handles it by exiting with 6",
    expects="status 6",
    why="hyperstart-wire 7: kill(2)",
)
async def signal_handled(guest: Hyperstart) -> None:
    container = await guest.run()
    process = await container.spawn("trap 'exit 6' USR1; echo ready; while true; do sleep 0.05; done")
    await process.until("ready\n")
    await process.signal(SIGUSR1)
    equal(await ended(process), 6, "status")


@CASES.add(
    "hyperstart.signal-nobody",
    title="A signal to a process that is not there is refused",
    does="sends TERM to an id that nobody has used",
    expects="ERROR; the init lives on",
    why="hyperstart-wire 7",
)
async def signal_nobody(guest: Hyperstart) -> None:
    container = await guest.run()
    body = {"container": container.id, "process": guest.fresh(), "signal": SIGTERM}
    await refused_command(guest, Code.SIGNALPROCESS, body, "a signal to nobody")
    await container.check_alive()


@CASES.add(
    "hyperstart.one-end",
    title="The end of a process is told once",
    does="runs four execs to their ends, and looks at what came on both channels",
    expects="one event each, one empty frame on its stdio sequence, none on that of its errors",
    why="hyperstart-wire 7, 8: observed: the end of both outputs comes on stdio alone",
)
async def one_end(guest: Hyperstart) -> None:
    container = await guest.run()
    for _ in range(4):
        process = await container.spawn("echo out; echo err >&2")
        await process.finish()
        await guest.pass_time(0.1)
        running, target = process.running, guest.target
        told = (
            target.control_tap.ends[running.container, running.wire_id],
            target.streams_tap.ends[running.stdio],
            target.streams_tap.ends[running.stderr],
        )
        equal(told, (1, 1, 0), "events, ends of stdio and ends of stderr are")


@CASES.add(
    "hyperstart.remove-running",
    title="REMOVECONTAINER ends nothing",
    does="removes a running container",
    expects="ERROR; an exec in it runs",
    why="hyperstart-wire 7: it needs an init that has exited",
)
async def remove_running(guest: Hyperstart) -> None:
    container = await guest.run()
    await refused_command(guest, Code.REMOVECONTAINER, {"container": container.id}, "a remove of what runs")
    await container.check_alive()
