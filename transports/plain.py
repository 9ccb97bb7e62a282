"""Text that somebody else wrote, made fit for a terminal, a log or a line of a report: the one function that does it.

For every way out to people: errors as text, log lines, reports, what commands print. It shows what it changes and drops
nothing. Not for data: JSON has escapes of its own, and a container's output as bytes is its reader's business.
"""

from __future__ import annotations

import re

__all__ = ["printable"]

# Python calls these printable; Unicode has them drawn as nothing at all (Default_Ignorable_Code_Point)
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def printable(text: str, keep: str = "") -> str:
    """The text with everything escaped, as `\\x1b`, that is not seen or that could steer a terminal or reorder a line.

    That is: control characters (C0, DEL, C1), line ends, bidirectional controls, characters without width, spaces but
    the common one, lone surrogates, and what has no meaning yet. A second time it changes nothing.

    Args:
        keep: characters that stay as they are, such as "\\n" where the text may have several lines.
    """
    if text.isprintable() and _INVISIBLE.search(text) is None:
        return text
    return "".join(
        one
        if one in keep or (one.isprintable() and _INVISIBLE.match(one) is None)
        else one.encode("unicode_escape", "surrogatepass").decode("ascii")
        for one in text
    )
