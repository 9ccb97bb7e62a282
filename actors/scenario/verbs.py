"""Every verb of the scenario language: its arguments, what may be expected of it, what it needs of a world.

For the loader, the runner and the reference. The field that is named like the verb says what it acts
on; `VERBS` is the one table. Not for what a verb does: `steps` and `blocks` perform them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from actors.scenario.model import (
    Command,
    Duration,
    Kind,
    ProbeOf,
    SignalNumber,
    SizeDecl,
    Step,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VERBS", "Acting", "Look", "Verb"]

ProcessName = Annotated[str, Kind.PROCESS]
ContainerName = Annotated[str, Kind.CONTAINER]
Target = Annotated[str, Kind.TARGET]
Variable = Annotated[str, Kind.NEW_VARIABLE]
StepField = Annotated[Step, Kind.STEP]
Block = tuple[StepField, ...]


class Verb(Step, frozen=True, kw_only=True, omit_defaults=True):
    """What the loader knows of a verb. `facets`: which keys of `expect` make sense beside `error`."""

    facets: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[tuple[str, ...]] = ()


class Acting(Verb, frozen=True, kw_only=True, omit_defaults=True):
    """Acts on a sandbox or a container, whose state may be expected after it."""

    facets = frozenset({"state"})


class Look(Verb, frozen=True, kw_only=True, omit_defaults=True):
    """Reads one value and changes nothing, so that it may be repeated by `eventually`, `always`, `unchanged`."""

    facets = frozenset({"value"})
    save: Variable | None = None


class Create(Acting, frozen=True, kw_only=True, omit_defaults=True):
    create: Target


class Start(Acting, frozen=True, kw_only=True, omit_defaults=True):
    start: Target


class Pause(Acting, frozen=True, kw_only=True, omit_defaults=True):
    needs = ("pause",)
    pause: ContainerName


class Resume(Acting, frozen=True, kw_only=True, omit_defaults=True):
    needs = ("pause",)
    resume: ContainerName


class Stop(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """`with` is the polite signal, `grace` how long it has before SIGKILL."""

    facets = frozenset({"state", "value", "exit", "stdout", "stderr"})
    stop: Target
    with_: SignalNumber = msgspec.field(default=15, name="with")
    grace: Duration | None = None


class Delete(Verb, frozen=True, kw_only=True, omit_defaults=True):
    delete: Target


class Exec(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Starts one more process; `as` names it for later steps."""

    needs = ("exec",)
    exec: ContainerName
    command: Command
    env: dict[str, Text] = msgspec.field(default_factory=dict)
    cwd: Text | None = None
    user: Text | None = None
    tty: bool = False
    size: SizeDecl | None = None
    as_: Annotated[str, Kind.NEW_PROCESS] | None = msgspec.field(default=None, name="as")


class Signal(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Its value is how many processes were signalled. `all`: every process of the container."""

    facets = frozenset({"state", "value"})
    needs = ("signals",)
    signal: ProcessName
    with_: SignalNumber = msgspec.field(name="with")
    all: bool = False


class Winsize(Acting, frozen=True, kw_only=True, omit_defaults=True):
    needs = ("tty",)
    winsize: ProcessName
    rows: int
    columns: int


class Stdin(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Writes `text`; its value is how many bytes went in."""

    facets = frozenset({"state", "value"})
    needs = ("stdin",)
    stdin: ProcessName
    text: Text


class CloseStdin(Acting, frozen=True, kw_only=True, omit_defaults=True):
    needs = ("stdin",)
    close_stdin: ProcessName


class Wait(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Waits for the end of a process and of its output; its value is the exit code."""

    facets = frozenset({"state", "value", "exit", "stdout", "stderr"})
    wait: ProcessName
    save: Variable | None = None


class Stdout(Look, frozen=True, kw_only=True, omit_defaults=True):
    stdout: ProcessName


class Stderr(Look, frozen=True, kw_only=True, omit_defaults=True):
    stderr: ProcessName


class Lines(Look, frozen=True, kw_only=True, omit_defaults=True):
    """How many whole lines the process has printed."""

    lines: ProcessName


class State(Look, frozen=True, kw_only=True, omit_defaults=True):
    state: Target


class Check(Look, frozen=True, kw_only=True, omit_defaults=True):
    """Asks the sandbox's agent whether it serves: `serving` or `not serving`."""

    check: Annotated[str, Kind.SANDBOX]


class Probe(Look, frozen=True, kw_only=True, omit_defaults=True):
    """Asks the world itself, past actors, agent and guest."""

    probe: Annotated[ProbeOf, Kind.PROBE]


class Sleep(Verb, frozen=True, kw_only=True, omit_defaults=True):
    sleep: Duration


class Eventually(Verb, frozen=True, kw_only=True, omit_defaults=True):
    """Looks again and again until what is expected holds."""

    eventually: StepField


class Always(Verb, frozen=True, kw_only=True, omit_defaults=True):
    """What is expected holds at every look, for a time or while other steps run."""

    always: StepField
    during: Duration | None = None
    while_: Block = msgspec.field(default=(), name="while")


class Unchanged(Verb, frozen=True, kw_only=True, omit_defaults=True):
    """The value stands still, for a time or while other steps run; first taken after `settle`."""

    unchanged: StepField
    settle: Duration = 0.0
    during: Duration | None = None
    while_: Block = msgspec.field(default=(), name="while")


class Grows(Verb, frozen=True, kw_only=True, omit_defaults=True):
    """The number grows by at least `by` from now on."""

    grows: StepField
    by: int = 1


class Parallel(Verb, frozen=True, kw_only=True, omit_defaults=True):
    """Every branch at the same time; ends when all have, the first failure stops the others."""

    parallel: tuple[Annotated[tuple[Step, ...], Kind.BRANCH], ...]


class Repeat(Verb, frozen=True, kw_only=True, omit_defaults=True):
    """The steps, so many times; `round` names the number of the round, from 1."""

    repeat: int
    round: Variable | None = None
    steps: Block


# the verb's word in the file, which is also the name of its field -> its shape
VERBS: Mapping[str, type[Verb]] = MappingProxyType(
    {
        "create": Create,
        "start": Start,
        "pause": Pause,
        "resume": Resume,
        "stop": Stop,
        "delete": Delete,
        "exec": Exec,
        "signal": Signal,
        "winsize": Winsize,
        "stdin": Stdin,
        "close_stdin": CloseStdin,
        "wait": Wait,
        "stdout": Stdout,
        "stderr": Stderr,
        "lines": Lines,
        "state": State,
        "check": Check,
        "probe": Probe,
        "sleep": Sleep,
        "eventually": Eventually,
        "always": Always,
        "unchanged": Unchanged,
        "grows": Grows,
        "parallel": Parallel,
        "repeat": Repeat,
    }
)
