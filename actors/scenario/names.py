"""The names of a scenario: what each means, and whether it is there when it is used.

For the loader's last check and for the runner, which resolves names the same way. Sandboxes,
containers, processes and values are introduced once each; a container goes by its own name where
only one has it, and by `sandbox/container` everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.scenario.model import Kind
from actors.scenario.problems import Problem, nearest
from actors.scenario.scalars import variables_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.scenario.binding import Reference
    from actors.scenario.model import Scenario

__all__ = ["Names", "wrong_names"]

_TEMPLATED = frozenset({Kind.TEXT, Kind.SCALAR, Kind.NUMBER, Kind.REGEX})


@dataclass(frozen=True, slots=True)
class Names:
    """`containers`: every way to write a container -> its `sandbox/container`; empty when it is ambiguous."""

    sandboxes: tuple[str, ...]
    containers: dict[str, str]

    @classmethod
    def of(cls, scenario: Scenario) -> Names:
        """The names of the file's topology."""
        containers: dict[str, str] = {}
        for sandbox, declared in scenario.sandboxes.items():
            for container in declared.containers:
                full = f"{sandbox}/{container}"
                containers[full] = full
                containers[container] = "" if container in containers else full
        return cls(tuple(scenario.sandboxes), containers)

    def container(self, text: str) -> str | None:
        """The `sandbox/container` that a text means, or None."""
        return self.containers.get(text) or None


def wrong_names(scenario: Scenario, references: Sequence[Reference], file: str) -> Iterator[Problem]:
    """Every use of a name that means nothing at its place, and every second introduction of one."""
    names = Names.of(scenario)
    processes: dict[str, int] = {}
    values: dict[str, int] = dict.fromkeys(scenario.vars, 0)
    for use in references:
        match use.kind:
            case Kind.SANDBOX:
                known = list(names.sandboxes)
            case Kind.CONTAINER:
                known = [name for name, full in names.containers.items() if full]
            case Kind.TARGET:
                known = [*names.sandboxes, *(name for name, full in names.containers.items() if full)]
            case Kind.PROCESS:
                known = [*(name for name, full in names.containers.items() if full), *processes]
            case Kind.NEW_PROCESS:
                if use.text in processes or use.text in names.containers or use.text in names.sandboxes:
                    yield _problem(use, file, f"the name {use.text!r} again", "a name of its own")
                processes[use.text] = use.line
                continue
            case Kind.NEW_VARIABLE:
                values[use.text] = use.line
                continue
            case kind if kind in _TEMPLATED:
                yield from _unknown_values(use, values, file)
                continue
            case _:
                continue
        if use.text not in known:
            yield _problem(use, file, _found(use, names), use.kind.value, nearest(use.text, known))
    yield from _topology(scenario, names, references, file)


def _found(use: Reference, names: Names) -> str:
    if names.containers.get(use.text) == "":
        return f"{use.text!r}, which several sandboxes have (write sandbox/{use.text})"
    return repr(use.text)


def _unknown_values(use: Reference, values: dict[str, int], file: str) -> Iterator[Problem]:
    for name in variables_in(use.text):
        if name not in values:
            expected = "a value from 'vars' or an earlier 'save'; $${...} is the shell's own"
            yield _problem(use, file, f"${{{name}}}", expected, nearest(name, values))


def _topology(scenario: Scenario, names: Names, references: Sequence[Reference], file: str) -> Iterator[Problem]:
    """Names that are both a sandbox and a container, and containers with nothing to run."""
    places = {use.path: use for use in references if use.kind is Kind.NAME}
    for sandbox, declared in scenario.sandboxes.items():
        for container, own in declared.containers.items():
            use = places[f"sandboxes.{sandbox}.containers.{container}"]
            if container in names.sandboxes:
                yield _problem(use, file, f"{container!r}, which is a sandbox too", "a name of its own")
            if not (own.command or declared.defaults.command or scenario.defaults.command):
                yield _problem(use, file, "no command", "a command, here or in defaults")


def _problem(use: Reference, file: str, found: str, expected: str, like: str = "") -> Problem:
    return Problem(
        file=file, line=use.line, column=use.column, field=use.path, found=found, expected=expected, nearest=like
    )
