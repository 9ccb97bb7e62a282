"""A terminal that completes and remembers: readline with the names of calls and fields, and a history of one's own.

For the shell. The history is bounded, and nobody else can read it: what is typed there may be secret. Without readline, or
when the history can't be kept, lines are read all the same.
"""

from __future__ import annotations

import glob
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from actors.cli.call.defaults import SHORTHANDS
from actors.errors import InvalidArgument
from actors.schemas.naming import find_rpc
from actors.schemas.rpcs import RPCS
from actors.schemas.shapes import request_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from actors.schemas.rpcs import Rpc

__all__ = ["candidates", "history_file", "open_terminal"]

HISTORY_LINES = 1000


def history_file(environment: Mapping[str, str]) -> Path:
    """Below `$XDG_STATE_HOME`, or `~/.local/state`."""
    state = environment.get("XDG_STATE_HOME") or os.path.join(environment.get("HOME", "/"), ".local", "state")
    return Path(state) / "katrio" / "call-history"


@contextmanager
def open_terminal(commands: Sequence[str]) -> Generator[Callable[[str], str]]:
    """What reads a line, given the prompt; raises EOFError and KeyboardInterrupt as `input` does."""
    try:
        import readline
    except ImportError:
        yield input
        return
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            before = readline.get_line_buffer()[: readline.get_begidx()]
            found[:] = candidates(before, text, commands)
        return found[state] if state < len(found) else None

    kept = history_file(os.environ)
    # the first time, or not ours to read
    with suppress(OSError):
        readline.read_history_file(kept)
    readline.set_history_length(HISTORY_LINES)
    readline.set_completer_delims(" \t\n")
    readline.set_completer(complete)
    readline.parse_and_bind("set completion-ignore-case on")
    readline.parse_and_bind("tab: complete")
    try:
        yield input
    finally:
        readline.set_completer(None)
        # a home that can't be written is no reason to fail
        with suppress(OSError):
            _make_private(kept)
            readline.write_history_file(kept)


def _make_private(path: Path) -> None:
    """Before it is written, so that it is never open to others."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def candidates(before: str, text: str, commands: Sequence[str]) -> list[str]:
    """What the word `text` may become after `before`: a call, a field of it, a word of an enum, or a file."""
    words = before.split()
    if words[:1] == ["repeat"]:
        words = words[2:] if len(words) > 1 else ["repeat"]
        if words == ["repeat"]:
            return []
    if not words or words == ["help"]:
        return _like(text, [*RPCS, *(commands if not words else ())])
    try:
        rpc = find_rpc(words[0])
    except InvalidArgument:
        return []
    if text.startswith("@"):
        return _files("@", text[1:])
    return _fields(rpc, text)


def _like(text: str, names: Iterable[str]) -> list[str]:
    key = text.replace("-", "").replace("_", "").lower()
    return [f"{name} " for name in names if name.lower().startswith(key)]


def _fields(rpc: Rpc, text: str) -> list[str]:
    """What `outer.in` or `outer.inner=wo` may become. After a name there is no space: it wants its value."""
    path, equals, value = text.partition("=")
    *parents, last = path.split(".")
    shape, prefix = request_shape(rpc), ""
    for parent in parents:
        field = shape.find(parent)
        if field is None or field.shape is None or field.form != "one":
            return []
        shape, prefix = field.shape, f"{prefix}{field.name}."
    shorthands = () if parents else SHORTHANDS.get(rpc.method, ())
    if not equals:
        own = [(one.name, "." if one.shape is not None and one.form == "one" else "=") for one in shape.fields]
        own += [(name, "=") for name in shorthands]
        return [f"{prefix}{name}{end}" for name, end in own if name.lower().startswith(last.lower())]
    if value.startswith("@"):
        return _files(f"{path}=@", value[1:])
    if path == "bundle" and path in shorthands:
        return _files(f"{path}=", value)
    field = shape.find(last)
    words = ("true", "false") if field is not None and field.kind == "bool" else tuple(field.words) if field else ()
    return [f"{path}={word} " for word in words if word.startswith(value)]


def _files(before: str, text: str) -> list[str]:
    found = sorted(glob.glob(f"{glob.escape(text)}*"))
    return [f"{before}{path}/" if os.path.isdir(path) else f"{before}{path} " for path in found]
