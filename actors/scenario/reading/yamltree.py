"""YAML text to a tree of nodes with their places, bounded before anything is built.

For the binder. Sizes, depth, the number of nodes and of documents are bounded; texts stay texts,
so that none of YAML's own guesses (yes, on, 1e3, 0o7, dates) ever happens. Not for their meaning.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import yaml

from actors.scenario.reading.problems import Problem, ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "QUOTES",
    "Mapping",
    "Node",
    "Scalar",
    "Sequence",
    "file_of",
    "place",
    "read_tree",
]

# the largest file that a person wrote by hand is far below these
MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
MAX_NODES = 20_000

# for a text that YAML takes for a key and a value
QUOTES = "quotes around a text that has ': ' in it, as in 'echo a: b'"

Node = yaml.nodes.Node
Mapping = yaml.nodes.MappingNode
Sequence = yaml.nodes.SequenceNode
Scalar = yaml.nodes.ScalarNode

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml: the same language, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]  # same interface, no common base


def read_tree(data: bytes, file: str) -> Node:
    """The one document in `data`. Raises: ScenarioError."""
    if len(data) > MAX_BYTES:
        raise ScenarioError([Problem(file=file, found=f"{len(data)} bytes", expected=f"at most {MAX_BYTES}")])
    text = ""
    try:
        text = data.decode()
        for problem in _bounds(text, file):
            raise ScenarioError([problem])
        node = yaml.compose(_Named(text, file), Loader=_Loader)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problem = Problem(file=file, line=line, column=1, found=f"byte 0x{data[error.start]:02x}", expected="UTF-8")
        raise ScenarioError([problem]) from None
    except yaml.YAMLError as error:
        raise ScenarioError([_syntax(error, file, text)]) from None
    if node is None:
        raise ScenarioError([Problem(file=file, found="nothing", expected="a scenario")])
    return node


class _Named(io.StringIO):
    """A text with a name for the parser, so that every node has its file."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name


def file_of(node: yaml.nodes.Node) -> str:
    """The file that a node comes from, as it was named to `read_tree`."""
    mark = node.start_mark
    return str(mark.name) if mark is not None else ""


def place(item: yaml.nodes.Node | yaml.events.Event) -> tuple[int, int]:
    """Line and column, both from 1, where a node or an event begins."""
    mark = item.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)


def _bounds(text: str, file: str) -> Iterator[Problem]:
    """The first bound that the text's events break; nothing is built from them."""
    depth = nodes = 0
    expected = ""
    for event in yaml.parse(text, Loader=_Loader):
        line, column = place(event)
        found = ""
        if isinstance(event, yaml.events.AliasEvent):
            found, expected = f"the alias *{event.anchor}", "no aliases; write it out, or use defaults"
        elif isinstance(event, yaml.events.NodeEvent) and event.anchor:
            found, expected = f"the anchor &{event.anchor}", "no anchors; write it out, or use defaults"
        depth += isinstance(event, yaml.events.CollectionStartEvent)
        depth -= isinstance(event, yaml.events.CollectionEndEvent)
        nodes += isinstance(event, yaml.events.NodeEvent)
        if depth > MAX_DEPTH:
            found, expected = f"nesting deeper than {MAX_DEPTH}", "a flatter file"
        if nodes > MAX_NODES:
            found, expected = f"more than {MAX_NODES} values", "a smaller file"
        if found:
            yield Problem(file=file, line=line, column=column, found=found, expected=expected)


def _sign_at(text: str, index: int) -> str:
    return text[index : index + 1]


def _in_words(what: str, context: str, sign: str) -> tuple[str, str]:
    """What was found and what was expected, of faults that people make again and again; the parser's own words for others."""
    if sign == "\t":
        return "a tab", "spaces: YAML takes no tab where a line begins"
    if "mapping values are not allowed" in what:
        return "a second ': ' in one line", QUOTES
    if "cannot start any token" in what and sign:
        return f"a text that begins with {sign!r}", f"quotes around it, as in '{sign}home'"
    if "end of stream" in what and "quoted scalar" in context:
        return "a quote that nothing closes", "the same quote at the end of the text"
    return f"broken YAML ({what})", "well-formed YAML"


def _syntax(error: yaml.YAMLError, file: str, text: str) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        what = error.problem or error.context or "a fault"
        found, expected = _in_words(what, error.context or "", _sign_at(text, mark.index))
        return Problem(file=file, line=mark.line + 1, column=mark.column + 1, found=found, expected=expected)
    return Problem(file=file, found=f"broken YAML ({error})", expected="well-formed YAML")
