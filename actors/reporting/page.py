"""The page that reports in HTML share: its style, its beginning and its end.

It needs nothing else: no scripts, no fonts, no addresses; light and dark by its reader's own wish. Not for what it shows.
"""

from __future__ import annotations

from html import escape

from transports.plain import printable

__all__ = ["html_text", "page_end", "page_start"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --paper: #ffffff; --soft: #66707a; --line: #d9dee3; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --paper: #14181c; --soft: #94a0ab; --line: #343c44; --card: #1b2126; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1240px; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin: 0; }
.why, .soft { color: var(--soft); }
article { border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.2rem; margin: 1.2rem 0; background: var(--card); }
.badge { color: #fff; border-radius: 4px; padding: .1rem .5rem; font-size: .85rem; margin-right: .5rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
td, th { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { margin: .3rem 0; padding: .5rem .7rem; background: var(--paper); border: 1px solid var(--line); border-radius: 4px;
  overflow-x: auto; font-size: .85rem; white-space: pre-wrap; }
summary { cursor: pointer; }
"""


def html_text(text: str) -> str:
    """A text as it may stand in a page or an attribute; lines stay lines."""
    return escape(printable(text, "\n\t"))


def page_start(title: str, style: str = "") -> str:
    """Up to the body. `style` is for what only this page has."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{html_text(title)}</title>\n'
        f"<style>{_STYLE}{style}</style>\n</head>\n<body>"
    )


def page_end() -> str:
    """From the body's end."""
    return "</body>\n</html>"
