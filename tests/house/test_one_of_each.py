"""What stands in one place: the words that a person chooses by, the grammar of ids, the logger that a program listens to."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import words
from actors.agents.choice import choose_agent
from actors.agents.peers import PEERS
from actors.errors import InvalidArgument
from actors.guest.model import GuestModel
from actors.ids import check_id, is_plain
from actors.limits import DEFAULT_LIMITS
from actors.node.protocols import GuestProtocol
from actors.scenario.language.kinds import Kind
from actors.scenario.language.scalars import parse
from transports.errors import LocalProtocolError
from transports.hyperstart.messages import Remove, encode_json

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "katrio", "transports")
TABLES = {
    "worlds": set(words.WORLDS),
    "agents": set(map(str, words.AgentType)),
    "dialects": set(map(str, words.Dialect)),
    "engines": set(words.ENGINES),
}


@cache
def modules() -> dict[str, ast.Module]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_bytes()) for path in files}


def listed(node: ast.AST) -> set[object]:
    """The constants side by side in a display, or as an enumeration's values."""
    found: list[ast.expr | None] = []
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        found = [*node.elts]
    elif isinstance(node, ast.Dict):
        found = [*node.keys]
    elif isinstance(node, ast.ClassDef):
        found = [line.value for line in node.body if isinstance(line, ast.Assign)]
    return {item.value for item in found if isinstance(item, ast.Constant)}


def word_lists(module: ast.Module) -> list[tuple[int, str]]:
    return [
        (node.lineno, table)
        for node in ast.walk(module)
        if isinstance(node, (ast.expr, ast.ClassDef))
        for table, known in TABLES.items()
        if len(known & listed(node)) > 1
    ]


def loggers(module: ast.Module) -> list[str]:
    return [
        ast.unparse(node)
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("logging.getLogger", "getLogger")
    ]


def test_each_list_of_words_stands_in_one_module() -> None:
    found = {name: lists for name, module in modules().items() if (lists := word_lists(module))}
    assert list(found) == ["actors/words.py"], found


@pytest.mark.parametrize(
    "text", ['A = ("runc", "crun")', 'A = {"kata": 1, "noop": 2}', 'class A:\n    B = "ttrpc"\n    C = "grpc"']
)
def test_a_second_list_would_be_seen(text: str) -> None:
    assert word_lists(ast.parse(text))


def test_every_log_line_goes_to_one_logger() -> None:
    # the worker of a search for seeds silences them all
    found = {name: calls for name, module in modules().items() if (calls := loggers(module))}
    assert found.pop("actors/cli/seeds_worker.py") == ["logging.getLogger()"]
    assert {call for calls in found.values() for call in calls} == {"logging.getLogger('katrio')"}
    assert len(found) > 5


ID_TEXTS = st.text(st.sampled_from("aZ09._-/\n\u0430\u0660 "), max_size=6)


@given(ID_TEXTS | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,70}", fullmatch=True))
def test_host_and_guest_take_the_same_ids_and_whatever_a_file_or_hyperstart_takes_is_one(text: str) -> None:
    def taken(check: Callable[[], object]) -> bool:
        try:
            check()
        except (InvalidArgument, LocalProtocolError):
            return False
        return True

    host = taken(lambda: check_id(text, "id", DEFAULT_LIMITS.id_length))
    assert host == (len(text) > 1 and is_plain(text, DEFAULT_LIMITS.id_length))
    assert taken(lambda: GuestModel().begin_create(text)) >= host
    assert host or parse(Kind.ID, text) is None
    assert is_plain(text, 63) == taken(lambda: encode_json(Remove(container=text)))


def enumerations(module: ast.Module) -> list[tuple[str, frozenset[object]]]:
    """Classes of an enumeration, with the names of their members."""
    return [
        (node.name, frozenset(target.id for line in node.body if isinstance(line, ast.Assign)
                              for target in line.targets if isinstance(target, ast.Name)))
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases)
    ]  # fmt: skip


def test_no_two_enumerations_have_the_same_members() -> None:
    # generated from the agent's .proto files: what is named there twice is twice
    found: dict[frozenset[object], list[str]] = {}
    for file, module in modules().items():
        for name, members in enumerations(module):
            if not file.startswith("actors/schemas/"):
                found.setdefault(members, []).append(f"{file}: {name}")
    assert {names for names in found if len(found[names]) > 1} == set(), found
    assert frozenset({"TTRPC", "GRPC", "HYPERSTART"}) in found


def test_a_protocol_has_its_agent_and_its_peers() -> None:
    assert {protocol.label for protocol in GuestProtocol} == {"kata ttrpc", "kata grpc", "hyperstart"}
    for protocol in GuestProtocol:
        agent, _, dialect = protocol.label.partition(" ")
        assert GuestProtocol.of(agent, dialect or words.Dialect.TTRPC) is protocol
        assert choose_agent(agent, {"Dialect": dialect} if dialect else None).peers == PEERS[protocol]
    with pytest.raises(ValueError, match="noop"):
        GuestProtocol.of(words.AgentType.NOOP, words.Dialect.TTRPC)
