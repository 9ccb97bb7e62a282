"""Make foreign text safe for a terminal, a log or a line of a report: the one function that does it.

For all output to humans: error texts, log lines, reports, command output. It escapes visibly and drops nothing.
JSON has escapes of its own; a container's raw output is not filtered.
"""

from __future__ import annotations

import re

__all__ = ["printable"]

# printable to Python, but Unicode renders them as nothing (Default_Ignorable_Code_Point)
_INVISIBLE = "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"


def printable(text: str, keep: str = "") -> str:
    """Escape, as `\\x1b`, every character that is invisible or could control a terminal or reorder a line.

    That is: control characters (C0, DEL, C1), line ends, bidirectional controls, zero-width characters, spaces other
    than U+0020, lone surrogates, and unassigned code points. Idempotent.

    Args:
        keep: characters that stay as they are, such as "\\n" where the text may have several lines.
    """
    # most texts are ASCII, and never need the pattern
    if text.isprintable() and (text.isascii() or re.search(_INVISIBLE, text) is None):
        return text
    return "".join(
        one
        if one in keep or (one.isprintable() and re.match(_INVISIBLE, one) is None)
        else one.encode("unicode_escape", "surrogatepass").decode("ascii")
        for one in text
    )
