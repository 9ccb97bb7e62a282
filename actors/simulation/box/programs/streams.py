"""Programs that read and write bytes: cat, head, tail, wc, tr, tee, yes, seq, sort, grep, dd.

For the table. Each takes its process and yields system calls; much output is written in large blocks. Not every
option is supported: others are refused by name.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any

from actors.simulation.box.kernel.calls import Allocate, Call, CallFailed, Close, Open, Read, Write
from actors.simulation.box.programs.common import (
    BLOCK_BYTES,
    UsageFault,
    complain,
    each_block,
    number,
    options,
    read_all,
    say,
)
from actors.simulation.box.programs.formatting import encoded

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.simulation.box.kernel.calls import Body
    from actors.simulation.box.kernel.process import Process

__all__ = ["cat", "dd", "grep", "head", "seq", "sort", "tail", "tee", "tr", "wc", "yes"]

_DD_BYTES = 1024 * 1024


def cat(process: Process) -> Body:
    """Files, or stdin, one after the other."""
    _, paths = options(process, "u")
    status = 0
    for path in paths or ["-"]:
        opened, failed = yield from each_block(process, [path])
        status |= failed
        for _, fd in opened:
            try:
                while data := (yield Read(fd, BLOCK_BYTES)):
                    yield Write(1, data)
            except CallFailed as error:
                status = yield from complain(
                    process, f"{'read' if error.error == 'Is a directory' else 'write'} error: {error.error}"
                )
            if fd > 2:
                yield Close(fd)
    return status


def head(process: Process) -> Body:
    """The first lines (-n), or bytes (-c)."""
    words = list(process.argv)
    if len(words) > 1 and re.fullmatch(r"-\d+", words[1]):
        words[1:2] = ["-n", words[1][1:]]
        process.argv = tuple(words)
    found, paths = options(process, "qv", "nc")
    lines, size = number(found.get("n", "10")), number(found["c"]) if "c" in found else None
    opened, status = yield from each_block(process, paths, "")
    for at, (path, fd) in enumerate(opened):
        if len(paths) > 1:
            yield from say(f"{chr(10) if at else ''}==> {path} <==\n")
        if size is not None:
            yield from _copy_bytes(fd, size)
        else:
            yield from _copy_lines(fd, lines)
        if fd > 2:
            yield Close(fd)
    return status


def _copy_bytes(fd: int, left: int) -> Generator[Call, Any, None]:
    while left > 0 and (data := (yield Read(fd, min(left, BLOCK_BYTES)))):
        yield Write(1, data)
        left -= len(data)


def _copy_lines(fd: int, left: int) -> Generator[Call, Any, None]:
    while left > 0 and (data := (yield Read(fd, BLOCK_BYTES))):
        count = data.count(b"\n")
        if count >= left:
            end = 0
            for _ in range(left):
                end = data.index(b"\n", end) + 1
            data = data[:end]
        yield Write(1, data)
        left -= count


def tail(process: Process) -> Body:
    """The last lines (-n) or bytes (-c); with + from there on. It keeps what it may have to print, so `tail /dev/zero` uses all memory."""
    words = list(process.argv)
    if len(words) > 1 and re.fullmatch(r"[-+]\d+", words[1]):
        words[1:2] = ["-n", words[1].removeprefix("-")]
        process.argv = tuple(words)
    found, paths = options(process, "q", "nc")
    wanted = found.get("c", found.get("n", "10"))
    opened, status = yield from each_block(process, paths)
    if not opened:
        yield from complain(process, "no files")
    for at, (path, fd) in enumerate(opened):
        if len(paths) > 1:
            yield from say(f"{chr(10) if at else ''}==> {path} <==\n")
        if wanted.startswith("+"):
            yield from _skip(fd, max(0, number(wanted[1:]) - 1), by_lines="c" not in found)
        else:
            yield from _hold(fd, number(wanted.removeprefix("-")), by_lines="c" not in found)
        if fd > 2:
            yield Close(fd)
    return status


def _skip(fd: int, left: int, *, by_lines: bool) -> Generator[Call, Any, None]:
    while data := (yield Read(fd, BLOCK_BYTES)):
        while left and data:
            end = data.find(b"\n") + 1 if by_lines else min(left, len(data))
            left -= (1 if end else 0) if by_lines else end
            data = data[end:] if end else b""
        if data:
            yield Write(1, data)


def _hold(fd: int, wanted: int, *, by_lines: bool) -> Generator[Call, Any, None]:
    """Keep the last pieces that hold enough; memory is taken for them."""
    pieces: deque[bytes] = deque()
    counts: deque[int] = deque()
    held = 0
    while data := (yield Read(fd, BLOCK_BYTES)):
        pieces.append(data)
        counts.append(data.count(b"\n") if by_lines else len(data))
        held += counts[-1]
        yield Allocate(len(data))
        # a line before the first wanted one may begin in the piece before
        while len(pieces) > 1 and held - counts[0] > wanted:
            held -= counts.popleft()
            yield Allocate(-len(pieces.popleft()))
    text = b"".join(pieces)
    if by_lines:
        at = len(text) - 1 if text.endswith(b"\n") else len(text)
        for _ in range(wanted):
            at = text.rfind(b"\n", 0, at)
            if at < 0:
                break
        text = text[at + 1 :] if wanted else b""
    else:
        text = text[-wanted:] if wanted else b""
    if text:
        yield Write(1, text)


def wc(process: Process) -> Body:
    """Lines, words and bytes."""
    found, paths = options(process, "lwcm")
    opened, status = yield from each_block(process, paths, "")
    total = [0, 0, 0]
    for path, fd in opened:
        counts = [0, 0, 0]
        inside = False
        while data := (yield Read(fd, BLOCK_BYTES)):
            counts[0] += data.count(b"\n")
            counts[2] += len(data)
            if not found or "w" in found:
                counts[1] += len(data.split()) - (1 if inside and not data[:1].isspace() else 0)
                inside = not data[-1:].isspace()
        if fd > 2:
            yield Close(fd)
        yield from say(_counted(counts, found, "" if path == "-" else path))
        total = [left + right for left, right in zip(total, counts, strict=True)]
    if len(opened) > 1:
        yield from say(_counted(total, found, "total"))
    return status


def _counted(counts: list[int], found: dict[str, str], name: str) -> str:
    shown = [
        count for count, flags in zip(counts, ("l", "w", "cm"), strict=True) if not found or set(flags) & set(found)
    ]
    text = str(shown[0]) if len(shown) == 1 else " ".join(f"{count:9}" for count in shown)
    return f"{text}{' ' if name else ''}{name}\n"


_CLASSES = {
    "lower": "abcdefghijklmnopqrstuvwxyz",
    "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "digit": "0123456789",
    "space": " \t\n\r\f\v",
    "alpha": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "alnum": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "0": "\0"}


def _set(text: str) -> bytes:
    """The bytes that a set of `tr` stands for."""
    out: list[int] = []
    at = 0
    while at < len(text):
        if text.startswith("[:", at) and ":]" in text[at:]:
            end = text.index(":]", at)
            out += encoded(_CLASSES.get(text[at + 2 : end], ""))
            at = end + 2
            continue
        if text[at] == "\\" and at + 1 < len(text):
            digits = re.match(r"[0-7]{1,3}", text[at + 1 :])
            char = chr(int(digits.group(), 8) & 0xFF) if digits else _ESCAPES.get(text[at + 1], text[at + 1])
            at += 1 + (len(digits.group()) if digits else 1)
        else:
            char = text[at]
            at += 1
        if text[at : at + 1] == "-" and at + 1 < len(text) and char.isascii() and text[at + 1].isascii():
            out += range(ord(char), ord(text[at + 1]) + 1)
            at += 2
        else:
            out += encoded(char)
    return bytes(out)


def tr(process: Process) -> Body:
    """Replace, delete (-d) or squeeze (-s) bytes of stdin."""
    found, sets = options(process, "dsc")
    if not sets:
        raise UsageFault("missing operand")
    first = _set(sets[0])
    if "c" in found:
        first = bytes(sorted(set(range(256)) - set(first)))
    second = _set(sets[1]) if len(sets) > 1 else b""
    table = bytes.maketrans(first, (second + second[-1:] * len(first))[: len(first)]) if second else None
    repeated = frozenset(second or first) if "s" in found else frozenset[int]()
    last = -1
    while data := (yield Read(0, BLOCK_BYTES)):
        changed = data.translate(None, first) if "d" in found else data.translate(table)
        if repeated:
            kept = bytearray()
            for byte in changed:
                if byte != last or byte not in repeated:
                    kept.append(byte)
                last = byte
            changed = bytes(kept)
        if changed:
            yield Write(1, changed)
    return 0


def tee(process: Process) -> Body:
    """Stdin to stdout and to files."""
    found, paths = options(process, "a")
    fds = [1]
    status = 0
    for path in paths:
        try:
            fds.append((yield Open(path, "a" if "a" in found else "w")))
        except CallFailed as failed:
            status = yield from complain(process, f"{path}: {failed.error}")
    while data := (yield Read(0, BLOCK_BYTES)):
        for fd in fds:
            yield Write(fd, data)
    return status


def yes(process: Process) -> Body:
    """The same line for ever."""
    line = encoded(" ".join(process.argv[1:] or ("y",)) + "\n")
    block = line * max(1, BLOCK_BYTES // len(line))
    while True:
        try:
            yield Write(1, block)
        except CallFailed as failed:
            return (yield from complain(process, f"write error: {failed.error}"))


def seq(process: Process) -> Body:
    """Numbers."""
    words = list(process.argv[1:])
    padded, separator = False, "\n"
    while words and re.fullmatch(r"-[ws].*", words[0]):
        word = words.pop(0)
        if word == "-w":
            padded = True
        else:
            separator = word[2:] or (words.pop(0) if words else "")
    if not 1 <= len(words) <= 3:
        raise UsageFault("usage: seq [-w] [-s SEP] [FIRST [INC]] LAST")
    for word in words:
        if not re.fullmatch(r"[-+]?\d{1,18}", word):
            raise UsageFault(f"invalid number '{word}'")
    last = int(words[-1])
    first = int(words[0]) if len(words) > 1 else 1
    step = int(words[1]) if len(words) > 2 else 1
    if step == 0:
        raise UsageFault("increment 0 is not supported by the simulated program")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    width = max(len(str(first)), len(str(numbers[-1]))) if padded and numbers else 0
    for at in range(0, len(numbers), 4096):
        text = separator.join(f"{each:0{width}d}" for each in numbers[at : at + 4096])
        yield from say(text + (separator if at + 4096 < len(numbers) else "\n"))
    return 0


def sort(process: Process) -> Body:
    """Lines in order; -n by number, -r backwards, -u once each."""
    found, paths = options(process, "nru")
    opened, status = yield from each_block(process, paths, "")
    if status:
        return 2
    lines: list[bytes] = []
    for _, fd in opened:
        text = yield from read_all(fd)
        yield Allocate(len(text))
        lines += text.splitlines()

    def value(line: bytes) -> int:
        digits = re.match(rb"\s*(-?\d+)", line)
        return int(digits.group(1)) if digits else 0

    lines.sort()
    if "n" in found:
        lines.sort(key=value)
    if "u" in found:
        lines = list(dict.fromkeys(lines))
    if "r" in found:
        lines.reverse()
    if lines:
        yield from say(b"\n".join(lines) + b"\n")
    return 0


def grep(process: Process) -> Body:
    """Lines that match: -q -v -c -i -n -o -x, -F for plain text, -E for extended expressions."""
    found, words = options(process, "qvcinoxFEs", "em")
    pattern = found["e"] if "e" in found else words.pop(0) if words else None
    if pattern is None:
        raise UsageFault("usage: grep [-qvcinoxFE] PATTERN [FILE]...", 2)
    wanted = _expression(pattern, found)
    opened, status = yield from each_block(process, words, "")
    most = number(found["m"]) if "m" in found else None
    matched = 0
    for path, fd in opened:
        prefix = f"{path}:" if len(words) > 1 else ""
        count, rest, at = 0, b"", 0
        while True:
            data = yield Read(fd, BLOCK_BYTES)
            *lines, rest = (rest + data).split(b"\n")
            if not data and rest:
                lines, rest = [rest], b""
            out: list[str] = []
            for line in lines:
                at += 1
                text = line.decode("utf-8", "surrogateescape")
                hit = wanted.fullmatch(text) if "x" in found else wanted.search(text)
                if (hit is None) is ("v" not in found) or (most is not None and count >= most):
                    continue
                count += 1
                shown = [each.group() for each in wanted.finditer(text) if each.group()] if "o" in found else [text]
                out += [f"{prefix}{f'{at}:' if 'n' in found else ''}{each}\n" for each in shown]
            if count and "q" in found:
                return 0
            if out and "c" not in found and "q" not in found:
                yield from say("".join(out))
            if not data or (most is not None and count >= most):
                break
        if "c" in found:
            yield from say(f"{prefix}{count}\n")
        matched += count
    return 2 if status else int(not matched)


def _expression(pattern: str, found: dict[str, str]) -> re.Pattern[str]:
    if "F" in found:
        source = re.escape(pattern)
    elif "E" in found:
        source = pattern
    else:
        # in basic expressions these mean themselves unless escaped
        source = re.sub(r"\\([+?|(){}])|([+?|(){}])", lambda each: each.group(1) or "\\" + each.group(2), pattern)
    for name, members in (
        ("alpha", "a-zA-Z"),
        ("digit", "0-9"),
        ("alnum", "a-zA-Z0-9"),
        ("space", r"\s"),
        ("upper", "A-Z"),
        ("lower", "a-z"),
    ):
        source = source.replace(f"[:{name}:]", members)
    try:
        return re.compile(source, re.IGNORECASE if "i" in found else 0)
    except re.error as error:
        raise UsageFault(f"bad regex '{pattern}': {error}", 2) from None


def dd(process: Process) -> Body:
    """Blocks from if= to of=: bs= count=; counts on stderr. A block is memory, so `bs=200M` needs as much."""
    given: dict[str, str] = {}
    for word in process.argv[1:]:
        name, equals, value = word.partition("=")
        if not equals or name not in ("if", "of", "bs", "count", "status"):
            raise UsageFault(f"{word}: not supported by the simulated program")
        given[name] = value
    size = number(given.get("bs", "512"))
    count = number(given["count"]) if "count" in given else None
    reading, writing = 0, 1
    try:
        reading = (yield Open(given["if"], "r")) if "if" in given else 0
        writing = (yield Open(given["of"], "w")) if "of" in given else 1
    except CallFailed as failed:
        return (
            yield from complain(
                process,
                f"can't open '{given.get('if') if reading == 0 and 'if' in given else given.get('of')}': {failed.error}",
            )
        )
    yield Allocate(size)
    full = partial = 0
    try:
        while count is None or full + partial < count:
            copied = yield from _block(reading, writing, size)
            if not copied:
                break
            full, partial = (full + 1, partial) if copied == size else (full, partial + 1)
    except CallFailed as failed:
        return (yield from complain(process, f"error writing: {failed.error}"))
    if given.get("status") != "none":
        yield Write(2, encoded(f"{full}+{partial} records in\n{full}+{partial} records out\n"))
    return 0


def _block(reading: int, writing: int, size: int) -> Generator[Call, Any, int]:
    copied = 0
    while copied < size:
        wanted = min(size - copied, _DD_BYTES)
        data = yield Read(reading, wanted)
        if data:
            yield Write(writing, data)
        copied += len(data)
        if len(data) < wanted:
            break
    return copied
