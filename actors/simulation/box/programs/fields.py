"""Programs for fields, lines and path names: cut, uniq, basename, dirname.

For the table. Each takes its process and yields system calls.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from actors.simulation.box.kernel.calls import Call, Read
from actors.simulation.box.programs.common import BLOCK_BYTES, UsageFault, each_block, options, say
from actors.simulation.box.programs.formatting import encoded

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.simulation.box.kernel.calls import Body
    from actors.simulation.box.kernel.process import Process

__all__ = ["basename", "cut", "dirname", "uniq"]


def basename(process: Process) -> Body:
    """The last part of a path, without a suffix."""
    words = process.argv[1:]
    if not 1 <= len(words) <= 2:
        raise UsageFault("usage: basename FILE [SUFFIX]")
    name = posixpath.basename(words[0].rstrip("/")) or "/"
    if len(words) == 2 and name != words[1]:
        name = name.removesuffix(words[1])
    return (yield from say(name + "\n"))


def dirname(process: Process) -> Body:
    """A path without its last part."""
    if len(process.argv) != 2:
        raise UsageFault("usage: dirname FILENAME")
    path = process.argv[1]
    return (yield from say((posixpath.dirname(path.rstrip("/")) or ("/" if path.startswith("/") else ".")) + "\n"))


def _lines(fd: int) -> Generator[Call, Any, list[bytes]]:
    """The next lines, without their ends; none at the end of the input."""
    rest = b""
    while True:
        data: bytes = yield Read(fd, BLOCK_BYTES)
        rest += data
        if not data or rest.endswith(b"\n"):
            return rest.removesuffix(b"\n").split(b"\n") if rest else []


def cut(process: Process) -> Body:
    """Fields (-f, between -d) or characters (-c) of each line."""
    found, paths = options(process, "s", "fdcb")
    ranges = _ranges(found.get("f") or found.get("c") or found.get("b") or "")
    separator = encoded(found.get("d", "\t"))[:1]
    opened, status = yield from each_block(process, paths, "")
    for _, fd in opened:
        while lines := (yield from _lines(fd)):
            out: list[bytes] = []
            for line in lines:
                if "f" not in found:
                    out.append(b"".join(line[start:end] for start, end in ranges))
                elif separator in line:
                    fields = line.split(separator)
                    out.append(separator.join(field for start, end in ranges for field in fields[start:end]))
                elif "s" not in found:
                    out.append(line)
            if out:
                yield from say(b"\n".join(out) + b"\n")
    return status


def _ranges(text: str) -> list[tuple[int, int | None]]:
    """`1,3-5,7-`, as slices in order."""
    found: list[tuple[int, int | None]] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d*)(-?)(\d*)", part)
        if match is None or part in ("", "-"):
            raise UsageFault("expected a list of bytes, characters, or fields")
        first, dash, last = match.groups()
        start = max(1, int(first or 1)) - 1
        found.append((start, (int(last) if last else None) if dash else start + 1))
    return sorted(found, key=lambda each: each[0])


def uniq(process: Process) -> Body:
    """Lines that differ from the one before; -c counts, -d repeated ones alone, -u the others alone."""
    found, paths = options(process, "cdu")
    opened, status = yield from each_block(process, paths[:1], "")
    last: bytes | None = None
    count = 0
    for _, fd in opened:
        while lines := (yield from _lines(fd)):
            out: list[bytes] = []
            for line in lines:
                if line != last:
                    out += _counted_line(last, count, found)
                    last, count = line, 0
                count += 1
            if out:
                yield from say(b"".join(out))
    rest = b"".join(_counted_line(last, count, found))
    if rest:
        yield from say(rest)
    return status


def _counted_line(line: bytes | None, count: int, found: dict[str, str]) -> list[bytes]:
    if line is None or ("d" in found and count < 2) or ("u" in found and count > 1):
        return []
    return [(f"{count:>7} ".encode() if "c" in found else b"") + line + b"\n"]
