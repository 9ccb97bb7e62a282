"""Every verb of the scenario language: its arguments, what may be expected of it, what it needs of a world.

For the loader, the runner and the reference. The field that is named like the verb says what it acts
on; `VERBS` is the one table. Not for what a verb does: `steps` and `blocks` perform them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import msgspec

from actors.likeness import nearest
from actors.scenario.asks import ASKS
from actors.scenario.bases import (
    Acting,
    Block,
    Branches,
    ContainerName,
    Look,
    LookField,
    ProcessName,
    SandboxName,
    Target,
    Valued,
    Variable,
)
from actors.scenario.model import (
    Command,
    Duration,
    Each,
    FaultOf,
    Kind,
    Number,
    ProbeOf,
    SignalNumber,
    SizeDecl,
    Step,
    Text,
)
from actors.wire.sandbox_verbs import SANDBOX_VERBS
from actors.wire.verbs import CONTAINER_VERBS, SYSTEM_VERBS, Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ASKED", "VERBS", "Acting", "Look", "Valued", "call_problem", "verb_rows"]


class Create(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Creates it; nothing of it runs before its `start`."""

    word = "create"
    create: Target


class Start(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Starts it: a sandbox's guest, a container's first process."""

    word = "start"
    start: Target


class Pause(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Freezes every process of the container; its neighbours run on."""

    word = "pause"
    needs: ClassVar[tuple[str, ...]] = ("pause",)
    pause: ContainerName


class Resume(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Thaws the container."""

    word = "resume"
    needs: ClassVar[tuple[str, ...]] = ("pause",)
    resume: ContainerName


class Stop(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Sends the polite signal, waits out the grace, kills; its value and `exit` are the exit code."""

    word = "stop"
    facets = frozenset({"error", "state", "value", "exit", "stdout", "stderr"})
    stop: Target
    with_: SignalNumber = msgspec.field(default=15, name="with")
    grace: Duration | None = None


class Delete(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Forgets it and the results that were kept; refused while it runs."""

    word = "delete"
    facets = frozenset({"error"})
    delete: Target


class Exec(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Starts one more process; `as` names it for later steps."""

    word = "exec"
    needs: ClassVar[tuple[str, ...]] = ("exec",)
    exec: ContainerName
    command: Command
    env: dict[str, Text] = msgspec.field(default_factory=dict[str, Text])
    cwd: Text | None = None
    user: Text | None = None
    tty: bool = False
    size: SizeDecl | None = None
    as_: Annotated[str, Kind.NEW_PROCESS] | None = msgspec.field(default=None, name="as")


class Signal(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Sends a signal; its value is how many processes got it. One that has ended is fine."""

    word = "signal"
    needs: ClassVar[tuple[str, ...]] = ("signals",)
    signal: ProcessName
    with_: SignalNumber = msgspec.field(name="with")
    all: bool = False


class Winsize(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Resizes the terminal of a process."""

    word = "winsize"
    needs: ClassVar[tuple[str, ...]] = ("tty",)
    winsize: ProcessName
    rows: int
    columns: int


class Stdin(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Writes `text`; its value is how many bytes went in."""

    word = "stdin"
    needs: ClassVar[tuple[str, ...]] = ("stdin",)
    stdin: ProcessName
    text: Text


class CloseStdin(Acting, frozen=True, kw_only=True, omit_defaults=True):
    """Ends the input of a process."""

    word = "close_stdin"
    needs: ClassVar[tuple[str, ...]] = ("stdin",)
    close_stdin: ProcessName


class Wait(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Waits for the end of a process and of its output; its value is the exit code."""

    word = "wait"
    facets = frozenset({"error", "state", "value", "exit", "stdout", "stderr"})
    wait: ProcessName


class Stdout(Look, frozen=True, kw_only=True, omit_defaults=True):
    """What the process has printed so far: the last 64 KiB of it."""

    word = "stdout"
    stdout: ProcessName


class Stderr(Look, frozen=True, kw_only=True, omit_defaults=True):
    """What the process has printed as errors so far."""

    word = "stderr"
    stderr: ProcessName


class Lines(Look, frozen=True, kw_only=True, omit_defaults=True):
    """How many whole lines the process has printed."""

    word = "lines"
    lines: ProcessName


class Bytes(Look, frozen=True, kw_only=True, omit_defaults=True):
    """How many bytes the process has printed, and that reached us."""

    word = "bytes"
    bytes: ProcessName


class Sha256(Look, frozen=True, kw_only=True, omit_defaults=True):
    """The SHA-256 of all that the process has printed, in hexadecimal."""

    word = "sha256"
    sha256: ProcessName


class State(Look, frozen=True, kw_only=True, omit_defaults=True):
    """The state that its actor is in."""

    word = "state"
    state: Target


class Check(Look, frozen=True, kw_only=True, omit_defaults=True):
    """Asks the sandbox's agent whether it serves: `serving` or `not serving`."""

    word = "check"
    check: SandboxName


class Probe(Look, frozen=True, kw_only=True, omit_defaults=True):
    """Asks the world itself, past actors, agent and guest."""

    word = "probe"
    probe: Annotated[ProbeOf, Kind.PROBE]


class Fault(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Breaks a part of the world, past actors and agent."""

    word = "fault"
    facets = frozenset({"error"})
    needs: ClassVar[tuple[str, ...]] = ("faults",)
    fault: Annotated[FaultOf, Kind.FAULT]


class Call(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Any verb of a sandbox or container by its name on the wire. Its value: the answer as JSON."""

    word = "call"
    call: Target
    verb: Text
    args: Annotated[dict[str, Any], Kind.ARGS] = msgspec.field(default_factory=dict[str, Any])


class Sleep(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Waits."""

    word = "sleep"
    sleep: Duration


class Eventually(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Looks again and again until what is expected holds."""

    word = "eventually"
    eventually: LookField


class Always(Step, frozen=True, kw_only=True, omit_defaults=True):
    """What is expected holds at every look, for a time or while other steps run."""

    word = "always"
    always: LookField
    during: Duration | None = None
    while_: Block = msgspec.field(default=(), name="while")


class Unchanged(Step, frozen=True, kw_only=True, omit_defaults=True):
    """The value stands still, for a time or while other steps run; first taken after `settle`."""

    word = "unchanged"
    unchanged: LookField
    settle: Duration = 0.0
    during: Duration | None = None
    while_: Block = msgspec.field(default=(), name="while")


class Grows(Step, frozen=True, kw_only=True, omit_defaults=True):
    """The number grows by at least `by` from now on."""

    word = "grows"
    grows: LookField
    by: int = 1


class Parallel(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Every branch at the same time; ends when all have, the first failure stops the others."""

    word = "parallel"
    parallel: Branches


class Race(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Every branch, started at the same instant; each runs to its end. Its value: how many had no error.

    A branch whose error was expected has had one all the same.
    """

    word = "race"
    facets = frozenset({"value"})
    race: Branches


class ForEach(Step, frozen=True, kw_only=True, omit_defaults=True):
    """The steps for each item, `as` being its name in them; `together`: for all of them at the same time.

    What the steps save and which processes they name is each round's own.
    """

    word = "for_each"
    scoped = True
    for_each: Annotated[Each, Kind.EACH]
    as_: Variable = msgspec.field(name="as")
    together: bool = False
    steps: Block


class Rate(Step, frozen=True, kw_only=True, omit_defaults=True):
    """Begins the steps `rate` times a second `during` a time, whether or not the earlier ones have ended.

    At most `in_flight` of them go on at once: a round that finds no room waits for it. Its value: how many rounds
    there were. What the steps save and which processes they name is each round's own.
    """

    word = "rate"
    scoped = True
    facets = frozenset({"value"})
    rate: Number
    during: Duration
    in_flight: int = 64
    round: Variable | None = None
    steps: Block


class Include(Step, frozen=True, kw_only=True, omit_defaults=True):
    """The steps of another file, `with` values of their own.

    That file's `steps` come from the loader; what they save and which processes they name is theirs alone.
    """

    word = "include"
    scoped = True
    include: Text
    with_: dict[Variable, Text] = msgspec.field(default_factory=dict[str, str], name="with")
    steps: Block


class Repeat(Step, frozen=True, kw_only=True, omit_defaults=True):
    """The steps, so many times; `round` names the number of the round, from 1."""

    word = "repeat"
    repeat: int
    round: Variable | None = None
    steps: Block


_ALL: tuple[type[Step], ...] = (
    Create,
    Start,
    Pause,
    Resume,
    Stop,
    Delete,
    Exec,
    Signal,
    Winsize,
    Stdin,
    CloseStdin,
    Wait,
    Stdout,
    Stderr,
    Lines,
    Bytes,
    Sha256,
    State,
    Check,
    *ASKS,
    Probe,
    Fault,
    Call,
    Sleep,
    Eventually,
    Always,
    Unchanged,
    Grows,
    Parallel,
    Race,
    Repeat,
    ForEach,
    Rate,
    Include,
)

# the verb's word in the file, which is also the name of its field -> its shape
VERBS: Mapping[str, type[Step]] = MappingProxyType({verb.word: verb for verb in _ALL})


# what the asks of a run may be called, for thresholds: the wire's verbs, and `create` of a sandbox or a container
ASKED = frozenset(
    name
    for table in ({"create": None}, SYSTEM_VERBS, SANDBOX_VERBS, CONTAINER_VERBS)
    for name, row in table.items()
    if row is None or not row.streams
)


class CallProblem(NamedTuple):
    """What is wrong with a call: the field of the step, and the words for it."""

    field: str
    found: str
    expected: str
    like: str = ""


def verb_rows(name: str) -> list[Verb[Any, Any]]:
    """The rows of the verb tables with this name: a sandbox's, a container's."""
    return [table[name] for table in (SANDBOX_VERBS, CONTAINER_VERBS) if name in table]


def call_problem(step: Call) -> CallProblem | None:
    """Whether there is such a verb, and whether it takes these arguments."""
    rows = [row for row in verb_rows(step.verb) if not row.streams]
    if not rows:
        known = [name for table in (SANDBOX_VERBS, CONTAINER_VERBS) for name, row in table.items() if not row.streams]
        like = nearest(step.verb, known)
        return CallProblem("verb", repr(step.verb), f"a verb: {', '.join(dict.fromkeys(known))}", like)
    troubles: list[str] = []
    for row in rows:
        try:
            msgspec.convert(step.args, row.args, strict=False)
        except msgspec.ValidationError as error:
            troubles.append(str(error))
    if len(troubles) < len(rows):
        return None
    fields = ", ".join(item.encode_name for item in msgspec.structs.fields(rows[0].args)) or "none"
    return CallProblem("args", troubles[0], f"the arguments of {step.verb}: {fields}")
