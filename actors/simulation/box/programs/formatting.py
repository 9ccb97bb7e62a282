"""What `echo` and `printf` print. Pure.

For the shell's builtins and the programs of the same names.
"""

from __future__ import annotations

__all__ = ["echoed", "printed"]

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "\\": "\\"}
# a width or precision beyond it is a mistake or an attack
_WIDTH = 4096


def encoded(text: str) -> bytes:
    """As bytes; what came in as bytes that are no UTF-8 comes out as them."""
    return text.encode("utf-8", "surrogateescape")


def echoed(arguments: list[str]) -> bytes:
    """`echo`, with -n and -e."""
    newline, escapes, at = True, False, 0
    while at < len(arguments):
        argument = arguments[at]
        if len(argument) < 2 or argument[0] != "-" or not set(argument[1:]) <= set("neE"):
            break
        newline = newline and "n" not in argument
        for char in argument[1:]:
            escapes = {"e": True, "E": False}.get(char, escapes)
        at += 1
    text = " ".join(arguments[at:])
    if escapes:
        text, stopped = _unescaped(text, octal_zero=True)
        newline = newline and not stopped
    return encoded(text + ("\n" if newline else ""))


def printed(arguments: list[str]) -> tuple[bytes, list[str]]:
    """`printf FORMAT ARGUMENT...`: what it prints, and what it complains of."""
    arguments = arguments[1:] if arguments[0] == "--" and len(arguments) > 1 else arguments
    form, rest = arguments[0], arguments[1:]
    out: list[str] = []
    errors: list[str] = []
    while True:
        taken, stopped = _once(form, rest, out, errors)
        rest = rest[taken:]
        if stopped or not taken or not rest:
            return encoded("".join(out)), errors


def _once(form: str, arguments: list[str], out: list[str], errors: list[str]) -> tuple[int, bool]:
    """One pass over the format: how many arguments it took, and whether output ends here."""
    at = taken = 0

    def argument() -> str:
        nonlocal taken
        taken += 1
        return arguments[taken - 1] if taken <= len(arguments) else ""

    while at < len(form):
        char = form[at]
        if char == "\\":
            piece, at, stopped = _escape(form, at)
            out.append(piece)
            if stopped:
                return taken, True
        elif char == "%":
            end = at + 1
            while end < len(form) and form[end] in "-+ #0123456789.*":
                end += 1
            flags = form[at + 1 : end]
            while "*" in flags:
                flags = flags.replace("*", str(_number(argument(), errors)), 1)
            kind = form[end : end + 1]
            at = end + 1
            if kind == "%":
                out.append("%")
                continue
            piece, stopped = _converted(flags, kind, argument(), errors)
            out.append(piece)
            if stopped:
                return taken, True
        else:
            out.append(char)
            at += 1
    return taken, False


def _converted(flags: str, kind: str, argument: str, errors: list[str]) -> tuple[str, bool]:
    digits = [int(each) for each in flags.lstrip("-+ #0").split(".") if each]
    if any(each > _WIDTH for each in digits):
        errors.append(f"%{flags}{kind}: invalid format")
        return "", True
    if kind == "s":
        return f"%{flags}s" % argument, False
    if kind == "b":
        text, stopped = _unescaped(argument, octal_zero=True)
        return f"%{flags}s" % text, stopped
    if kind == "c":
        return f"%{flags}s" % argument[:1], False
    if kind in ("d", "i", "u", "x", "X", "o"):
        number = _number(argument, errors)
        if kind in "uxXo" and number < 0:
            number += 1 << 64
        return f"%{flags}{'d' if kind in 'iu' else kind}" % number, False
    if kind in ("f", "e", "g", "F", "E", "G"):
        try:
            return f"%{flags}{kind}" % float(argument or "0"), False
        except ValueError:
            errors.append(f"invalid number '{argument}'")
            return f"%{flags}{kind}" % 0.0, False
    errors.append(f"%{flags}{kind}: invalid format")
    return "", True


def _number(text: str, errors: list[str]) -> int:
    if text[:1] in ("'", '"'):
        return ord(text[1:2] or "\0")
    stripped = text.strip()
    try:
        digits = stripped.lstrip("+-")
        base = 16 if digits[:2].lower() == "0x" else 8 if digits[:1] == "0" and len(digits) > 1 else 10
        return int(stripped, base) if stripped else 0
    except ValueError:
        errors.append(f"invalid number '{text}'")
        return 0


def _escape(text: str, at: int, *, octal_zero: bool = False) -> tuple[str, int, bool]:
    """The escape at a backslash: (what it stands for, position after it, whether all output ends: `\\c`)."""
    char = text[at + 1 : at + 2]
    at += 2
    if char == "c":
        return "", at, True
    if char == "x":
        digits = ""
        while len(digits) < 2 and text[at : at + 1] in tuple("0123456789abcdefABCDEF"):
            digits += text[at]
            at += 1
        return (_byte(int(digits, 16)) if digits else "\\x"), at, False
    if char and char in "01234567":
        digits = "" if octal_zero and char == "0" else char
        while len(digits) < 3 and text[at : at + 1] in tuple("01234567"):
            digits += text[at]
            at += 1
        return _byte(int(digits or "0", 8) & 0xFF), at, False
    return _ESCAPES.get(char, "\\" + char), at, False


def _byte(value: int) -> str:
    return bytes((value,)).decode("utf-8", "surrogateescape")


def _unescaped(text: str, *, octal_zero: bool) -> tuple[str, bool]:
    out: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\\":
            out.append(text[at])
            at += 1
            continue
        piece, at, stopped = _escape(text, at, octal_zero=octal_zero)
        out.append(piece)
        if stopped:
            return "".join(out), True
    return "".join(out), False
