"""Files in files: what a scenario includes, put in its place before anything is read as something.

For the loader. An included file is a part: its `vars`, `defaults`, `sandboxes`, `needs`, `labels` and `thresholds`
join those of the file that includes it (whose own go before), or its `steps` stand where an `include` step stands.
Files come from a `Reader`, so that nothing here touches a disk. Not for what the parts mean: `binding`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from actors.scenario.reading import yamltree
from actors.scenario.reading.problems import Problem, ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Includer", "Reader", "no_files"]

# a file that includes one that includes one: deeper is a maze
MAX_INCLUDE_DEPTH = 4
# of one scenario, each counted as often as it is included
MAX_INCLUDES = 64
_LISTS = ("needs", "labels", "thresholds")
_MAPPINGS = ("vars", "sandboxes")
# what a part may have, by the place where it is included
_AT_TOP = (*_LISTS, *_MAPPINGS, "defaults", "include")
_AS_STEP = ("vars", "steps")


class Reader(Protocol):
    """Reads an included file by its name in the file that includes it."""

    def __call__(self, name: str, /) -> bytes:
        """Raises: OSError, ValueError."""
        ...


def no_files(name: str) -> bytes:
    """The reader where there are no files."""
    raise ValueError("there are no files to include here")


@dataclass
class Includer:
    """Puts parts in; one for each scenario, as it counts."""

    read: Reader
    count: int = 0
    stack: list[str] = field(default_factory=list[str])

    def scenario(self, node: yamltree.Node) -> yamltree.Node:
        """The whole file, with everything in that it includes. Raises: ScenarioError."""
        if not isinstance(node, yamltree.Mapping):
            return node
        self._top(node)
        self._steps(node)
        return node

    def _top(self, node: yamltree.Mapping) -> None:
        for key, value in list(node.value):
            if _word(key) != "include":
                continue
            node.value.remove((key, value))
            files = value.value if isinstance(value, yamltree.Sequence) else [value]
            for name in files:
                with _Within(self, name) as part:
                    pairs = self._part(name, part, _AT_TOP)
                    self._top(part)
                    _join_into(node, [pair for pair in pairs if pair in part.value], part)

    def _steps(self, node: yamltree.Node) -> None:
        """Every `include` step below a node; the tree's depth is bounded already."""
        if isinstance(node, yamltree.Mapping):
            if any(_word(key) == "include" for key, _ in node.value):
                self._step(node)
            for _, value in list(node.value):
                self._steps(value)
        elif isinstance(node, yamltree.Sequence):
            for item in node.value:
                self._steps(item)

    def _step(self, node: yamltree.Mapping) -> None:
        name = next(value for key, value in node.value if _word(key) == "include")
        if (steps := next((key for key, _ in node.value if _word(key) == "steps"), None)) is not None:
            raise _fault(steps, "the field 'steps'", "the file's own steps: an include has none here")
        with _Within(self, name) as part:
            pairs = self._part(name, part, _AS_STEP)
            own = next((value for key, value in node.value if _word(key) == "with"), None)
            for key, value in pairs:
                if _word(key) == "steps":
                    self._steps(value)
                    node.value.append((key, value))
                elif isinstance(own, yamltree.Mapping) and isinstance(value, yamltree.Mapping):
                    _add_missing(own, value)
                elif own is None:
                    key.value = "with"
                    node.value.append((key, value))

    def _part(
        self, name: yamltree.Node, part: yamltree.Mapping, allowed: tuple[str, ...]
    ) -> list[tuple[yamltree.Node, yamltree.Node]]:
        for key, _ in part.value:
            if _word(key) not in allowed:
                raise _fault(key, f"the field {_word(key)!r}", f"one of {', '.join(allowed)} in a file included here")
        return list(part.value)

    def open(self, name: yamltree.Node) -> yamltree.Mapping:
        """The part of that name; counted, bounded, never a circle. Raises: ScenarioError."""
        if not isinstance(name, yamltree.Scalar) or not name.value:
            raise _fault(name, "no text", "the name of a file to include")
        if name.value in self.stack:
            raise _fault(name, f"{name.value!r} in itself", "no circle of includes")
        if len(self.stack) >= MAX_INCLUDE_DEPTH:
            raise _fault(name, f"includes deeper than {MAX_INCLUDE_DEPTH}", "a flatter set of files")
        self.count += 1
        if self.count > MAX_INCLUDES:
            raise _fault(name, f"more than {MAX_INCLUDES} includes", "fewer")
        try:
            data = self.read(name.value)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise _fault(name, f"{name.value!r} ({reason})", "a file beside this one, or below") from None
        part = yamltree.read_tree(data, name.value)
        if not isinstance(part, yamltree.Mapping):
            raise _fault(part, "no mapping", f"a mapping of {', '.join((*_AT_TOP, 'steps'))}")
        return part


class _Within:
    """The part that is being put in, so that it does not include itself."""

    def __init__(self, includer: Includer, name: yamltree.Node) -> None:
        self._includer = includer
        self._name = name

    def __enter__(self) -> yamltree.Mapping:
        part = self._includer.open(self._name)
        self._includer.stack.append(str(self._name.value))
        return part

    def __exit__(self, *_: object) -> None:
        self._includer.stack.pop()


def _word(node: yamltree.Node) -> str:
    return node.value if isinstance(node, yamltree.Scalar) else ""


def _join_into(
    node: yamltree.Mapping, pairs: list[tuple[yamltree.Node, yamltree.Node]], part: yamltree.Mapping
) -> None:
    for key, value in pairs:
        own = next((mine for name, mine in node.value if _word(name) == _word(key)), None)
        if own is None:
            node.value.insert(0, (key, value))
        elif isinstance(own, yamltree.Mapping) and isinstance(value, yamltree.Mapping):
            _add_missing(own, value)
        elif isinstance(own, yamltree.Sequence) and isinstance(value, yamltree.Sequence):
            own.value[:0] = value.value
        else:
            raise _fault(
                value, "another kind of value than in the file that includes it", f"the same for {_word(key)!r}"
            )


def _add_missing(own: yamltree.Mapping, other: yamltree.Mapping) -> None:
    mine = set(_names(own))
    own.value[:0] = [(key, value) for key, value in other.value if _word(key) not in mine]


def _names(node: yamltree.Mapping) -> Iterator[str]:
    return (_word(key) for key, _ in node.value)


def _fault(node: yamltree.Node, found: str, expected: str) -> ScenarioError:
    line, column = yamltree.place(node)
    return ScenarioError(
        [
            Problem(
                file=yamltree.file_of(node), line=line, column=column, field="include", found=found, expected=expected
            )
        ]
    )
