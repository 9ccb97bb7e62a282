"""The page about agents and the data that it speaks of agree.

`python -m tests.house.test_agents_page` writes the tables anew.
"""

from __future__ import annotations

from pathlib import Path

from actors.agents.hyperstart.config import HyperConfig
from actors.agents.kata.config import KataAgentConfig
from actors.agents.settings import keys_of
from actors.agents.support import VerbTable, verb_table
from actors.scenario.reading.load import load_file
from actors.words import AgentType
from actors.worlds.lacks import lacks_of_type

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "agents.md"


def drawn(table: VerbTable) -> str:
    lines = ["| | verb | " + " | ".join(table.columns) + " |", "|---" * (len(table.columns) + 2) + "|"]
    lines += [f"| {row.kind} | {row.verb} | " + " | ".join(row.supports) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def scenarios(agent: AgentType) -> str:
    """Which run and which are skipped, and for lack of what."""
    lines = ["| scenario | |", "|---|---|"]
    for path in sorted((ROOT / "scenarios").glob("*.yaml")):
        lacks = [need for need in load_file(path).needs if need in lacks_of_type(agent)]
        lines.append(f"| {path.stem} | {'skipped: ' + ', '.join(lacks) if lacks else 'runs'} |")
    return "\n".join(lines) + "\n"


def rendered() -> dict[str, str]:
    return {"verb table": drawn(verb_table()), "scenarios": scenarios(AgentType.HYPERSTART)}


def parts(text: str, name: str) -> tuple[str, str, str]:
    """What stands before, between and after the marks."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    first, second = text.index(begin) + len(begin), text.index(end)
    return text[:first], text[first:second], text[second:]


def test_its_tables_are_those_of_the_data() -> None:
    text = PAGE.read_text()
    for name, wanted in rendered().items():
        assert parts(text, name)[1] == wanted, f"{name}: run python -m tests.house.test_agents_page"


def test_it_has_every_key_of_every_configuration() -> None:
    section = PAGE.read_text().partition("## Configuration")[2].partition("\n## ")[0]
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:2] == "| "
    ]
    told = {(agent, key) for agent, key, *_ in rows[1:]}
    assert told == {
        *((AgentType.HYPERSTART, key) for key in keys_of(HyperConfig)),
        *((AgentType.KATA, key) for key in keys_of(KataAgentConfig)),
    }


if __name__ == "__main__":
    page = PAGE.read_text()
    for part, fresh in rendered().items():
        before, _, after = parts(page, part)
        page = before + fresh + after
    PAGE.write_text(page)
