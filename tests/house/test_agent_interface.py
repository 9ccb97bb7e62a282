"""The page about the agent interface and the data it speaks of agree."""

from __future__ import annotations

from pathlib import Path

from actors.lifecycle.container import CONTAINER

PAGE = Path(__file__).resolve().parents[2] / "docs" / "agent-interface.md"


def test_the_states_on_the_page_are_those_of_the_lifecycle() -> None:
    section = PAGE.read_text().partition("## In which states")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|")[:2] for line in section.splitlines() if line.startswith("|")][2:]
    stated = {verb.strip(): allowed.strip() for verbs, allowed in rows for verb in verbs.split(",")}
    every = {str(state) for state in CONTAINER.verbs["disconnect"]}
    for verb, allowed in CONTAINER.verbs.items():
        told = stated[verb]
        if told.startswith("as "):
            told = stated[told.removeprefix("as ")]
        words = {word.strip() for word in told.removeprefix("all but ").split(",")}
        expected = every if told == "all" else every - words if told.startswith("all but") else words
        # of a lost container a stop tells how it was lost
        assert {str(state) for state in allowed} | ({"lost"} if verb == "stop" else set()) == expected, verb
