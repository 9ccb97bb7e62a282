"""The names of a scenario: whether each is there when it is used.

For the loader's last check; the stage resolves names the same way. Sandboxes,
containers, processes and values are introduced once each; a container goes by its own name where
only one has it, and by `sandbox/container` everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from actors.limits import DEFAULT_LIMITS
from actors.scenario.language.declared import Names, labelled
from actors.scenario.language.kinds import Kind
from actors.scenario.language.scalars import NO_ERROR
from actors.scenario.language.values import variables_in
from actors.scenario.reading.problems import Problem
from actors.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from actors.scenario.language.declared import ContainerDecl, SandboxDecl
    from actors.scenario.reading.references import Reference
    from actors.scenario.reading.scenario import Scenario
    from actors.scenario.steps.base import Step

__all__ = ["check_names", "counted"]

# what one templated name may stand for
MAX_POSSIBLE = 10_000
# names that a message lists
MAX_LISTED = 10

_TEMPLATED = frozenset({Kind.TEXT, Kind.SCALAR, Kind.NUMBER, Kind.REGEX})


def check_names(
    declared: Scenario, references: Sequence[Reference], scopes: Sequence[str], steps: Mapping[str, Step]
) -> tuple[list[Problem], dict[str, tuple[str, ...]]]:
    """Every use of a name that means nothing at its place, and every second introduction of one.

    Args:
        declared: as the file has it, before `counted`.
        references: in the order of the file.
        scopes: the paths of steps whose inner names are theirs alone.
        steps: each step by its path.

    Returns:
        The faults, in the order of the file; and by the path of each target all that it may stand for.
    """
    checker = _Checker(counted(declared), scopes)
    problems = [problem for use in references for problem in checker.check(use)]
    problems += _topology(declared, checker.names, references)
    problems += _never_started(references, steps)
    problems.sort(key=lambda problem: (problem.line, problem.column))
    return problems, checker.targets


def counted(declared: Scenario) -> Scenario:
    """The scenario with every container that has a `count` replaced by so many."""
    sandboxes: dict[str, SandboxDecl] = {}
    for sandbox, own in declared.sandboxes.items():
        containers: dict[str, ContainerDecl] = {}
        for container, decl in own.containers.items():
            for name in _numbered(container, decl):
                containers[name] = decl
        sandboxes[sandbox] = msgspec.structs.replace(own, containers=containers)
    return msgspec.structs.replace(declared, sandboxes=sandboxes)


def _numbered(container: str, decl: ContainerDecl) -> list[str]:
    if decl.count is None:
        return [container]
    return [f"{container}-{number}" for number in range(1, min(decl.count, DEFAULT_LIMITS.containers) + 1)]


@dataclass(frozen=True, slots=True)
class _Known:
    """A name that was introduced: where it means something, and what a value of that name may be (None: not known)."""

    scope: str
    line: int = 0
    texts: tuple[str, ...] | None = None


class _Checker:
    """Goes through the names in the order of the file."""

    def __init__(self, scenario: Scenario, scopes: Sequence[str]) -> None:
        self.names = Names.of(scenario.sandboxes)
        self._scenario = scenario
        self._scopes = sorted(scopes, key=len, reverse=True)
        self._processes: dict[str, list[_Known]] = {}
        self._values: dict[str, list[_Known]] = {
            name: [_Known("", texts=(text,))] for name, text in scenario.vars.items()
        }
        # the path of a step -> what its `for_each` goes through
        self._each: dict[str, tuple[str, ...]] = {}
        # the path of a value given to an included file -> what it may be
        self._given: dict[str, tuple[str, ...]] = {}
        self.targets: dict[str, tuple[str, ...]] = {}

    def check(self, use: Reference) -> Iterator[Problem]:
        """The faults of one use of a name."""
        match use.kind:
            case Kind.SANDBOX | Kind.CONTAINER | Kind.TARGET | Kind.PROCESS:
                yield from self._target(use)
            case Kind.NEW_PROCESS:
                yield from self._new_process(use)
            case Kind.EACH:
                yield from self._new_each(use)
            case Kind.NEW_VARIABLE:
                step = use.path.rpartition(".")[0]
                self._values.setdefault(use.text, []).append(
                    _Known(self._scope(use), use.line, self._each.get(step) or self._given.get(use.path))
                )
            case kind if kind in _TEMPLATED:
                yield from self._unknown_values(use)
                if ".with." in use.path:
                    self._given[use.path] = self._possible(use)[0]
            case _:
                pass

    def _scope(self, use: Reference) -> str:
        return next((scope for scope in self._scopes if use.path.startswith(f"{scope}.")), "")

    def _visible(self, known: Mapping[str, list[_Known]], name: str, use: Reference) -> _Known | None:
        """The innermost of that name that means something where it is used."""
        found = [one for one in known.get(name, ()) if not one.scope or use.path.startswith(f"{one.scope}.")]
        return max(found, key=lambda one: len(one.scope), default=None)

    def _containers(self) -> list[str]:
        return [name for name, full in self.names.containers.items() if full]

    def _target(self, use: Reference) -> Iterator[Problem]:
        known: list[str] = []
        if use.kind is not Kind.CONTAINER and use.kind is not Kind.PROCESS:
            known += self.names.sandboxes
        if use.kind is not Kind.SANDBOX:
            known += self._containers()
        texts, problems = self._possible(use)
        yield from problems
        self.targets[use.path] = texts
        for text in texts:
            if text in known or (use.kind is Kind.PROCESS and self._visible(self._processes, text, use)):
                continue
            if use.kind is Kind.PROCESS:
                known += [name for name in self._processes if self._visible(self._processes, name, use)]
            yield self._problem(use, self._found(text), f"{use.kind.value}{self._listed(known)}", nearest(text, known))
            return

    def _listed(self, known: list[str]) -> str:
        """The valid names, each once and the shortest; of a file with a thousand containers the first ones."""
        short = {full for name, full in self.names.containers.items() if full and "/" not in name}
        names = [name for name in known if name not in short]
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        return f": {', '.join(names[:MAX_LISTED])}{more}" if names else ""

    def _new_process(self, use: Reference) -> Iterator[Problem]:
        texts, problems = self._possible(use)
        yield from problems
        for text in texts:
            taken = self._visible(self._processes, text, use) or text in self.names.containers
            if taken or text in self.names.sandboxes:
                yield self._problem(use, f"the name {text!r} again", "a name of its own")
            self._processes.setdefault(text, []).append(_Known(self._scope(use), use.line))

    def _new_each(self, use: Reference) -> Iterator[Problem]:
        assert use.each is not None
        texts = use.each.texts
        if use.each.labels:
            texts = labelled(self._scenario, use.each.labels)
            if not texts:
                wanted = " and ".join(f"{name}: {text}" for name, text in use.each.labels)
                yield self._problem(use, f"no container with {wanted}", "labels that a container has")
        if not any(variables_in(text) for text in texts):
            self._each[use.path.rpartition(".")[0]] = texts

    def _possible(self, use: Reference) -> tuple[tuple[str, ...], list[Problem]]:
        """All that a name may be once its values are in."""
        texts: tuple[str, ...] = (use.text,)
        for name in dict.fromkeys(variables_in(use.text)):
            value = self._visible(self._values, name, use)
            if value is None:
                return (), list(self._unknown_values(use))
            if value.texts is None:
                expected = "values of 'vars' or 'for_each' in a name, which are known before anything starts"
                return (), [self._problem(use, f"${{{name}}}", expected)]
            # two variables of a thousand texts each would be a million names
            if len(texts) * len(value.texts) > MAX_POSSIBLE:
                return (), [self._problem(use, f"more than {MAX_POSSIBLE} possible names", "fewer")]
            texts = tuple(text.replace(f"${{{name}}}", one) for text in texts for one in value.texts)
        return texts, []

    def _found(self, text: str) -> str:
        if self.names.containers.get(text) == "":
            return f"{text!r}, which several sandboxes have (write sandbox/{text})"
        return repr(text)

    def _unknown_values(self, use: Reference) -> Iterator[Problem]:
        for name in variables_in(use.text):
            if self._visible(self._values, name, use) is None:
                known = [one for one in self._values if self._visible(self._values, one, use)]
                expected = "a value from 'vars' or an earlier 'save'; $${...} is the shell's own"
                yield self._problem(use, f"${{{name}}}", expected, nearest(name, known))

    def _problem(self, use: Reference, found: str, expected: str, like: str = "") -> Problem:
        return _problem(use, found, expected, like)


def _never_started(references: Sequence[Reference], steps: Mapping[str, Step]) -> Iterator[Problem]:
    """Uses of a process whose one exec must be refused, by steps that expect no error of it."""
    execs: dict[str, list[Reference]] = {}
    for use in references:
        if use.kind is Kind.NEW_PROCESS:
            execs.setdefault(use.text, []).append(use)
    for use in references:
        made = execs.get(use.text, ()) if use.kind is Kind.PROCESS and not variables_in(use.text) else ()
        if not made or not all(_must_fail(steps, one) for one in made) or _errors(steps, use):
            continue
        found = f"{use.text!r}, whose exec on line {made[0].line} must be refused: there is no such process"
        yield _problem(use, found, f"an error here too, or 'none' among the errors on line {made[0].line}")


def _errors(steps: Mapping[str, Step], use: Reference) -> tuple[str, ...]:
    """The codes that the step of a name expects."""
    step = steps.get(use.path.rpartition(".")[0])
    return (step.expect.error if step is not None and step.expect is not None else None) or ()


def _must_fail(steps: Mapping[str, Step], use: Reference) -> bool:
    codes = _errors(steps, use)
    return bool(codes) and NO_ERROR not in codes


def _topology(declared: Scenario, names: Names, references: Sequence[Reference]) -> Iterator[Problem]:
    """Names that are taken twice, containers with nothing to run, and too many of them."""
    places = {use.path: use for use in references if use.kind is Kind.ID}
    for sandbox, own in declared.sandboxes.items():
        taken: dict[str, int] = {}
        for container, decl in own.containers.items():
            use = places[f"sandboxes.{sandbox}.containers.{container}"]
            if container in names.sandboxes:
                yield _problem(use, f"{container!r}, which is a sandbox too", "a name of its own")
            if not (decl.command or own.defaults.command or declared.defaults.command):
                yield _problem(use, "no command", "a command, here or in defaults")
            if (decl.count or 1) > DEFAULT_LIMITS.containers:
                yield _problem(use, f"a count of {decl.count}", f"at most {DEFAULT_LIMITS.containers}")
            for name in _numbered(container, decl):
                if name in taken:
                    yield _problem(use, f"{name!r} (on line {taken[name]} already)", "a name of its own")
                taken[name] = use.line


def _problem(use: Reference, found: str, expected: str, like: str = "") -> Problem:
    return Problem(
        file=use.file, line=use.line, column=use.column, field=use.path, found=found, expected=expected, nearest=like
    )
