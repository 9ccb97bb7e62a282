"""The shapes of a scenario file: what may be written, under which names, of which kinds.

For the loader, which binds YAML to these, and the runner, which reads them. A field's kind
(`Annotated[..., Kind]`) says how its text is read; `actors.scenario.scalars` knows the texts.
Not for checks across fields (`names`), nor for what a step does (`steps`).
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

import msgspec

from actors.scenario.thresholds import Threshold

__all__ = [
    "Conditions",
    "ContainerDecl",
    "Each",
    "Expect",
    "FaultOf",
    "Kind",
    "LimitsDecl",
    "ProbeOf",
    "SandboxDecl",
    "Scenario",
    "SizeDecl",
    "Step",
    "VarDecl",
]


class Kind(Enum):
    """How the text of a field is read. The value says what is expected, for people."""

    DURATION = "a time such as 300ms, 5s or 2m"
    BYTES = "a size with its unit, such as 64MiB, 1GiB or 4096B"
    SIGNAL = "a signal's name (TERM, USR1) or number"
    TEXT = "text"
    NUMBER = "a number"
    SCALAR = "text or a number"
    REGEX = "a regular expression"
    COMMAND = "a list of words, or one text for sh -c"
    NEED = "something a world can provide"
    CODES = "an error's code, or a list of codes of which 'none' may be one"
    NAME = "a name: letters, digits, '-' or '_', at most 40"
    ID = "a name of 2 to 40 letters, digits, '-' or '_'"
    NEW_PROCESS = "a new name for the process"
    NEW_VARIABLE = "a name for the value"
    SANDBOX = "a sandbox of this file"
    CONTAINER = "a container of this file"
    TARGET = "a sandbox or a container of this file"
    PROCESS = "a container of this file, or a process named by an earlier exec"
    PROBE = "one thing to ask: the container to ask it of"
    FAULT = "one thing to break: the sandbox that it happens to"
    EACH = "a list of texts, a range such as 1..20, or {labels: {name: text}}"
    SAVE = "a name for the value, or names and the JSON path of each"
    JSON_PATH = "a JSON path such as memory.usage or [0].pid"
    RANGE = "two numbers, the lowest and the highest"
    VAR = "text, or {env: NAME, default: text}"
    ARGS = "arguments of the verb"
    THRESHOLD = "a threshold such as p95(exec) < 50ms"
    CONDITIONS = "what the value must be, or conditions on it"
    EXPECT = "what the step's value must be, or conditions on what came of it"
    STEP = "a step: one verb and what it acts on"
    BRANCH = "a step, or a list of steps"


Duration = Annotated[float, Kind.DURATION]
Bytes = Annotated[int, Kind.BYTES]
SignalNumber = Annotated[int, Kind.SIGNAL]
Text = Annotated[str, Kind.TEXT]
Number = Annotated[str, Kind.NUMBER]
Scalar = Annotated[str, Kind.SCALAR]
Regex = Annotated[str, Kind.REGEX]
Command = Annotated[tuple[str, ...], Kind.COMMAND]
Need = Annotated[str, Kind.NEED]
Codes = Annotated[tuple[str, ...], Kind.CODES]
Name = Annotated[str, Kind.NAME]
Id = Annotated[str, Kind.ID]
JsonPath = Annotated[str, Kind.JSON_PATH]


class SizeDecl(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal's size in character cells."""

    rows: int
    columns: int


class ContainerDecl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container, or what containers have when they do not say (`defaults`)."""

    # a name that the world's image store knows, or an absolute path of an unpacked root
    image: Text | None = None
    command: Command | None = None
    env: dict[str, Text] = {}
    cwd: Text | None = None
    user: Text | None = None
    tty: bool | None = None
    size: SizeDecl | None = None
    readonly: bool | None = None
    memory: Bytes | None = None
    pids: int | None = None
    # in processors: 0.5 is half of one
    cpus: Number | None = None
    # for `for_each` to choose by
    labels: dict[Name, Text] = {}
    # so many like it: `worker` with 3 stands for worker-1, worker-2 and worker-3
    count: int | None = None


class SandboxDecl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sandbox and the containers in it."""

    hostname: Text | None = None
    defaults: ContainerDecl = ContainerDecl()
    containers: dict[Id, ContainerDecl] = {}


class VarDecl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value from the environment of whoever runs the scenario, or else the default."""

    env: Text | None = None
    default: Text | None = None


class LimitsDecl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long things may take; a step's own `within` goes before `step`."""

    total: Duration = 60.0
    step: Duration = 10.0


class Conditions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions on one value; all that are given must hold. Texts are compared without their last line end."""

    equals: Scalar | None = None
    contains: Text | None = None
    excludes: Text | None = None
    matches: Regex | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    range: Annotated[tuple[str, str] | None, Kind.RANGE] = None
    one_of: tuple[Scalar, ...] | None = None


class Expect(Conditions, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions on what came of a step: on its value, and on what else there is after it."""

    # the step must fail, with this code or one of these; `none` among them: it may also not fail
    error: Codes | None = None
    # of the error
    message: Annotated[Conditions | None, Kind.CONDITIONS] = None
    # seconds from the step's start to its end
    took: Annotated[Conditions | None, Kind.CONDITIONS] = None
    # the value read as JSON: a path in it -> conditions
    json: dict[JsonPath, Annotated[Conditions, Kind.CONDITIONS]] | None = None
    exit: Annotated[Conditions | None, Kind.CONDITIONS] = None
    stdout: Annotated[Conditions | None, Kind.CONDITIONS] = None
    stderr: Annotated[Conditions | None, Kind.CONDITIONS] = None
    # of the sandbox or container that the step acted on
    state: Annotated[Conditions | None, Kind.CONDITIONS] = None


class Each(msgspec.Struct, frozen=True):
    """What `for_each` goes through: texts as they stand, or the containers that have all these labels."""

    texts: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


class ProbeOf(msgspec.Struct, frozen=True):
    """One question to the world about one container."""

    kind: str
    container: str


class FaultOf(msgspec.Struct, frozen=True):
    """One thing that the world is to break."""

    kind: str
    sandbox: str


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every step may have beside its verb; `actors.scenario.verbs` has one subclass for each.

    `facets` are the keys of `expect` that make sense, `value` standing for conditions on the step's own.
    """

    word: ClassVar[str]
    facets: ClassVar[frozenset[str]] = frozenset()
    # whether what its inner steps name is theirs alone
    scoped: ClassVar[bool] = False
    # of the world, beside what the file lists
    needs: ClassVar[tuple[str, ...]] = ()
    # for people: what the step is for
    name: Text | None = None
    within: Duration | None = None
    expect: Annotated[Expect | None, Kind.EXPECT] = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file."""

    name: Text
    why: Text
    # for people and `--filter`: a heading, and words
    group: Text = ""
    labels: tuple[Name, ...] = ()
    needs: tuple[Need, ...] = ()
    limits: LimitsDecl = LimitsDecl()
    vars: dict[Name, Annotated[str, Kind.VAR]] = {}
    defaults: ContainerDecl = ContainerDecl()
    sandboxes: dict[Id, SandboxDecl] = {}
    # of all asks of the run, judged at its end
    thresholds: tuple[Annotated[Threshold, Kind.THRESHOLD], ...] = ()
    steps: tuple[Annotated[Step, Kind.STEP], ...]
    # runs whatever became of the steps, before the sandboxes are taken down
    finally_: tuple[Annotated[Step, Kind.STEP], ...] = msgspec.field(default=(), name="finally")
