"""No two files import each other, neither at run time nor for their types, and not through others either.

And in a room that says so no chain of imports, from the file at the top to one at the bottom, has too many files: so many have to
be read by whoever wants to know what the first one does.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

# of the longest chain
FILES = {"actors.scenario": 7}

Graph = dict[str, set[str]]


@pytest.fixture(scope="module")
def graph() -> Graph:
    """What each file imports."""
    found = grimp.build_graph("actors", "transports", cache_dir=None)
    return {name: found.find_modules_directly_imported_by(name) for name in found.modules}


def test_files_import_in_one_direction(graph: Graph) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("room", FILES)
def test_no_chain_of_imports_is_too_long(graph: Graph, room: str) -> None:
    inside = {
        name: {one for one in graph[name] if one.startswith(f"{room}.")} for name in graph if name.startswith(room)
    }
    chains: dict[str, tuple[str, ...]] = {}
    for name in TopologicalSorter(inside).static_order():
        below = max((chains[one] for one in inside[name]), key=len, default=())
        chains[name] = (name, *below)
    longest = max(chains.values(), key=len)
    assert len(longest) <= FILES[room], " imports ".join(longest)
