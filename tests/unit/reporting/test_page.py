"""Markup is made of tags alone: whatever stands in one as text comes out as that text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from actors.reporting.page import bar, facts, folded, page, row, table, tag
from transports.plain import printable

TEXT = st.text(st.characters()) | st.sampled_from(["</style><script>", '" onclick="x', "&amp;", "-->", "\x1b[31m"])


class Read(HTMLParser):
    """What a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@given(TEXT, TEXT)
def test_a_text_comes_out_as_it_was(content: str, value: str) -> None:
    read = Read(tag("p", tag("b", content), content, title=f"x{value}", kind="why", aria_label=1))
    shown = printable(content, "\n\t")
    assert (read.tags, read.text) == (["p", "b"], shown * 2)
    assert read.attributes == [
        ("title", f"x{printable(value, chr(10) + chr(9))}"),
        ("class", "why"),
        ("aria-label", "1"),
    ]


@given(TEXT)
def test_nothing_quoted_adds_a_tag_anywhere(text: str) -> None:
    def whole(quoted: str) -> list[str]:
        told = facts(("a", quoted), (quoted, "b"))
        body = [table((quoted,), [row(quoted, (quoted, "id"))]), folded(quoted, quoted, told), tag("p", quoted)]
        return Read(page(quoted, body)).tags

    assert whole(f"x{text}") == whole("x")


def test_what_says_nothing_is_left_out() -> None:
    assert facts(("one", ""), ("two", "2")) == "<dl><dt>two</dt><dd>2</dd></dl>"
    assert bar({"held": 2, "failed": 0}, {"held": "#fff", "failed": "#000"}).count("<span") == 1
    assert tag("td", "x", kind="") == "<td>x</td>"
