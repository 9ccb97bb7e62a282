"""Pages in HTML: markup that is made of tags, so that nothing quoted can come in as such, and one look for all of them.

A page needs nothing else: no scripts, no fonts, no addresses; light and dark by its reader's own wish. Not for what it shows.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from transports.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Markup", "badge", "bar", "facts", "folded", "joined", "page", "row", "table", "tag"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --paper: #ffffff; --soft: #66707a; --line: #d9dee3; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --paper: #14181c; --soft: #94a0ab; --line: #343c44; --card: #1b2126; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1240px; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin: 2rem 0 0; } article h2 { margin: 0; }
article h3 { font-size: 1rem; margin: 0; }
.why, .soft { color: var(--soft); }
article { border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.2rem; margin: 1.2rem 0; background: var(--card); }
.badge { color: #fff; border-radius: 4px; padding: .1rem .5rem; font-size: .85rem; margin-right: .5rem; white-space: nowrap; }
.bar { display: flex; height: .8rem; border-radius: 4px; overflow: hidden; margin: .8rem 0 1.6rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
td, th { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.id { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: 6rem 1fr; gap: .15rem .8rem; margin: .6rem 0 0; }
dt { color: var(--soft); } dd { margin: 0; }
pre { margin: .3rem 0; padding: .5rem .7rem; background: var(--paper); border: 1px solid var(--line); border-radius: 4px;
  overflow-x: auto; font-size: .85rem; white-space: pre-wrap; }
summary { cursor: pointer; }
"""


class Markup(str):
    """Text that is HTML already; every other text is escaped where it is put into a tag."""

    __slots__ = ()


def tag(name: str, *content: str, **attributes: object) -> Markup:
    """An element around its content. `kind` is its class; `_` in a name stands for `-`; an attribute that is empty is left out."""
    given = "".join(
        f' {"class" if key == "kind" else key.replace("_", "-")}="{_html(str(value))}"'
        for key, value in attributes.items()
        if value != ""
    )
    return Markup(f"<{name}{given}>{joined(content)}</{name}>")


def joined(content: Iterable[str], between: str = "") -> Markup:
    """All of it, one after the other."""
    return Markup(between.join(one if isinstance(one, Markup) else _html(one) for one in content))


def page(title: str, body: Iterable[Markup], style: str = "") -> str:
    """The whole page. `style` is for what only this one has."""
    head = f'<meta name="viewport" content="width=device-width, initial-scale=1">\n{tag("title", title)}'
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{head}\n<style>{_STYLE}{style}</style>\n</head>\n'
        f"<body>\n{joined(body, chr(10))}\n</body>\n</html>\n"
    )


def badge(word: str, colour: str) -> Markup:
    """A word on a colour: an outcome, a verdict, a state."""
    return tag("span", word, kind="badge", style=f"background:{colour}")


def bar(counts: Mapping[str, int], colours: Mapping[str, str]) -> Markup:
    """How many there are of each, as shares of one line."""
    return tag(
        "div",
        *(
            tag("span", style=f"flex:{count};background:{colours[what]}", title=f"{count} {what}")
            for what, count in counts.items()
            if count
        ),
        kind="bar",
    )


def facts(*told: tuple[str, str]) -> Markup:
    """Each with what it is called; those with nothing to say are left out."""
    return tag("dl", *(part for term, text in told if text for part in (tag("dt", term), tag("dd", text))))


def table(heads: Sequence[str], rows: Iterable[Markup]) -> Markup:
    """Of `row`s."""
    return tag("table", joined([tag("tr", *(tag("th", head) for head in heads)), *rows], "\n"))


def row(*cells: str | tuple[str, str]) -> Markup:
    """Of a table; a cell with a kind (`number`, `id`, `soft`) is a pair of both."""
    pairs = (cell if isinstance(cell, tuple) else (cell, "") for cell in cells)
    return tag("tr", *(tag("td", content, kind=kind) for content, kind in pairs))


def folded(summary: str, *content: str) -> Markup:
    """A section whose content is shown once it is opened."""
    return tag("details", tag("summary", summary), "\n", *content)


def _html(text: str) -> str:
    """A text as it may stand in a page or an attribute; lines stay lines."""
    return escape(printable(text, "\n\t"))
