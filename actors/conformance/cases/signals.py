"""SignalProcess: which processes get a signal, in every state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Cases
from actors.conformance.expect import check, equal
from actors.conformance.together import outcome
from actors.node.protocols import GuestProtocol

if TYPE_CHECKING:
    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()

TERM, KILL, USR1, INT = 15, 9, 10, 2


@CASES.add(
    "signal.handled",
    title="A signal reaches the process that it was sent to",
    does="sends USR1 to an exec that prints a line when it gets it",
    expects="the line",
    why="agent.proto SignalProcess",
)
async def handled(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn(
        "trap 'echo got-$((7 + 7))' USR1; echo ready-$((1 + 0)); while true; do sleep 0.1; done"
    )
    await process.until("ready-1\n")
    await process.signal(USR1)
    await process.until("got-14\n")


@CASES.add(
    "signal.exec-alone",
    title="A signal to one exec reaches no other process",
    does="kills one of two execs of a container",
    expects="it ends with 137; the other exec and the init go on",
    why="agent-semantics 6.3 (27): a signal to one never becomes one to all",
)
async def exec_alone(kata: Kata) -> None:
    container = await kata.ticking()
    one, other = await container.exec("sleep", "100000"), await container.exec("cat")
    await one.signal(KILL)
    equal(await one.wait(), 137, "exit code")
    await other.write(b"still here\n")
    equal(await other.until("\n"), b"still here\n", "the other exec's output")
    await container.init.until("tick-")
    await container.check_alive()


@CASES.add(
    "signal.init-handled",
    title="An init's own handler decides what TERM does",
    does="sends TERM to an init that exits with 3 on it",
    expects="exit code 3, and what it printed in its handler",
    why="agent-semantics 1.3: a handler is respected; kata-containers#4478",
)
async def init_handled(kata: Kata) -> None:
    container = await kata.shell(
        "trap 'echo bye-$((8 + 8)); exit 3' TERM; echo up-$((2 + 2)); while true; do sleep 0.1; done"
    )
    await container.init.until("up-4\n")
    await container.init.signal(TERM)
    done = await container.init.finish()
    check(b"bye-16\n" in done.stdout, "b'bye-16\\n' in its output", done.stdout)
    equal(done.code, 3, "exit code")


@CASES.add(
    "signal.term-without-handler",
    title="TERM to an init without a handler ends it",
    does="sends TERM to an init that has no handler for it",
    expects="it ends, with 137; 143 where its agent gives it no pid namespace of its own",
    why="agent-semantics 1.3: a pid namespace's init never sees what it does not handle; Kata's agents send KILL, and its runtimes wait for the end",
)
async def term_without_handler(kata: Kata) -> None:
    container = await kata.run()
    await container.check_alive()
    await container.init.signal(TERM)
    code = await container.init.wait()
    check(code in (137, 143), "137 or 143", code)


@CASES.add(
    "signal.kill-init-ends-container",
    title="KILL to the init ends the container",
    does="sends KILL with the container's id as exec id",
    expects="exit code 137, and execs are refused from then on",
    why="agent.proto: an exec_id equal to the container's id means the init",
)
async def kill_init(kata: Kata) -> None:
    container = await kata.run()
    await container.init.signal(KILL)
    equal(await container.init.wait(), 137, "exit code")
    with kata.refused("an exec into what has ended"):
        await container.exec("true")


@CASES.add(
    "signal.kill-all",
    title="KILL without an exec id ends every process of the container",
    does="kills all of a container with two execs",
    expects="137 for the init and for both execs",
    why="agent-semantics 1.3, kill-all; agent.proto: an empty exec_id means all",
)
async def kill_all(kata: Kata) -> None:
    container = await kata.run()
    one, other = await container.exec("sleep", "100000"), await container.exec("cat")
    await container.kill_all()
    equal([await each.wait() for each in (container.init, one, other)], [137] * 3, "exit codes")


@CASES.add(
    "signal.term-without-exec-id-spares-execs",
    title="TERM without an exec id goes to the init alone",
    does="sends TERM with an empty exec id to a container with an exec that prints when it gets TERM",
    expects="the init's handler runs; the exec's does not",
    why="kata-containers#13152 (2212dbdd48): a kubelet's TERM had hit every process",
    protocols=(GuestProtocol.TTRPC,),
)
async def term_spares_execs(kata: Kata) -> None:
    container = await kata.shell("trap 'echo init-got-it' TERM; echo up-$((2 + 2)); while true; do sleep 0.1; done")
    process = await container.spawn("trap 'echo exec-got-it' TERM; echo up-$((3 + 3)); while true; do sleep 0.1; done")
    await container.init.until("up-4\n")
    await process.until("up-6\n")
    await container.kill_all(TERM)
    await container.init.until("init-got-it\n")
    check(await process.silent(0.6), "an exec that got nothing", "exec-got-it")


@CASES.add(
    "signal.unknown-exec-refused",
    title="A signal to an exec that was never there is refused, and does not fall back to the init",
    does="sends KILL to an exec id that nobody has used",
    expects="not_found; the init goes on",
    why="agent-semantics 1.3, 6.3 (27): kata-containers#2001 (4cf0703c): it had killed the container",
)
async def unknown_exec(kata: Kata) -> None:
    container = await kata.ticking()
    with kata.refused("a signal to an unknown exec", "not_found"):
        await kata.call("SignalProcess", container_id=container.id, exec_id=kata.fresh("ex"), signal=KILL)
    await container.check_alive()
    await container.init.until("tick-")


@CASES.add(
    "signal.unknown-container-refused",
    title="A signal to a container that is not there is refused",
    does="sends TERM to the init of an id that nobody has used",
    expects="not_found",
    why="agent-semantics 1.3: NOT_FOUND; the Rust agent answers INVALID_ARGUMENT",
)
async def unknown_container(kata: Kata) -> None:
    name = kata.fresh()
    with kata.refused("a signal to an unknown container", "not_found"):
        await kata.call("SignalProcess", container_id=name, exec_id=name, signal=TERM)


@CASES.add(
    "signal.unknown-container-all-refused",
    title="A kill of all in a container that is not there is refused",
    does="sends KILL with an empty exec id to an id that nobody has used",
    expects="not_found",
    why="agent-semantics 1.3: the Rust agent answers INTERNAL after a failed freeze",
)
async def unknown_container_all(kata: Kata) -> None:
    with kata.refused("a kill of all in an unknown container", "not_found"):
        await kata.call("SignalProcess", container_id=kata.fresh(), exec_id="", signal=KILL)


@CASES.add(
    "signal.no-such-number-refused",
    title="A number that is no signal is refused",
    does="sends signal 999 to an exec",
    expects="a refusal; the exec goes on",
    why="agent-semantics 1.3: `Signal %s is not supported`; kill(2): EINVAL",
)
async def no_such_number(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("cat")
    with kata.refused("signal 999"):
        await process.signal(999)
    await process.write(b"unharmed\n")
    equal(await process.until("\n"), b"unharmed\n", "its output")


@CASES.add(
    "signal.real-time",
    title="Real-time signals are delivered",
    does="sends signal 37 (SIGRTMIN+3) to an exec that does not handle it",
    expects="exit code 165",
    why="kata-containers#3990: SIGRTMIN+3, a container's STOPSIGNAL, was rejected",
)
async def real_time(kata: Kata) -> None:
    container = await kata.run()
    process = await container.exec("sleep", "100000")
    await process.signal(37)
    with kata.quick("its end is told"):
        equal(await process.wait(), 165, "exit code")


@CASES.add(
    "signal.ready-delivered",
    title="KILL to a container that was not started yet ends it",
    does="kills the init of a created container",
    expects="exit code 137",
    why="agent-semantics 1.3, signal to READY: the init exists, and waits; hyperstart's client signals its shim",
)
async def ready(kata: Kata) -> None:
    container = await kata.create(kata.spec())
    await container.init.signal(KILL)
    equal(await container.init.wait(), 137, "exit code")


@CASES.add(
    "signal.ended-before-wait",
    title="TERM and KILL to a process that has ended are no errors",
    does="signals an exec that has ended and for which nobody has waited yet, then waits",
    expects="ok for both; its own exit code 31",
    why="agent-semantics 6.3 (29): kata-containers#3874: pods were stuck in Terminating",
)
async def ended_before_wait(kata: Kata) -> None:
    container = await kata.run()
    process = await container.spawn("exit $((30 + 1))")
    await process.rest()
    await kata.pass_time(0.3)
    for number in (TERM, KILL):
        with kata.done(f"signal {number} to a process that has ended"):
            await process.signal(number)
    equal(await process.wait(), 31, "exit code")


@CASES.add(
    "signal.ended-reaches-nobody",
    title="A signal to a process that has ended goes to nobody else",
    does="lets an exec end, starts others beside it, and sends KILL to the one that has ended, before anybody waits for it",
    expects="ok or a refusal; the init and the others live on; its own exit code 34",
    why="kill(2): a pid that was reaped is soon another's; today's agent signals the number that it remembers",
)
async def ended_reaches_nobody(kata: Kata) -> None:
    container = await kata.ticking()
    ended = await container.spawn("exit $((30 + 4))")
    await ended.rest()
    await kata.pass_time(0.3)
    others = [await container.exec("cat") for _ in range(4)]
    await outcome(ended.signal(KILL))
    await container.init.until("tick-")
    for other in others:
        await other.write(b"still here\n")
        equal(await other.until("\n"), b"still here\n", "another's output")
    equal(await ended.wait(), 34, "exit code")


@CASES.add(
    "signal.stopped-container",
    title="TERM and KILL to a container that has ended are no errors",
    does="runs an init to its end with 32, and sends TERM, then KILL, before anybody waits for it",
    expects="ok for both; a wait tells 32",
    why="agent-semantics 1.3, signal to STOPPED; 7.1 (3): TERM and KILL of what is gone are ok",
)
async def stopped_container(kata: Kata) -> None:
    container = await kata.shell("exit $((30 + 2))")
    await container.init.rest()
    await kata.pass_time(0.3)
    for number in (TERM, KILL):
        with kata.done(f"signal {number} to a container that has ended"):
            await container.init.signal(number)
    equal(await container.init.wait(), 32, "exit code")


@CASES.add(
    "signal.stopped-container-others-refused",
    title="Other signals to a container that has ended are refused",
    does="runs an init to its end with 33, and sends USR1, before anybody waits for it",
    expects="a refusal; a wait tells 33",
    why="agent-semantics 1.3, signal to STOPPED: TERM and KILL ok, others error",
)
async def stopped_others(kata: Kata) -> None:
    container = await kata.shell("exit $((30 + 3))")
    await container.init.rest()
    await kata.pass_time(0.3)
    with kata.refused("USR1 to a container that has ended", go_on=True):
        await container.init.signal(USR1)
    equal(await container.init.wait(), 33, "exit code")


@CASES.add(
    "signal.leaves-neighbour",
    title="Killing all of one container leaves the others",
    does="kills all of one container and looks at another",
    expects="the first has ended with 137; the other counts on",
    why="agent-semantics 1.3, kill-all: of this container",
)
async def leaves_neighbour(kata: Kata) -> None:
    one, other = await kata.run(), await kata.ticking()
    await one.kill_all()
    equal(await one.init.wait(), 137, "exit code")
    await other.init.until("tick-")
    await other.check_alive()
