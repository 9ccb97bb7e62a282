"""The words that reports draw on a terminal: nothing that they quote can steer it.

Every text that is drawn is `Words`; the linter refuses rich's own class elsewhere. Not for pages: `page.html_text`.
"""

from __future__ import annotations

from typing import Any

from rich.text import Text

from transports.plain import printable

__all__ = ["Words"]


class Words(Text):
    """Rich's text, printable and in one line whatever it is made of."""

    def __init__(self, text: str = "", style: str = "", **settings: Any) -> None:
        super().__init__(printable(text), style, **settings)

    def append(self, text: Text | str, style: Any = None) -> Words:
        super().append(printable(text) if isinstance(text, str) else text, style)
        return self
