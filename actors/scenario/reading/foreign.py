"""Files of other tools, known by the words at their top: what they are, in words.

For the loader, which says so instead of a fault for each of their fields, and for walks through folders. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.scenario.reading import yamltree

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["TOOLS", "foreign_tree", "top_words"]

# what it is, and words at its top that together nobody else's has
_TOOLS: tuple[tuple[str, frozenset[str]], ...] = (
    ("a Chaos Toolkit experiment", frozenset({"title", "method"})),
    ("a Chaos Toolkit experiment", frozenset({"steady-state-hypothesis"})),
    ("a Kubernetes manifest", frozenset({"apiVersion", "kind"})),
    ("a Compose file", frozenset({"services"})),
    ("a GitHub workflow", frozenset({"on", "jobs"})),
)
TOOLS = frozenset(name for name, _ in _TOOLS)
_SCENARIO_WORDS = frozenset({"sandboxes", "steps"})


def top_words(tree: yamltree.Node) -> frozenset[str]:
    """The keys of a mapping."""
    if not isinstance(tree, yamltree.Mapping):
        return frozenset()
    return frozenset(str(key.value) for key, _ in tree.value)


def foreign_tree(tree: yamltree.Node) -> str:
    """What it is; empty for a scenario, right or wrong, and for what nobody here knows."""
    return _known(top_words(tree))


def _known(words: AbstractSet[str]) -> str:
    if words & _SCENARIO_WORDS:
        return ""
    return next((name for name, known in _TOOLS if known <= words), "")
