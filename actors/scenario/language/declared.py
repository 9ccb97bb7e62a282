"""What a file declares beside its steps: sandboxes, containers, values, limits; and the names of what it declares.

For the loader, which binds YAML to these, and the stage of a run. Not for steps: `actors.scenario.steps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from actors.scenario.language.kinds import Bytes, Command, Duration, Id, Kind, Name, Need, Number, Text
from actors.scenario.language.thresholds import Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ContainerDecl", "Declared", "LimitsDecl", "Names", "SandboxDecl", "SizeDecl", "VarDecl", "labelled"]


class SizeDecl(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal's size in character cells."""

    rows: Annotated[int, "Lines."]
    columns: Annotated[int, "Characters in a line."]


class ContainerDecl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container, or what containers have when they do not say (`defaults`)."""

    image: Annotated[
        Text | None, "A name in the image store, or the absolute path of an unpacked root; `busybox` unless given."
    ] = None
    command: Annotated[Command | None, "What its first process runs: a list of words, or one text for `sh -c`."] = None
    env: Annotated[dict[str, Text], "Environment variables."] = {}
    cwd: Annotated[Text | None, "The working directory; `/` unless given. A missing one is an error."] = None
    user: Annotated[Text | None, "`uid`, `uid:gid`, `name` or `name:group`, by the container's own passwd."] = None
    tty: Annotated[bool | None, "Whether the first process has a terminal."] = None
    size: Annotated[SizeDecl | None, "The terminal's size."] = None
    readonly: Annotated[bool | None, "Whether the root file system can't be written to."] = None
    memory: Annotated[Bytes | None, "How much memory it may use."] = None
    pids: Annotated[int | None, "How many processes it may have."] = None
    cpus: Annotated[Number | None, "How many processors it may use; 0.5 is half of one."] = None
    labels: Annotated[dict[Name, Text], "Names and texts for `for_each` to choose by."] = {}
    count: Annotated[int | None, "So many like it: `worker` with 3 stands for worker-1, worker-2 and worker-3."] = None


class SandboxDecl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sandbox and the containers in it."""

    hostname: Annotated[Text | None, "The host name inside; the sandbox's own name unless given."] = None
    defaults: Annotated[ContainerDecl, "Fields for every container of the sandbox."] = ContainerDecl()
    containers: Annotated[
        dict[Id, ContainerDecl], "The containers, by their names: 2 to 40 letters, digits, `-` or `_`."
    ] = {}


class VarDecl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value from the environment of whoever runs the scenario, or else the default."""

    env: Annotated[Text | None, "The environment variable that has the value."] = None
    default: Annotated[Text | None, "The value when it is not set."] = None


class LimitsDecl(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long things may take; a step's own `within` goes before `step`."""

    total: Annotated[
        Duration,
        "For bringing up and the steps; 60s unless given. `finally` and the taking down have 20s each of their own.",
    ] = 60.0
    step: Annotated[Duration, "For each step that has no `within`; 10s unless given."] = 10.0


class Declared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file, but for its steps."""

    name: Annotated[Text, "What it shows, in a few words."]
    why: Annotated[Text, "The sentence that says why anybody should care."]
    group: Annotated[Text, "A heading, for people and `--filter`."] = ""
    labels: Annotated[tuple[Name, ...], "Words to find it by with `--filter`."] = ()
    needs: Annotated[
        tuple[Need, ...],
        "What a world must offer; one that lacks something skips the file. Steps add their own.",
    ] = ()
    limits: Annotated[LimitsDecl, "How long things may take."] = LimitsDecl()
    vars: Annotated[
        dict[Name, Annotated[str, Kind.VAR]],
        "Texts for `${name}`; one may come from the environment, or from `--var name=text`.",
    ] = {}
    defaults: Annotated[ContainerDecl, "Fields for every container of the file."] = ContainerDecl()
    sandboxes: Annotated[
        dict[Id, SandboxDecl], "The sandboxes, by their names: 2 to 40 letters, digits, `-` or `_`."
    ] = {}
    thresholds: Annotated[
        tuple[Annotated[Threshold, Kind.THRESHOLD], ...],
        "What must hold of all asks of the run, judged at its end: `p95(exec) < 50ms`. `errors` leaves out those that a "
        "step expects.",
    ] = ()


@dataclass(frozen=True, slots=True)
class Names:
    """`containers`: every way to write a container -> its `sandbox/container`; empty when it is ambiguous."""

    sandboxes: tuple[str, ...]
    containers: dict[str, str]

    @classmethod
    def of(cls, sandboxes: Mapping[str, SandboxDecl]) -> Names:
        """The names of a file's topology."""
        containers: dict[str, str] = {}
        for sandbox, declared in sandboxes.items():
            for container in declared.containers:
                full = f"{sandbox}/{container}"
                containers[full] = full
                containers[container] = "" if container in containers else full
        return cls(tuple(sandboxes), containers)

    def container(self, text: str) -> str | None:
        """The `sandbox/container` that a text means, or None."""
        return self.containers.get(text) or None


def labelled(declared: Declared, labels: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """`sandbox/container` of every container that has all these labels, in the order of the file."""
    return tuple(
        f"{sandbox}/{container}"
        for sandbox, own in declared.sandboxes.items()
        for container, decl in own.containers.items()
        if all({**declared.defaults.labels, **own.defaults.labels, **decl.labels}.get(k) == v for k, v in labels)
    )
