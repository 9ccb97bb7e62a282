"""What each verb does: one short function a verb, from the step's words to asks on handles.

For the runner. Returns what came of it (`Observed`); errors of verbs are the runner's to judge. Not for
steps that hold other steps: `blocks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import trio

from actors.errors import KatrioError, Unsupported
from actors.limits import DEFAULT_LIMITS
from actors.scenario import topology, verbs
from actors.scenario.expect import Mismatch, holds
from actors.scenario.model import Expect, Step
from actors.wire.spec import ProcessSpec, TerminalSize

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from actors.scenario.outputs import ProcessView
    from actors.scenario.stage import Attempt

__all__ = ["ACTIONS", "CannotTell", "Observed", "act", "look"]


@dataclass(frozen=True, slots=True)
class Observed:
    """What came of a step. `about` is the name that it acted on; `view` its process, where that has ended."""

    about: str = ""
    value: str | int | None = None
    exit: int | None = None
    view: ProcessView | None = None


class CannotTell(Exception):
    """The world has no answer to a probe: the scenario is not for it."""


async def _create(step: verbs.Create, attempt: Attempt) -> Observed:
    await topology.create(attempt, step.create)
    return Observed(step.create)


async def _start(step: verbs.Start, attempt: Attempt) -> Observed:
    await topology.start(attempt, step.start)
    return Observed(step.start)


async def _pause(step: verbs.Pause, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = stage.address(step.pause)
    await attempt.ask("pause", address, stage.container(step.pause).pause(budget=attempt.budget))
    stage.seen(address, "paused")
    return Observed(step.pause)


async def _resume(step: verbs.Resume, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = stage.address(step.resume)
    await attempt.ask("resume", address, stage.container(step.resume).resume(budget=attempt.budget))
    stage.seen(address, "running")
    return Observed(step.resume)


async def _stop(step: verbs.Stop, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = stage.address(step.stop)
    if step.stop in stage.names.sandboxes:
        await attempt.ask("stop", address, stage.sandbox(address).stop(grace=step.grace, budget=attempt.budget))
        stage.seen(address, "stopped")
        return Observed(step.stop)
    handle = stage.container(step.stop)
    ending = handle.stop(signum=step.with_, grace=step.grace, budget=attempt.budget)
    status = await attempt.ask("stop", address, ending)
    stage.seen(address, "stopped")
    return Observed(step.stop, status.code, status.code, await _whole(stage.view(step.stop)))


async def _delete(step: verbs.Delete, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = stage.address(step.delete)
    if step.delete in stage.names.sandboxes:
        await attempt.ask("delete", address, stage.sandbox(address).delete(budget=attempt.budget))
        stage.standing.pop(address, None)
    else:
        await attempt.ask("delete", address, stage.container(step.delete).delete(budget=attempt.budget))
    stage.seen(address, "gone")
    return Observed(step.delete)


async def _exec(step: verbs.Exec, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = stage.address(step.exec)
    spec = ProcessSpec(
        args=tuple(stage.text(word) for word in step.command),
        env={key: stage.text(value) for key, value in step.env.items()},
        cwd=stage.text(step.cwd or "/"),
        user=stage.text(step.user or ""),
        tty=step.tty,
        size=TerminalSize(step.size.rows, step.size.columns) if step.size else None,
    )
    process = stage.fresh_process(step.as_)
    starting = stage.container(step.exec).exec(process, spec, budget=attempt.budget)
    handle = await attempt.ask("exec", address, starting)
    stage.watch(step.as_ or process, address, handle)
    return Observed(step.exec)


async def _signal(step: verbs.Signal, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = stage.address(step.signal)
    if step.all:
        handle = stage.container(address)
        sending = handle.signal(step.with_, all_processes=True, budget=attempt.budget)
    else:
        sending = stage.process(step.signal).signal(step.with_, budget=attempt.budget)
    sent = await attempt.ask("signal", address, sending)
    return Observed(step.signal, sent.processes)


async def _winsize(step: verbs.Winsize, attempt: Attempt) -> Observed:
    stage = attempt.stage
    resizing = stage.process(step.winsize).winsize(step.rows, step.columns, budget=attempt.budget)
    await attempt.ask("winsize", stage.address(step.winsize), resizing)
    return Observed(step.winsize)


async def _stdin(step: verbs.Stdin, attempt: Attempt) -> Observed:
    stage = attempt.stage
    writing = stage.process(step.stdin).write(stage.text(step.text).encode(), budget=attempt.budget)
    return Observed(step.stdin, await attempt.ask("write_stdin", stage.address(step.stdin), writing))


async def _close_stdin(step: verbs.CloseStdin, attempt: Attempt) -> Observed:
    stage = attempt.stage
    closing = stage.process(step.close_stdin).close_stdin(budget=attempt.budget)
    await attempt.ask("close_stdin", stage.address(step.close_stdin), closing)
    return Observed(step.close_stdin)


async def _wait(step: verbs.Wait, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = stage.address(step.wait)
    status = await attempt.ask("wait", address, stage.process(step.wait).wait(budget=attempt.budget))
    view = stage.view(step.wait)
    if view.label == address:
        stage.seen(address, "stopped")
    return Observed(step.wait, status.code, status.code, await _whole(view))


async def _sleep(step: verbs.Sleep, attempt: Attempt) -> Observed:
    await trio.sleep(step.sleep)
    return Observed()


async def _whole(view: ProcessView) -> ProcessView:
    """The view, once all of its output has come: that may be behind the exit, and has its own bound."""
    with trio.move_on_after(DEFAULT_LIMITS.drain_grace_seconds):
        await view.stdout.ended.wait()
        await view.stderr.ended.wait()
    return view


async def _look_state(step: verbs.State, attempt: Attempt) -> Observed:
    return Observed(step.state, await _state_of(step.state, attempt))


async def _state_of(name: str, attempt: Attempt) -> str:
    stage = attempt.stage
    address = stage.address(name)
    handle = stage.sandbox(name) if name in stage.names.sandboxes else stage.container(address)
    info = await attempt.ask("info", address, handle.info(budget=attempt.budget))
    stage.seen(address, info.state)
    return info.state


async def _check(step: verbs.Check, attempt: Attempt) -> Observed:
    checking = attempt.stage.sandbox(step.check).check(budget=attempt.budget)
    answer = await attempt.ask("check", step.check, checking)
    return Observed(step.check, "serving" if answer.serving else "not serving")


async def _probe(step: verbs.Probe, attempt: Attempt) -> Observed:
    stage = attempt.stage
    address = stage.address(step.probe.container)
    sandbox, container = address.split("/")
    asking = stage.world.probe(step.probe.kind, sandbox, container)
    try:
        return Observed(step.probe.container, await attempt.ask(f"probe {step.probe.kind}", address, asking))
    except Unsupported as error:
        raise CannotTell(error.message) from error


async def _stdout(step: verbs.Stdout, attempt: Attempt) -> Observed:
    return Observed(step.stdout, attempt.stage.view(step.stdout).stdout.text())


async def _stderr(step: verbs.Stderr, attempt: Attempt) -> Observed:
    return Observed(step.stderr, attempt.stage.view(step.stderr).stderr.text())


async def _lines(step: verbs.Lines, attempt: Attempt) -> Observed:
    return Observed(step.lines, attempt.stage.view(step.lines).stdout.lines)


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
        verbs.Probe: _probe,
        verbs.Sleep: _sleep,
    }
)


async def look(step: verbs.Look, attempt: Attempt) -> Observed:
    """Take the value of a look once. Raises: KatrioError, CannotTell."""
    return await ACTIONS[type(step)](step, attempt)


async def act(step: Step, attempt: Attempt) -> Mismatch | None:
    """Do what a step says, compare with what it expects, save what it saves.

    Raises:
        CannotTell: the world can't answer a probe.
        UnknownValue: the step uses a value that is not there.
    """
    expect = step.expect or Expect()
    try:
        seen = await ACTIONS[type(step)](step, attempt)
    except KatrioError as error:
        if error.code != expect.error:
            wanted = f"the error {expect.error}" if expect.error else "no error"
            return Mismatch(wanted, f"{error.code}: {error.message}", error.code)
        seen = Observed(_about(step))
    else:
        if expect.error is not None:
            return Mismatch(f"the error {expect.error}", "no error")
        if (mismatch := _judge(expect, seen, attempt.stage.values)) is not None:
            return mismatch
    if expect.state is not None:
        state = await _state_of(attempt.stage.address(seen.about), attempt)
        if (mismatch := holds(expect.state, state, attempt.stage.values, "state")) is not None:
            return mismatch
    if isinstance(step, verbs.Look | verbs.Wait) and step.save is not None:
        attempt.stage.values[step.save] = str(seen.value).rstrip("\r\n")
    return None


def _about(step: Step) -> str:
    target = getattr(step, step.word)
    return target if isinstance(target, str) else ""


def _judge(expect: Expect, seen: Observed, values: dict[str, str]) -> Mismatch | None:
    output = seen.view
    facets = (
        (expect, seen.value, ""),
        (expect.exit, seen.exit, "exit"),
        (expect.stdout, output.stdout.text() if output else None, "stdout"),
        (expect.stderr, output.stderr.text() if output else None, "stderr"),
    )
    for conditions, value, what in facets:
        if conditions is not None and (mismatch := holds(conditions, value, values, what)) is not None:
            return mismatch
    return None
