"""Steps that look: at what processes have printed, and at states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from actors.scenario.language.conditions import STATES
from actors.scenario.language.kinds import ProcessName, SandboxName, Target
from actors.scenario.steps.base import COUNT, Look, Observed, Values
from actors.wire.sandbox_verbs import Checked
from actors.wire.verbs import Info

if TYPE_CHECKING:
    from actors.scenario.stage.draft import Draft, Tree
    from actors.scenario.stage.recording import Asked
    from actors.scenario.stage.stage import Attempt

__all__ = ["STEPS", "Bytes", "Check", "Lines", "Sha256", "State", "Stderr", "Stdout"]


class Stdout(Look, frozen=True, kw_only=True, omit_defaults=True):
    """What the process has printed so far: the last 64 KiB of it."""

    word = "stdout"
    elsewhere = frozenset({"output"})
    example = "{stdout: one, expect: {contains: ready}}"
    of_init = True
    stdout: Annotated[ProcessName, "The process whose output is looked at."]

    async def perform(self, attempt: Attempt) -> Observed:
        return Observed(attempt.view(self.stdout).stdout.text())


class Stderr(Look, frozen=True, kw_only=True, omit_defaults=True):
    """What the process has printed as errors so far."""

    word = "stderr"
    example = '{stderr: one, expect: ""}'
    of_init = True
    stderr: Annotated[ProcessName, "The process whose error output is looked at."]

    async def perform(self, attempt: Attempt) -> Observed:
        return Observed(attempt.view(self.stderr).stderr.text())


class Lines(Look, frozen=True, kw_only=True, omit_defaults=True):
    """How many whole lines the process has printed."""

    word = "lines"
    example = "{lines: one, expect: {at_least: 3}}"
    of_init = True
    values = COUNT
    lines: Annotated[ProcessName, "The process whose lines are counted."]

    async def perform(self, attempt: Attempt) -> Observed:
        return Observed(attempt.view(self.lines).stdout.lines)


class Bytes(Look, frozen=True, kw_only=True, omit_defaults=True):
    """How many bytes the process has printed, and that reached us."""

    word = "bytes"
    example = "{bytes: one, expect: 52428800}"
    of_init = True
    values = COUNT
    bytes: Annotated[ProcessName, "The process whose bytes are counted."]

    async def perform(self, attempt: Attempt) -> Observed:
        return Observed(attempt.view(self.bytes).stdout.size)


class Sha256(Look, frozen=True, kw_only=True, omit_defaults=True):
    """The SHA-256 of all that the process has printed, in hexadecimal."""

    word = "sha256"
    example = "{sha256: one, save: digest}"
    of_init = True
    sha256: Annotated[ProcessName, "The process whose output is summed."]

    async def perform(self, attempt: Attempt) -> Observed:
        return Observed(attempt.view(self.sha256).stdout.digest.hexdigest())


class State(Look, frozen=True, kw_only=True, omit_defaults=True):
    """The state that its actor is in."""

    word = "state"
    example = "{state: one, expect: running}"
    values = Values(choices=STATES)
    state: Annotated[Target, "The sandbox or container."]

    async def perform(self, attempt: Attempt) -> Observed:
        return Observed(await attempt.state_of(self.state))

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        """See `Step.recorded`; of the system itself a file can't ask."""
        if ask.verb != "info" or not ask.to:
            return []
        expect = {"expect": ask.answer.state} if isinstance(ask.answer, Info) else {}
        return [{cls.word: draft.target(ask.to), **expect}]


class Check(Look, frozen=True, kw_only=True, omit_defaults=True):
    """Asks the sandbox's agent whether it serves: `serving` or `not serving`."""

    word = "check"
    example = "{check: box, expect: serving}"
    values = Values(choices=("serving", "not serving"))
    check: Annotated[SandboxName, "The sandbox whose agent is asked."]

    async def perform(self, attempt: Attempt) -> Observed:
        checking = attempt.sandbox(self.check).check(timeout=attempt.budget)
        answer = await attempt.ask("check", self.check, checking)
        return Observed("serving" if answer.serving else "not serving")

    @classmethod
    def recorded(cls, ask: Asked, draft: Draft) -> list[Tree]:
        if ask.verb != "check" or not ask.to:
            return []
        serving = isinstance(ask.answer, Checked) and ask.answer.serving
        return [{cls.word: draft.target(ask.to), "expect": "serving" if serving else "not serving"}]


STEPS = (Stdout, Stderr, Lines, Bytes, Sha256, State, Check)
