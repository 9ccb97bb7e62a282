"""Steps that make, hold and end sandboxes and containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from actors.scenario.language.kinds import ContainerName, Duration, SignalNumber, Target
from actors.scenario.language.scalars import SIGNALS, signal_name
from actors.scenario.stage import topology
from actors.scenario.stage.draft import container_tree
from actors.scenario.steps.base import CODE, Acting, Observed, Single, Valued, same
from actors.wire.sandbox_verbs import CreateContainer
from actors.wire.spec import Stopped
from actors.wire.verbs import CreateSandbox
from actors.wire.verbs import Stop as StopArgs

if TYPE_CHECKING:
    from actors.scenario.stage.draft import Draft, Tree
    from actors.scenario.stage.recording import Asked
    from actors.scenario.stage.stage import Attempt

__all__ = ["STEPS", "Create", "Delete", "Pause", "Resume", "Start", "Stop"]


class Create(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Creates it; nothing of it runs before its `start`."""

    word = "create"
    example = "{create: one, expect: {state: ready}}"
    create: Annotated[Target, "What to create."]

    async def perform(self, attempt: Attempt) -> Observed:
        await topology.create(attempt, self.create)
        return Observed()

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        """See `Step.recorded`; what is created is declared."""
        match ask.args:
            case CreateSandbox(id=name):
                draft.containers(name)
                return [{cls.word: draft.named(name, name)}]
            case CreateContainer(id=name, spec=spec):
                address = f"{ask.to}/{name}"
                draft.containers(ask.to).setdefault(draft.named(address, name), container_tree(spec))
                return [{cls.word: draft.target(address)}]
            case _:
                return []


class Start(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Starts it: a sandbox's guest, a container's first process."""

    word = "start"
    example = "{start: one, within: 5s}"
    start: Annotated[Target, "What to start."]

    async def perform(self, attempt: Attempt) -> Observed:
        await topology.start(attempt, self.start)
        return Observed()

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        return same(cls, ask, draft)


class Pause(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Freezes every process of the container; its neighbours run on."""

    word = "pause"
    elsewhere = frozenset({"freeze"})
    example = "{pause: one, expect: {state: paused}}"
    needs: ClassVar[tuple[str, ...]] = ("pause",)
    pause: Annotated[ContainerName, "The container to freeze."]

    async def perform(self, attempt: Attempt) -> Observed:
        asking = attempt.container(self.pause).pause(timeout=attempt.budget)
        await attempt.ask("pause", attempt.address(self.pause), asking)
        return Observed()

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        return same(cls, ask, draft)


class Resume(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Thaws the container."""

    word = "resume"
    elsewhere = frozenset({"unpause", "unfreeze", "thaw"})
    example = "{resume: one, expect: {error: invalid_transition}}"
    needs: ClassVar[tuple[str, ...]] = ("pause",)
    resume: Annotated[ContainerName, "The container to thaw."]

    async def perform(self, attempt: Attempt) -> Observed:
        asking = attempt.container(self.resume).resume(timeout=attempt.budget)
        await attempt.ask("resume", attempt.address(self.resume), asking)
        return Observed()

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        return same(cls, ask, draft)


class Stop(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Sends the polite signal, waits out the grace, kills; its value and `exit` are the exit code."""

    word = "stop"
    example = "{stop: one, with: INT, grace: 2s, expect: {exit: 130}}"
    facets = frozenset({"error", "state", "value", "exit", "stdout", "stderr"})
    values = CODE
    stop: Annotated[Target, "What to stop."]
    with_: Annotated[SignalNumber, "The polite signal; TERM unless given."] = msgspec.field(default=15, name="with")
    grace: Annotated[Duration | None, "How long it has before SIGKILL; 10s unless given."] = None

    async def perform(self, attempt: Attempt) -> Observed:
        address = attempt.address(self.stop)
        if attempt.is_sandbox(self.stop):
            ending = attempt.sandbox(address).stop(grace=self.grace, timeout=attempt.budget)
            await attempt.ask("stop", address, ending)
            return Observed()
        handle = attempt.container(self.stop)
        stopping = handle.stop(signum=self.with_, grace=self.grace, timeout=attempt.budget)
        code = (await attempt.ask("stop", address, stopping)).code
        return Observed(code, code, await attempt.whole(self.stop))

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        if not isinstance(ask.args, StopArgs):
            return []
        step: Tree = {cls.word: draft.target(ask.to)}
        if ask.args.signal != SIGNALS["TERM"]:
            step["with"] = signal_name(ask.args.signal)
        if ask.args.grace_seconds is not None:
            step["grace"] = f"{round(ask.args.grace_seconds * 1000)}ms"
        if isinstance(ask.answer, Stopped) and ask.answer.code is not None:
            step["expect"] = {"exit": ask.answer.code}
        return [step]


class Delete(Single, frozen=True, kw_only=True, omit_defaults=True):
    """Forgets it and the results that were kept; refused while it runs."""

    word = "delete"
    elsewhere = frozenset({"rm", "remove", "destroy"})
    example = "{delete: one}"
    facets = frozenset({"error"})
    delete: Annotated[Target, "What to forget."]

    async def perform(self, attempt: Attempt) -> Observed:
        address = attempt.address(self.delete)
        if attempt.is_sandbox(self.delete):
            await attempt.ask("delete", address, attempt.sandbox(address).delete(timeout=attempt.budget))
            attempt.stage.standing.pop(address, None)
            attempt.stage.deleted.add(address)
        else:
            await attempt.ask("delete", address, attempt.container(self.delete).delete(timeout=attempt.budget))
        return Observed()

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        return same(cls, ask, draft)


STEPS = (Create, Start, Pause, Resume, Stop, Delete)
