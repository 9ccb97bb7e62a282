"""A run as one page that needs nothing else: counts, what does not hold and why, every case with what it does.

For people who read it later or elsewhere: no scripts, no fonts, no addresses; light and dark by their own wish. An agent's
words are escaped. Not for programs: `json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.conformance.case import Verdict
from actors.conformance.report.base import summary_line
from actors.reporting.page import html_text, page_end, page_start

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.conformance.case import Result
    from actors.conformance.report.base import Told

__all__ = ["as_html"]

_COLOURS = {
    Verdict.HOLDS: "#1a7f37",
    Verdict.UNSUPPORTED: "#6e7781",
    Verdict.WRONG_CODE: "#bf5b04",
    Verdict.FALLS_SHORT: "#cf222e",
    Verdict.HUNG: "#9a6700",
    Verdict.AGENT_DIED: "#8250df",
    Verdict.NOT_ASKED: "#57606a",
}
_STYLE = """
.bar { display: flex; height: .8rem; border-radius: 4px; overflow: hidden; margin: .8rem 0 1.6rem; }
.badge { white-space: nowrap; } td.id { font-family: ui-monospace, monospace; font-size: .85rem; }
dl { display: grid; grid-template-columns: 6rem 1fr; gap: .15rem .8rem; margin: .6rem 0 0; }
dt { color: var(--soft); } dd { margin: 0; } h2 { margin-top: 2rem; } article h3 { font-size: 1rem; margin: 0; }
table { table-layout: fixed; } th:nth-child(1) { width: 7rem; } th:nth-child(2) { width: 19rem; }
th:nth-child(3) { width: 5rem; text-align: right; } td.id { overflow-wrap: anywhere; }
td details dl { margin-bottom: .4rem; } .seen { font-family: ui-monospace, monospace; font-size: .9rem; }
"""


def as_html(told: Told) -> str:
    """The page."""
    return "\n".join(_page(told)) + "\n"


def _page(told: Told) -> Iterator[str]:
    yield page_start("katrio conformance", _STYLE)
    yield f"<h1>katrio conformance: {html_text(told.spoken)}</h1>"
    version = f", which says it is <code>{html_text(told.version)}</code>" if told.version else ""
    yield f"<p class='why'>The agent at <code>{html_text(told.address)}</code>{version}.</p>"
    yield f"<p><strong>{html_text(summary_line(told))}</strong></p>"
    yield from (f"<p>{html_text(note)}</p>" for note in told.notes)
    yield _bar(told)
    if told.news:
        yield "<h2>What does not hold</h2>"
    yield from (_article(each) for each in told.news if each.verdict is not Verdict.NOT_ASKED)
    for why, unasked in told.unasked.items():
        ids = ", ".join(f"<code>{html_text(each.case.id)}</code>" for each in unasked)
        yield f"<p>{_badge(Verdict.NOT_ASKED)}{ids}: {html_text(why)}</p>"
    if told.expected:
        yield "<h2>What is known not to hold</h2>"
    yield from map(_article, told.expected)
    if told.mended:
        yield "<h2>What was known not to hold, and holds by now</h2>"
        yield f"<p class='soft'>{', '.join(html_text(each.case.id) for each in told.mended)}</p>"
    for family, results in _families(told.results):
        yield f"<h2>{html_text(family)}</h2>\n<table><tr><th></th><th>id</th><th>took</th><th>what must hold</th></tr>"
        yield from (_row(result) for result in results)
        yield "</table>"
    if told.not_run:
        yield "<h2>Not run: interrupted</h2>"
        yield f"<p class='soft'>{', '.join(html_text(case.id) for case in told.not_run)}</p>"
    yield page_end()


def _bar(told: Told) -> str:
    parts = (
        f'<span style="flex:{count};background:{_COLOURS[Verdict(verdict)]}" title="{count} {verdict}"></span>'
        for verdict, count in told.counts.items()
        if count
    )
    return f'<div class="bar">{"".join(parts)}</div>'


def _badge(verdict: Verdict) -> str:
    return f'<span class="badge" style="background:{_COLOURS[verdict]}">{verdict}</span>'


def _article(result: Result) -> str:
    case = result.case
    return (
        f"<article>\n<h3>{_badge(result.verdict)}{html_text(case.title)}</h3>"
        f"<dl><dt>case</dt><dd><code>{html_text(case.id)}</code>, {result.seconds:.2f} s</dd>"
        f"<dt>does</dt><dd>{html_text(case.does)}</dd>"
        f"<dt>expected</dt><dd>{html_text(result.expected)}</dd>"
        f'<dt>seen</dt><dd class="seen">{html_text(result.seen)}</dd>'
        f"<dt>why</dt><dd>{html_text(case.why)}</dd></dl>\n</article>"
    )


def _row(result: Result) -> str:
    case = result.case
    needs = f"<dt>needs</dt><dd>{html_text(', '.join(case.needs))}</dd>" if case.needs else ""
    seen = f"<dt>seen</dt><dd>{html_text(result.seen)}</dd>" if result.seen else ""
    return (
        f'<tr><td>{_badge(result.verdict)}</td><td class="id">{html_text(case.id)}</td>'
        f'<td class="number">{result.seconds:.2f} s</td>'
        f"<td><details><summary>{html_text(case.title)}</summary><dl><dt>does</dt><dd>{html_text(case.does)}</dd>"
        f"<dt>expects</dt><dd>{html_text(case.expects)}</dd>{seen}{needs}"
        f"<dt>why</dt><dd>{html_text(case.why)}</dd></dl></details></td></tr>"
    )


def _families(results: Sequence[Result]) -> Iterator[tuple[str, list[Result]]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.case.id.partition(".")[0], []).append(result)
    yield from found.items()
