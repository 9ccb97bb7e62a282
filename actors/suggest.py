"""The right word that somebody probably meant, for messages that say so. Standard library only, quick to import."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(word: str, right: Iterable[str]) -> str:
    """The most alike of `right`, or empty when none is alike."""
    close = difflib.get_close_matches(word, list(right), n=1, cutoff=0.6)
    return close[0] if close else ""
