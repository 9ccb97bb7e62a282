"""What each verb does: one short function a verb, from the step's words to asks on handles.

For the runner. Returns what came of it (`Observed`); errors of verbs are the runner's to judge. Not for
steps that hold other steps: `blocks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import trio

from actors.errors import (
    AgentProtocolError,
    AgentUnreachable,
    GuestDied,
    InternalError,
    KatrioError,
    PermissionDenied,
    ResourceExhausted,
    Unsupported,
)
from actors.scenario import ask_steps, topology, verbs
from actors.scenario.absent import NeverStarted
from actors.scenario.asks import ASKS
from actors.scenario.events import Seen
from actors.scenario.expect import Mismatch, UnknownValue, holds, json_at
from actors.scenario.model import Expect, FaultOf, ProbeOf, Step
from actors.scenario.scalars import NO_ERROR
from actors.wire.spec import ProcessSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from actors.scenario.model import Conditions
    from actors.scenario.outputs import ProcessView
    from actors.scenario.stage import Attempt

__all__ = ["ACTIONS", "INFRASTRUCTURE", "CannotTell", "Observed", "act", "judge", "look", "untold"]

# the actor ends every stream soon after the exit, whoever still holds the pipe: this is for an actor that has gone
OUTPUT_END_SECONDS = 10.0
# trouble that is nobody's expectation: the run ends as an error, not as a failure
INFRASTRUCTURE = frozenset(
    error.code
    for error in (AgentUnreachable, AgentProtocolError, GuestDied, InternalError, PermissionDenied, ResourceExhausted)
)


@dataclass(frozen=True, slots=True)
class Observed:
    """What came of a step. `about` is the name that it acted on; `view` its process, where that has ended."""

    about: str = ""
    value: str | float | None = None
    exit: int | None = None
    view: ProcessView | None = None


class CannotTell(Exception):
    """The world has no answer to a probe: the step is not for it, and neither is one that uses what it would have saved."""


async def _create(step: verbs.Create, attempt: Attempt) -> Observed:
    await topology.create(attempt, step.create)
    return Observed(step.create)


async def _start(step: verbs.Start, attempt: Attempt) -> Observed:
    await topology.start(attempt, step.start)
    return Observed(step.start)


async def _pause(step: verbs.Pause, attempt: Attempt) -> Observed:
    address = attempt.address(step.pause)
    await attempt.ask("pause", address, attempt.container(step.pause).pause(timeout=attempt.budget))
    return Observed(step.pause)


async def _resume(step: verbs.Resume, attempt: Attempt) -> Observed:
    address = attempt.address(step.resume)
    await attempt.ask("resume", address, attempt.container(step.resume).resume(timeout=attempt.budget))
    return Observed(step.resume)


async def _stop(step: verbs.Stop, attempt: Attempt) -> Observed:
    address = attempt.address(step.stop)
    if attempt.is_sandbox(step.stop):
        await attempt.ask("stop", address, attempt.sandbox(address).stop(grace=step.grace, timeout=attempt.budget))
        return Observed(step.stop)
    handle = attempt.container(step.stop)
    ending = handle.stop(signum=step.with_, grace=step.grace, timeout=attempt.budget)
    status = await attempt.ask("stop", address, ending)
    return Observed(step.stop, status.code, status.code, await _whole(attempt.view(step.stop), attempt.stage.slow))


async def _delete(step: verbs.Delete, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = attempt.address(step.delete)
    if attempt.is_sandbox(step.delete):
        await attempt.ask("delete", address, attempt.sandbox(address).delete(timeout=attempt.budget))
        stage.standing.pop(address, None)
        stage.deleted.add(address)
    else:
        await attempt.ask("delete", address, attempt.container(step.delete).delete(timeout=attempt.budget))
    return Observed(step.delete)


async def _exec(step: verbs.Exec, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = attempt.address(step.exec)
    name = attempt.text(step.as_) if step.as_ else None
    spec = ProcessSpec(
        args=tuple(attempt.text(word) for word in step.command),
        env={key: attempt.text(value) for key, value in step.env.items()},
        cwd=attempt.text(step.cwd or "/"),
        user=attempt.text(step.user or ""),
        tty=step.tty,
        size=TerminalSize(step.size.rows, step.size.columns) if step.size else None,
    )
    process = stage.fresh_process(name)
    container = attempt.container(step.exec)
    try:
        handle = await attempt.ask("exec", address, container.exec(process, spec, timeout=attempt.budget))
    except KatrioError as error:
        if name is not None and error.code in attempt.expected:
            attempt.refused(name, address, container.process(process), _refused(name, step, attempt, error))
        raise
    attempt.watch(name or process, address, handle)
    return Observed(step.exec)


async def _signal(step: verbs.Signal, attempt: Attempt) -> Observed:
    address = attempt.address(step.signal)
    if step.all:
        handle = attempt.container(address)
        sending = handle.signal(step.with_, all_processes=True, timeout=attempt.budget)
    else:
        sending = attempt.process(step.signal).signal(step.with_, timeout=attempt.budget)
    sent = await attempt.ask("signal", address, sending)
    return Observed(step.signal, sent.processes)


async def _winsize(step: verbs.Winsize, attempt: Attempt) -> Observed:
    resizing = attempt.process(step.winsize).winsize(step.rows, step.columns, timeout=attempt.budget)
    await attempt.ask("winsize", attempt.address(step.winsize), resizing)
    return Observed(step.winsize)


async def _stdin(step: verbs.Stdin, attempt: Attempt) -> Observed:
    writing = attempt.process(step.stdin).write(attempt.text(step.text).encode(), timeout=attempt.budget)
    return Observed(step.stdin, await attempt.ask("write_stdin", attempt.address(step.stdin), writing))


async def _close_stdin(step: verbs.CloseStdin, attempt: Attempt) -> Observed:
    closing = attempt.process(step.close_stdin).close_stdin(timeout=attempt.budget)
    await attempt.ask("close_stdin", attempt.address(step.close_stdin), closing)
    return Observed(step.close_stdin)


async def _wait(step: verbs.Wait, attempt: Attempt) -> Observed:
    address = attempt.address(step.wait)
    status = await attempt.ask("wait", address, attempt.process(step.wait).wait(timeout=attempt.budget))
    view = attempt.view(step.wait)
    return Observed(step.wait, status.code, status.code, await _whole(view, attempt.stage.slow))


async def _sleep(step: verbs.Sleep, attempt: Attempt) -> Observed:
    await trio.sleep(step.sleep)
    return Observed()


async def _call(step: verbs.Call, attempt: Attempt) -> Observed:
    return Observed(*await ask_steps.call(step, attempt))


async def _ask(step: Step, attempt: Attempt) -> Observed:
    return Observed(*await ask_steps.ask(step, attempt))


async def _fault(step: verbs.Fault, attempt: Attempt) -> Observed:
    sandbox = attempt.address(step.fault.sandbox)
    breaking = attempt.stage.world.fault(step.fault.kind, sandbox)
    await attempt.ask(f"fault {step.fault.kind}", sandbox, breaking)
    return Observed(step.fault.sandbox)


async def _whole(view: ProcessView, slow: float) -> ProcessView:
    """The view, once all of its output has come: that may be a little behind the exit."""
    with trio.move_on_after(OUTPUT_END_SECONDS * slow):
        await view.stdout.ended.wait()
        await view.stderr.ended.wait()
    return view


async def _look_state(step: verbs.State, attempt: Attempt) -> Observed:
    return Observed(step.state, await _state_of(step.state, attempt))


async def _state_of(name: str, attempt: Attempt) -> str:
    address = attempt.address(name)
    handle = attempt.sandbox(name) if attempt.is_sandbox(name) else attempt.container(address)
    info = await attempt.ask("info", address, handle.info(timeout=attempt.budget))
    return info.state


async def _check(step: verbs.Check, attempt: Attempt) -> Observed:
    checking = attempt.sandbox(step.check).check(timeout=attempt.budget)
    answer = await attempt.ask("check", step.check, checking)
    return Observed(step.check, "serving" if answer.serving else "not serving")


async def _probe(step: verbs.Probe, attempt: Attempt) -> Observed:
    if (trouble := untold(step, attempt)) is not None:
        raise trouble
    stage = attempt.stage
    address = attempt.address(step.probe.container)
    sandbox, container = address.split("/")
    asking = stage.world.probe(step.probe.kind, sandbox, container)
    try:
        return Observed(step.probe.container, await attempt.ask(f"probe {step.probe.kind}", address, asking))
    except Unsupported as error:
        raise CannotTell(error.message) from error


async def _stdout(step: verbs.Stdout, attempt: Attempt) -> Observed:
    return Observed(step.stdout, attempt.view(step.stdout).stdout.text())


async def _stderr(step: verbs.Stderr, attempt: Attempt) -> Observed:
    return Observed(step.stderr, attempt.view(step.stderr).stderr.text())


async def _lines(step: verbs.Lines, attempt: Attempt) -> Observed:
    return Observed(step.lines, attempt.view(step.lines).stdout.lines)


async def _bytes(step: verbs.Bytes, attempt: Attempt) -> Observed:
    return Observed(step.bytes, attempt.view(step.bytes).stdout.size)


async def _sha256(step: verbs.Sha256, attempt: Attempt) -> Observed:
    return Observed(step.sha256, attempt.view(step.sha256).stdout.digest.hexdigest())


ACTIONS: Mapping[type[Step], Callable[[Any, Attempt], Awaitable[Observed]]] = MappingProxyType(
    {
        verbs.Create: _create,
        verbs.Start: _start,
        verbs.Pause: _pause,
        verbs.Resume: _resume,
        verbs.Stop: _stop,
        verbs.Delete: _delete,
        verbs.Exec: _exec,
        verbs.Signal: _signal,
        verbs.Winsize: _winsize,
        verbs.Stdin: _stdin,
        verbs.CloseStdin: _close_stdin,
        verbs.Wait: _wait,
        verbs.Stdout: _stdout,
        verbs.Stderr: _stderr,
        verbs.Lines: _lines,
        verbs.State: _look_state,
        verbs.Check: _check,
        verbs.Bytes: _bytes,
        verbs.Sha256: _sha256,
        verbs.Probe: _probe,
        verbs.Fault: _fault,
        verbs.Call: _call,
        **dict.fromkeys(ASKS, _ask),
        verbs.Sleep: _sleep,
    }
)


def _refused(name: str, step: Step, attempt: Attempt, error: KatrioError) -> str:
    made = "created" if step.word == "create" else "started"
    return f"{name} was never {made}: its {step.word} on {attempt.where()} was refused, as that step expected ({error.code})"


async def look(step: verbs.Look, attempt: Attempt) -> Observed:
    """Take the value of a look once. Raises: KatrioError, CannotTell, NeverStarted."""
    return await _performed(step, attempt)


async def _performed(step: Step, attempt: Attempt) -> Observed:
    """Do what a step says, unless it is about what never came to be. Raises: KatrioError, CannotTell, NeverStarted."""
    name = _about(step)
    # one that expects an error may well be about that
    absence = attempt.absence(name) if name and not attempt.expected else None
    if absence is not None and absence.forbids(step.word):
        raise NeverStarted(absence.why)
    try:
        seen = await ACTIONS[type(step)](step, attempt)
    except KatrioError as error:
        if absence is not None and error.code not in INFRASTRUCTURE:
            raise NeverStarted(absence.why) from error
        if name and error.code in attempt.expected:
            address = attempt.address(name)
            attempt.stage.absent.refused(step.word, address, _refused(address, step, attempt, error))
        raise
    if name:
        attempt.stage.absent.done(step.word, attempt.address(name))
    return seen


def untold(step: verbs.Look, attempt: Attempt) -> CannotTell | None:
    """Why the world has no answer to a look, as far as that is known beforehand."""
    world = attempt.stage.world
    if not isinstance(step, verbs.Probe) or "probes" in world.provides:
        return None
    return CannotTell(world.missing.get("probes", f"the {world.name} world answers no probes"))


async def act(step: Step, attempt: Attempt) -> Mismatch | None:
    """Do what a step says, compare with what it expects, save what it saves.

    Raises:
        CannotTell: the world can't answer a probe.
        UnknownValue: the step uses a value that is not there.
        NeverStarted: it is about something whose start was refused, as its step expected.
    """
    expect = step.expect or Expect()
    attempt.expected = expect.error or ()
    began = attempt.stage.journal.now()
    try:
        seen = await _performed(step, attempt)
    except KatrioError as error:
        attempt.seen = Seen(error=error.code)
        if error.code not in (expect.error or ()):
            return Mismatch(_wanted(expect), f"{error.code}: {error.message}", error.code)
        seen = Observed(_about(step))
        mismatch = _first(attempt, (expect.message, error.message, "message"))
    else:
        attempt.seen = Seen(value=seen.value, exit=seen.exit)
        if expect.error is not None and NO_ERROR not in expect.error:
            return Mismatch(_wanted(expect), "no error")
        mismatch = judge(expect, seen, attempt)
    if mismatch is None and expect.took is not None:
        mismatch = _first(attempt, (expect.took, attempt.stage.journal.now() - began, "seconds"))
    if mismatch is None and expect.state is not None:
        state = attempt.seen.state = await _state_of(attempt.address(seen.about), attempt)
        mismatch = _first(attempt, (expect.state, state, "state"))
    if mismatch is None and isinstance(step, verbs.Valued) and not attempt.seen.error:
        _save(step, seen.value, attempt)
    return mismatch


def _wanted(expect: Expect) -> str:
    codes = [code for code in expect.error or () if code != NO_ERROR]
    if not codes:
        return "no error"
    also = ", or none" if NO_ERROR in (expect.error or ()) else ""
    return f"the error {' or '.join(codes)}{also}"


def _save(step: verbs.Valued, value: str | float | None, attempt: Attempt) -> None:
    for name, path in step.save:
        found = json_at(value, path) if path else value
        if found is None:
            raise UnknownValue(f"nothing to save as {name!r}: the value has nothing at {path or 'all'!r}")
        attempt.scope.values[name] = str(found).rstrip("\r\n")


def _about(step: Step) -> str:
    """The name that a step is about; empty without one."""
    match target := getattr(step, step.word):
        case ProbeOf(container=name) | FaultOf(sandbox=name):
            return name
        case _:
            return target if isinstance(target, str) else ""


Facet = tuple["Conditions | None", "str | float | None", str]


def judge(expect: Expect, seen: Observed, attempt: Attempt) -> Mismatch | None:
    """The first condition on a value, an exit code or outputs that does not hold."""
    output = seen.view
    parts: list[Facet] = [
        (conditions, json_at(seen.value, path), path) for path, conditions in (expect.json or {}).items()
    ]
    return _first(
        attempt,
        (expect, seen.value, ""),
        (expect.exit, seen.exit, "exit"),
        (expect.stdout, output.stdout.text() if output else None, "stdout"),
        (expect.stderr, output.stderr.text() if output else None, "stderr"),
        *parts,
    )


def _first(attempt: Attempt, *facets: Facet) -> Mismatch | None:
    for conditions, value, what in facets:
        if conditions is None:
            continue
        if (mismatch := holds(conditions, value, attempt.scope.values, what)) is not None:
            return mismatch
    return None
