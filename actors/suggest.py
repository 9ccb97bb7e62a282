"""The right word that somebody probably meant, for messages that say so. Standard library only, quick to import: what it needs comes with the first wrong word."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, right: Iterable[str]) -> str:
    """The most alike of `right`, or empty when none is alike."""
    import difflib

    close = difflib.get_close_matches(word, list(right), n=1, cutoff=0.6)
    return close[0] if close else ""


def did_you_mean(word: str, right: Iterable[str]) -> str:
    """The end of a message that refuses `word`; empty when none of `right` is alike."""
    like = nearest(word, right)
    return f"; did you mean {like}?" if like else ""
