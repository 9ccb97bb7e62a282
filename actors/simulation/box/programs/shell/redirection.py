"""Redirections of descriptors, and their restoration.

For the interpreter: in the shell's own process around a builtin or a compound command, in a child's before a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from actors.simulation.box.kernel.calls import PRIVATE_FD, Call, CallFailed, Close, Duplicate, Open, OpenText
from actors.simulation.box.programs.shell.state import ShellFault

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.simulation.box.programs.shell.expansion import Expander
    from actors.simulation.box.programs.shell.syntax import Redirect

__all__ = ["Redirection", "Saved"]

Saved: TypeAlias = "list[tuple[int, int | None]]"
_HOW = {"<": "r", ">": "w", ">|": "w", ">>": "a", "<>": "+"}
# /dev/stdout and its like are descriptors, whatever is behind them
_DESCRIPTORS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


class Redirection:
    """See the module."""

    def __init__(self, expander: Expander) -> None:
        self._expander = expander

    def apply(self, redirects: tuple[Redirect, ...], saved: Saved) -> Generator[Call, Any, None]:
        """One after the other; what was there before goes to `saved`. Raises: ShellFault, and then some are applied."""
        for redirect in redirects:
            target = yield from self._expander.text(redirect.target)
            source, close = yield from self._source(redirect, target)
            try:
                kept: int | None = yield Duplicate(redirect.fd, None)
            except CallFailed:
                kept = None
            saved.append((redirect.fd, kept))
            if source is None:
                yield Close(redirect.fd)
                continue
            yield Duplicate(source, redirect.fd)
            if close:
                yield Close(source)

    def restore(self, saved: Saved) -> Generator[Call, Any, None]:
        """Undo, the last first."""
        for fd, kept in reversed(saved):
            if kept is None:
                yield Close(fd)
            else:
                yield Duplicate(kept, fd)
                yield Close(kept)

    def _source(self, redirect: Redirect, target: str) -> Generator[Call, Any, tuple[int | None, bool]]:
        """The descriptor to copy (None: close), and whether it is ours to close."""
        if redirect.operator in ("<<", "<<-"):
            return (yield OpenText(target.encode("utf-8", "surrogateescape"))), True
        if redirect.operator in (">&", "<&"):
            if target == "-":
                return None, False
            if not target.isdecimal():
                raise ShellFault(f"syntax error: bad fd number {target}")
            return (yield from self._checked(int(target))), True
        if target in _DESCRIPTORS:
            return (yield from self._checked(_DESCRIPTORS[target])), True
        try:
            return (yield Open(target, _HOW[redirect.operator])), True
        except CallFailed as failed:
            verb = "open" if redirect.operator == "<" else "create"
            error = failed.error
            if error == "No such file or directory":
                error = "no such file" if verb == "open" else "nonexistent directory"
            raise ShellFault(f"can't {verb} {target}: {error}", 1, fatal=False) from None

    def _checked(self, fd: int) -> Generator[Call, Any, int]:
        try:
            if fd >= PRIVATE_FD:
                # there is one, maybe, but it is the shell's own
                raise CallFailed("Bad file descriptor")
            copy: int = yield Duplicate(fd, None)
        except CallFailed as failed:
            raise ShellFault(f"{fd}: {failed.error}", 1, fatal=False) from None
        return copy
