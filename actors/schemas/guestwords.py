"""What katrio's own guest says of itself, to whoever asks for it: the words of both sides.

The question is Version with a service's name, which every other agent passes over, in either dialect; the answer stands where
an agent tells its API's version. Not for what any other agent says: `actors.agents.identity`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SERVICE", "GuestWords", "read_words", "say_words"]

# of `CheckRequest.service`, which says what is asked about
SERVICE = "katrio.guest"
_FORM = 1


class GuestWords(NamedTuple):
    """The answer: which engine runs its containers, and whether it has a sandbox."""

    engine: str
    sandbox: bool


def say_words(words: GuestWords) -> str:
    """The answer as text."""
    return f"{SERVICE}/{_FORM} engine={words.engine} sandbox={'yes' if words.sandbox else 'no'}"


def read_words(text: str) -> GuestWords | None:
    """The answer; None when it is none: who answers is no guest of katrio's."""
    head, *rest = text.split(" ")
    told: dict[str, str] = {}
    for word in rest:
        name, _, value = word.partition("=")
        told[name] = value
    if head != f"{SERVICE}/{_FORM}" or told.get("sandbox") not in ("yes", "no") or not told.get("engine"):
        return None
    return GuestWords(told["engine"], told["sandbox"] == "yes")
