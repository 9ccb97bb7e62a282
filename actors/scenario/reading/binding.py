"""A tree of nodes to the shapes of the language: every fault with its place, every name for later checks.

For the loader. Reads each text as its field expects; collects the faults of the whole file. Not for
whether the names in it exist: the binder records them (`references`), `names` resolves them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

from actors.scenario.language import scalars
from actors.scenario.language.conditions import Conditions, Expect
from actors.scenario.language.declared import VarDecl
from actors.scenario.language.kinds import Each, Kind, fields_of, hints_of, unwrap
from actors.scenario.language.needs import Fault, FaultOf, Probe, ProbeOf
from actors.scenario.language.thresholds import ASKED, Threshold, impossible, parse_threshold
from actors.scenario.reading import yamltree
from actors.scenario.reading.problems import Problem, ScenarioError
from actors.scenario.reading.references import Reference
from actors.scenario.reading.scenario import Scenario
from actors.scenario.reading.sense import contradictions
from actors.scenario.steps.base import Look, Step
from actors.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

W = TypeVar("W", bound=StrEnum)

__all__ = ["Binder", "Sources"]

_COMMON = frozenset(item.encode_name for item in fields_of(Step))
_CONDITIONS = frozenset(item.encode_name for item in fields_of(Conditions))
# keys of `expect` that make sense where another one does
_ON_VALUE = "its own value (expect: 1, or expect: {at_least: 1})"
_FACET = {"message": "error", "json": "value"}
# a shell for commands that are written as one text, as Dockerfiles have it
_SHELL = ("sh", "-c")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the values of `vars` come from beside the file; `used` collects the names that the file has."""

    given: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    used: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class Binder:
    """Binds one file, whose steps are of these `words`; `lines` and `files` have the place of each, by its path."""

    words: Mapping[str, type[Step]]
    sources: Sources
    references: list[Reference] = field(default_factory=list[Reference])
    lines: dict[str, int] = field(default_factory=dict[str, int])
    files: dict[str, str] = field(default_factory=dict[str, str])
    # each step that is right in itself, by its path
    steps: dict[str, Step] = field(default_factory=dict[str, Step])
    # the paths of steps whose inner names are theirs alone
    scopes: list[str] = field(default_factory=list[str])

    def bind(self, node: yamltree.Node, shape: Any, path: str) -> Any:
        """The value of `node` as `shape`. Raises: ScenarioError, with every fault below the node."""
        shape, kind = unwrap(shape)
        if kind is not None:
            special = self._special(kind)
            return special(node, path) if special else self.scalar(node, kind, path)
        if shape is bool:
            return self._flag(node, path)
        if shape is int:
            return self._count(node, path)
        if get_origin(shape) is dict:
            return self._dict(node, shape, path)
        if get_origin(shape) is tuple:
            return self._items(node, get_args(shape)[0], path)
        return self._struct(node, shape, path)

    def fault(self, node: yamltree.Node, path: str, expected: str, *, found: str = "", like: str = "") -> ScenarioError:
        """One fault at the place of a node."""
        line, column = yamltree.place(node)
        problem = Problem(
            file=yamltree.file_of(node),
            line=line,
            column=column,
            field=path,
            found=found or _describe(node),
            expected=expected,
            nearest=like,
        )
        return ScenarioError([problem])

    def scalar(self, node: yamltree.Node, kind: Kind, path: str) -> Any:
        """One text, read as its kind."""
        if not isinstance(node, yamltree.Scalar) or _is_nothing(node):
            raise self.fault(node, path, _or_quotes(node, kind.value), found=_split_text(node))
        value = scalars.parse(kind, node.value)
        if value is None:
            why = f" ({scalars.regex_fault(node.value)})" if kind is Kind.REGEX else ""
            like = nearest(node.value, sorted(scalars.WORDS.get(kind, ())))
            raise self.fault(node, path, f"{kind.value}{why}", like=like)
        self.references.append(Reference(kind, node.value, path, *_place(node)))
        return value

    def _special(self, kind: Kind) -> Callable[[yamltree.Node, str], Any] | None:
        special: dict[Kind, Callable[[yamltree.Node, str], Any]] = {
            Kind.STEP: self._step,
            Kind.BRANCH: self._branch,
            Kind.EXPECT: lambda node, path: self._conditions(node, Expect, path),
            Kind.CONDITIONS: lambda node, path: self._conditions(node, Conditions, path),
            Kind.COMMAND: self._command,
            Kind.PROBE: lambda node, path: ProbeOf(*self._one_of(node, path, Kind.PROBE, Probe, Kind.CONTAINER)),
            Kind.FAULT: lambda node, path: FaultOf(*self._one_of(node, path, Kind.FAULT, Fault, Kind.SANDBOX)),
            Kind.CODES: self._codes,
            Kind.EACH: self._each,
            Kind.SAVE: self._save,
            Kind.RANGE: self._range,
            Kind.VAR: self._var,
            Kind.ARGS: lambda node, path: _Plain(self).value(node, path),
            Kind.THRESHOLD: self._threshold,
        }
        return special.get(kind)

    def _flag(self, node: yamltree.Node, path: str) -> bool:
        if isinstance(node, yamltree.Scalar) and _is_plain(node) and node.value in ("true", "false"):
            return bool(node.value == "true")
        raise self.fault(node, path, "true or false")

    def _count(self, node: yamltree.Node, path: str) -> int:
        text = node.value if isinstance(node, yamltree.Scalar) else ""
        if text.isascii() and text.isdecimal() and len(text) <= 7 and 1 <= int(text) <= 1_000_000:
            return int(text)
        raise self.fault(node, path, "a whole number from 1 to 1000000")

    def pairs(self, node: yamltree.Node, path: str, expected: str) -> list[tuple[yamltree.Scalar, yamltree.Node]]:
        """Keys and values of a mapping; keys are texts, each once."""
        if not isinstance(node, yamltree.Mapping):
            raise self.fault(node, path, expected)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yamltree.Scalar):
                raise self.fault(key, path, "a name as the key")
            if key.value in seen:
                found = f"{key.value!r} a second time"
                raise self.fault(key, path, f"it once (it is on line {seen[key.value]} already)", found=found)
            seen[key.value] = yamltree.place(key)[0]
        return list(node.value)

    def _dict(self, node: yamltree.Node, shape: Any, path: str) -> dict[str, Any]:
        key_shape, value_shape = get_args(shape)
        _, key_kind = unwrap(key_shape)
        bound: dict[str, Any] = {}
        with _Faults() as faults:
            for key, value in self.pairs(node, path, "a mapping of names"):
                with faults.kept():
                    # a name means something after its own value, not in it
                    what = self.bind(value, value_shape, _join(path, key.value))
                    name = self.scalar(key, key_kind, _join(path, key.value)) if key_kind else key.value
                    bound[name] = what
        return bound

    def _items(self, node: yamltree.Node, shape: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(node, yamltree.Sequence):
            raise self.fault(node, path, "a list")
        bound: list[Any] = []
        with _Faults() as faults:
            for index, item in enumerate(node.value):
                with faults.kept():
                    bound.append(self.bind(item, shape, f"{path}[{index}]"))
        return tuple(bound)

    def _struct(self, node: yamltree.Node, shape: type[msgspec.Struct], path: str) -> Any:
        hints = hints_of(shape)
        fields = {item.encode_name: item for item in fields_of(shape)}
        given = {key.value: (key, value) for key, value in self.pairs(node, path, "a mapping")}
        bound: dict[str, Any] = {}
        with _Faults() as faults:
            for word, (key, _) in given.items():
                if word not in fields:
                    # put in before anything is bound, and a field of the file all the same
                    known = [*fields, "include"] if shape is Scenario else list(fields)
                    like = nearest(word, known)
                    expected = f"one of {', '.join(known)}"
                    faults.add(self.fault(key, _join(path, word), expected, found=f"the field {word!r}", like=like))
            # in the order of the shape, so that names are introduced before they are used
            for word, item in fields.items():
                if word in given:
                    with faults.kept():
                        bound[item.name] = self.bind(given[word][1], hints[item.name], _join(path, word))
                elif item.required:
                    faults.add(self.fault(node, _join(path, word), f"the field {word!r}", found="nothing"))
        return shape(**bound)

    def _conditions(self, node: yamltree.Node, shape: type[Conditions], path: str) -> Any:
        if isinstance(node, yamltree.Scalar):
            return shape(equals=self.scalar(node, Kind.SCALAR, path))
        bound = self._struct(node, shape, path)
        if not node.value:
            raise self.fault(node, path, "at least one condition")
        return bound

    def _command(self, node: yamltree.Node, path: str) -> tuple[str, ...]:
        if isinstance(node, yamltree.Scalar):
            return (*_SHELL, self.scalar(node, Kind.TEXT, path))
        if not isinstance(node, yamltree.Sequence) or not node.value:
            raise self.fault(node, path, _or_quotes(node, Kind.COMMAND.value), found=_split_text(node))
        return self._items(node, Annotated[str, Kind.TEXT], path)

    def _one_of(self, node: yamltree.Node, path: str, kind: Kind, known: type[W], about: Kind) -> tuple[W, str]:
        """The one key of a mapping, out of a set of words, and the name that it is about."""
        pairs = self.pairs(node, path, kind.value)
        if len(pairs) != 1:
            raise self.fault(node, path, kind.value, found=f"{len(pairs)} things")
        key, value = pairs[0]
        if key.value not in set(known):
            raise self.fault(key, path, f"one of {', '.join(known)}", like=nearest(key.value, known))
        return known(key.value), self.scalar(value, about, _join(path, key.value))

    def _codes(self, node: yamltree.Node, path: str) -> tuple[str, ...]:
        if isinstance(node, yamltree.Sequence) and node.value:
            return tuple(self.scalar(item, Kind.CODES, f"{path}[{index}]") for index, item in enumerate(node.value))
        return (self.scalar(node, Kind.CODES, path),)

    def _each(self, node: yamltree.Node, path: str) -> Each:
        if isinstance(node, yamltree.Scalar):
            texts = scalars.each_range(node.value)
            if texts is None:
                raise self.fault(node, path, f"{Kind.EACH.value}, of at most {scalars.MAX_EACH}")
            each = Each(texts)
        elif isinstance(node, yamltree.Sequence) and 0 < len(node.value) <= scalars.MAX_EACH:
            each = Each(self._items(node, Annotated[str, Kind.TEXT], path))
        else:
            pairs = self.pairs(node, path, Kind.EACH.value)
            if [key.value for key, _ in pairs] != ["labels"]:
                raise self.fault(node, path, Kind.EACH.value)
            labels = self.bind(
                pairs[0][1], dict[Annotated[str, Kind.NAME], Annotated[str, Kind.TEXT]], f"{path}.labels"
            )
            each = Each(labels=tuple(labels.items()))
        self.references.append(Reference(Kind.EACH, "", path, *_place(node), each))
        return each

    def _save(self, node: yamltree.Node, path: str) -> tuple[tuple[str, str], ...]:
        if isinstance(node, yamltree.Scalar):
            return ((self.scalar(node, Kind.NEW_VARIABLE, path), ""),)
        saves: list[tuple[str, str]] = []
        for key, value in self.pairs(node, path, Kind.SAVE.value):
            place = _join(path, key.value)
            saves.append((self.scalar(key, Kind.NEW_VARIABLE, place), self.scalar(value, Kind.JSON_PATH, place)))
        return tuple(saves)

    def _range(self, node: yamltree.Node, path: str) -> tuple[str, str]:
        bound = self._items(node, Annotated[str, Kind.NUMBER], path)
        if len(bound) != 2:
            raise self.fault(node, path, Kind.RANGE.value, found=f"{len(bound)} of them")
        return bound[0], bound[1]

    def _var(self, node: yamltree.Node, path: str) -> str:
        """The text of a variable: from the command line, else from the environment, else from here."""
        name = path.rpartition(".")[2]
        self.sources.used.add(name)
        if (given := self.sources.given.get(name)) is not None:
            return given
        if isinstance(node, yamltree.Scalar):
            return str(self.scalar(node, Kind.TEXT, path))
        source: VarDecl = self._struct(node, VarDecl, path)
        if source.env is not None and source.env in self.sources.environment:
            return self.sources.environment[source.env]
        if source.default is None:
            wanted = f"the environment variable {source.env} set" if source.env else "'env' or 'default'"
            raise self.fault(node, path, f"{wanted}, a 'default', or --var {name}=...", found="no value")
        return source.default

    def _threshold(self, node: yamltree.Node, path: str) -> Threshold:
        threshold = parse_threshold(self.scalar(node, Kind.TEXT, path))
        if isinstance(threshold, str):
            raise self.fault(node, path, threshold)
        if (why := impossible(threshold)) is not None:
            raise self.fault(node, path, why, found=f"{threshold.text!r}, which nothing can meet")
        if threshold.verb not in ASKED:
            like = nearest(threshold.verb, ASKED)
            raise self.fault(
                node, path, "an ask that there is", found=f"{threshold.verb!r} in {threshold.text!r}", like=like
            )
        return threshold

    def _branch(self, node: yamltree.Node, path: str) -> tuple[Step, ...]:
        if isinstance(node, yamltree.Sequence):
            return self._items(node, Annotated[Step, Kind.STEP], path)
        return (self._step(node, path),)

    def _step(self, node: yamltree.Node, path: str) -> Step:
        given = [key.value for key, _ in self.pairs(node, path, Kind.STEP.value)]
        verbs = [word for word in given if word in self.words]
        # a field may be called as a verb is: online_cpu_mem has a `wait`
        verbs = [word for word in verbs if set(verbs) - {word} <= set(self.words[word].__struct_fields__)] or verbs
        if not verbs:
            unknown = next((key for key, _ in node.value if key.value not in _COMMON), node)
            like = self._verb_like(unknown.value) if unknown is not node else ""
            found = f"{unknown.value!r}" if unknown is not node else "no verb"
            raise self.fault(unknown, path, "a verb", found=found, like=like)
        if len(verbs) > 1:
            raise self.fault(node, path, "one verb in a step", found=" and ".join(verbs))
        shape = self.words[verbs[0]]
        self.lines[path] = yamltree.place(node)[0]
        self.files[path] = yamltree.file_of(node)
        if shape.scoped:
            self.scopes.append(path)
        step: Step = self._struct(node, shape, path)
        self._fits(node, step, path)
        self.steps[path] = step
        return step

    def _verb_like(self, word: str) -> str:
        """The verb that somebody probably meant: what another tool calls it, or else the nearest."""
        known = (step.word for step in self.words.values() if word in step.elsewhere)
        return next(known, "") or nearest(word, self.words)

    def _fits(self, node: yamltree.Node, step: Step, path: str) -> None:
        """What a shape alone can't say: which expectations and which inner steps make sense."""
        if step.expect is not None:
            facets = step.facets | {"took"}
            for item in fields_of(Expect):
                facet = "value" if item.encode_name in _CONDITIONS else _FACET.get(item.encode_name, item.encode_name)
                if getattr(step.expect, item.name) is not None and facet not in facets:
                    allowed = ", ".join(sorted(facets)).replace("value", _ON_VALUE) or "nothing"
                    expected = f"of {step.word}: {allowed}"
                    raise self.fault(node, f"{path}.expect", expected, found=f"{item.encode_name!r}")
        inner = getattr(step, step.word)
        if isinstance(inner, Step) and not isinstance(inner, Look):
            looks = ", ".join(word for word, shape in self.words.items() if issubclass(shape, Look))
            raise self.fault(node, f"{path}.{step.word}", f"a step that only looks: {looks}", found="one that acts")
        for wrong in (*step.faults(), *contradictions(step)):
            place, at = ".".join((path, *wrong.field)), wrong.field if wrong.at is None else wrong.at
            raise self.fault(_below(node, at), place, wrong.expected, found=wrong.found, like=wrong.like)


class _Plain:
    """A tree as plain values, by the rules of YAML 1.2's core: for the arguments of a call."""

    def __init__(self, binder: Binder) -> None:
        self._binder = binder

    def value(self, node: yamltree.Node, path: str) -> Any:
        if isinstance(node, yamltree.Sequence):
            return [self.value(item, f"{path}[{index}]") for index, item in enumerate(node.value)]
        if isinstance(node, yamltree.Mapping):
            pairs = self._binder.pairs(node, path, "a mapping")
            return {key.value: self.value(item, _join(path, key.value)) for key, item in pairs}
        assert isinstance(node, yamltree.Scalar)
        text: str = node.value
        if _is_plain(node):
            if _is_nothing(node):
                return None
            if text in ("true", "false"):
                return text == "true"
            if re.fullmatch(r"-?[0-9]{1,18}", text):
                return int(text)
            if re.fullmatch(r"-?[0-9]{1,18}\.[0-9]{1,18}", text):
                return float(text)
        return self._binder.scalar(node, Kind.TEXT, path)


class _Faults:
    """Collects the faults of siblings, and raises them together at the end of its block."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def __enter__(self) -> _Faults:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None and self._problems:
            self._problems.sort(key=lambda problem: (problem.line, problem.column))
            raise ScenarioError(self._problems)

    def add(self, error: ScenarioError) -> None:
        self._problems.extend(error.problems)

    def kept(self) -> _Kept:
        return _Kept(self)


class _Kept:
    def __init__(self, faults: _Faults) -> None:
        self._faults = faults

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, ScenarioError):
            self._faults.add(error)
            return True
        return False


def _place(node: yamltree.Node) -> tuple[str, int, int]:
    return (yamltree.file_of(node), *yamltree.place(node))


def _below(node: yamltree.Node, words: tuple[str, ...]) -> yamltree.Node:
    """What stands there under these keys, as far down as it goes."""
    for word in words:
        if isinstance(node, yamltree.Mapping):
            node = next((value for key, value in node.value if key.value == word), node)
    return node


def _join(path: str, word: str) -> str:
    return f"{path}.{word}" if path else word


def _is_plain(node: yamltree.Scalar) -> bool:
    # libyaml marks an unquoted text by an empty style, PyYAML's own parser by none
    return not node.style


def _is_nothing(node: yamltree.Scalar) -> bool:
    return _is_plain(node) and node.value in ("", "~", "null")


def _split_text(node: yamltree.Node) -> str:
    """A text that YAML took for a key and its value, as somebody perhaps wrote it; empty for anything else."""
    if not isinstance(node, yamltree.Mapping) or len(node.value) != 1:
        return ""
    key, value = node.value[0]
    if not isinstance(key, yamltree.Scalar) or not isinstance(value, yamltree.Scalar):
        return ""
    return f"a mapping ({key.value}: {value.value})"


def _or_quotes(node: yamltree.Node, expected: str) -> str:
    return f"{expected}, with {yamltree.QUOTES}" if _split_text(node) else expected


def _describe(node: yamltree.Node) -> str:
    if isinstance(node, yamltree.Mapping):
        return "a mapping"
    if isinstance(node, yamltree.Sequence):
        return "a list" if node.value else "an empty list"
    if isinstance(node, yamltree.Scalar) and _is_nothing(node):
        return "nothing"
    return repr(node.value if len(node.value) <= 40 else node.value[:37] + "...")
