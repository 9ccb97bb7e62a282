"""Text that an untrusted agent wrote, made fit for logs, terminals and messages.

For whoever reads an agent's words. Not for a container's output, which is bytes and its reader's business.
"""

from __future__ import annotations

from transports.plain import printable

__all__ = ["plain_text"]

_KEPT = "\n\t"


def plain_text(text: str, limit: int) -> str:
    """At most `limit` characters of it; what could steer a terminal or reorder a line is escaped, as `\\x1b`."""
    cut = printable(text[:limit], _KEPT)
    return cut if len(text) <= limit else f"{cut[:limit]}… ({len(text)} characters)"
