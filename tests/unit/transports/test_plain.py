"""Text of others made fit for people: nothing that steers a terminal is left, and nothing is dropped."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.plain import printable

# category -> why none of it may reach a terminal
BARRED = {"Cc": "controls", "Cf": "bidi, no width", "Cs": "half characters", "Zl": "line ends", "Zp": "line ends"}


@pytest.mark.parametrize(
    "char",
    [
        *map(chr, range(0x20)),
        *map(chr, range(0x7F, 0xA1)),
        *"\u00ad\u034f\u061c\u115f\u180e\u200b\u200f\u2028\u2029",
        *"\u202e\u2066\u2069\u3164\ufe0f\ufeff\uffa0\ud800\udc80\U000e0001\U000e0100",
    ],
    ids=lambda char: f"U+{ord(char):04X}",
)
def test_what_is_not_seen_is_shown(char: str) -> None:
    shown = printable(f"a{char}b")
    assert shown.isascii()
    assert shown.startswith("a\\")
    assert shown.encode("ascii").decode("unicode_escape").encode("utf-16", "surrogatepass") == f"a{char}b".encode(
        "utf-16", "surrogatepass"
    )


@given(st.text(st.characters(categories=None), max_size=60))
def test_any_text_becomes_one_line_and_stays_it(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(char) for char in shown} & BARRED.keys()
    assert printable(shown) == shown
    shown.encode()


def test_what_people_write_stays_as_it_is() -> None:
    text = "naïve café, Ελλάδα, עברית, 日本語, 🐍, tab-less \\x1b"
    assert printable(text) == text
    assert printable("a\nb\tc\r", "\n\t") == "a\nb\tc\\r"
