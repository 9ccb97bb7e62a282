"""Counts, durations and values as text, and lines into a stream."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.reporting.texts import Lines, counted, duration, json_text, tally


@given(st.floats(1e-6, 1e6))
def test_a_duration_is_its_number_and_unit(seconds: float) -> None:
    number, unit = duration(seconds).split()
    assert float(number) * {"s": 1, "ms": 1e-3, "us": 1e-6}[unit] == pytest.approx(seconds, rel=0.006)
    assert "e" not in number
    assert float(number) < 1000 or unit == "s"


def test_counts_are_words() -> None:
    assert [counted(number, "step") for number in range(3)] == ["0 steps", "1 step", "2 steps"]
    assert tally({"held": 2, "failed": 0, "error": 1}) == "2 held, 1 error"
    assert tally({"held": 0}) == ""


@given(st.text(st.characters()))
def test_json_is_ascii_and_comes_back(text: str) -> None:
    out = json_text({"value": text})
    assert out.isascii()
    assert json.loads(out) == {"value": text}


@given(st.lists(st.text(), min_size=1))
def test_each_line_stays_one(texts: list[str]) -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    for text in texts:
        lines.line(text)
        lines.json(text)
    assert len(stream.getvalue().split("\n")) == 2 * len(texts) + 1
