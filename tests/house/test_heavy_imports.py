"""What a start imports is what it uses: libraries and protocols are imported by who needs them, and by nobody else.

Each start runs in an interpreter of its own, and is asked what it has imported.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import katrio
from actors.node.protocols import GuestProtocol

# of one kind of work each: gRPC, scenario files, live views and pages, completion, the shell of `katrio call`, nng
WORK = {"h2", "hpack", "hyperframe", "yaml", "rich", "jinja2", "shtab", "readline", "pynng", "asyncio", "concurrent"}
# of the standard library: big, and brought along by something small
BIG = {
    "email",
    "http",
    "xml",
    "zipfile",
    "importlib.metadata",
    "importlib.resources",
    "unittest",
    "doctest",
    "pydoc",
    "cProfile",
}
# what talks to a guest or runs a loop, which neither help nor a specification needs
RUNNING = {"trio", "msgspec", "google.protobuf", "attrs"}
HYPERSTART = {"transports.hyperstart.control", "actors.guest.services.hyperstart", "actors.agents.hyperstart.agent"}
KATA = {"transports.ttrpc.server", "transports.grpc.server", "actors.guest.services.kata"}

_GUEST = """
import actors.guest.launch, actors.guest.serve
from actors.guest.compose import GuestProtocol, import_server
import_server(GuestProtocol({!r}))"""
STARTS = {
    "a guest over ttRPC": (_GUEST.format("ttrpc"), WORK | BIG | HYPERSTART | {"transports.grpc"}),
    "a guest over gRPC": (_GUEST.format("grpc"), (WORK - {"h2", "hpack", "hyperframe"}) | BIG | HYPERSTART),
    "a guest over hyperstart": (_GUEST.format("hyperstart"), WORK | BIG | KATA),
    "katrio": ("import katrio", WORK | BIG | RUNNING | HYPERSTART | KATA),
    "a specification": ("from katrio import ContainerSpec, ProcessSpec", WORK | BIG | {"trio", "google.protobuf"}),
    "a system": ("from katrio import open_system", WORK | BIG | HYPERSTART | KATA | {"google.protobuf"}),
    "the command line": ("import actors.cli.main", WORK | BIG | RUNNING | HYPERSTART | KATA),
}


def _run(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


@pytest.mark.parametrize("start", STARTS)
def test_it_starts_without(start: str) -> None:
    program, absent = STARTS[start]
    assert _run(f"{program}\nimport sys; print(*sorted(set(sys.modules) & {absent!r}))") == []


@pytest.mark.parametrize("protocol", GuestProtocol)
def test_a_prepared_guest_imports_nothing_more(protocol: GuestProtocol) -> None:
    """Whoever forks guests prepares them first: what one imported then would be imported by each."""
    program = f"""
import sys
from actors.guest import compose, platform, serve
from actors.limits import DEFAULT_LIMITS
from actors.node.protocols import GuestProtocol

protocol = GuestProtocol({str(protocol)!r})
compose.import_server(protocol)
before = set(sys.modules)
engine = serve.make_engine("processes", "x", token="", limits=DEFAULT_LIMITS)
composed = compose.compose(
    engine, DEFAULT_LIMITS, version="", platform=platform.BarePlatform(), on_error=lambda *_: None
)
assert composed.servers[protocol].channels
print(*sorted(set(sys.modules) - before))
"""
    assert _run(program) == []


def test_katrio_s_names_are_those_that_type_checkers_see() -> None:
    source = Path(katrio.__file__).read_text()
    seen = {
        alias.name: node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("actors.")
        for alias in node.names
    }
    assert sorted(seen) == sorted(katrio.__all__)
    for name, module in seen.items():
        assert getattr(katrio, name) is getattr(sys.modules[module or ""], name), name
    assert set(katrio.__all__) <= set(dir(katrio))
    with pytest.raises(AttributeError, match="no attribute 'open_sistem'"):
        katrio.open_sistem  # type: ignore[attr-defined]  # noqa: B018
