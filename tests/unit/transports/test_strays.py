"""Rates of what carries nothing, and strays: so many at once, so many a second, and then no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.errors import RemoteProtocolError
from transports.strays import MOST_STRAYS, Bucket, Rate, Strays


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_and_then_so_many_a_second_and_never_more_than_the_burst_at_once() -> None:
    clock = _Clock()
    bucket = Bucket(Rate(8.0, 4.0), clock)
    assert [bucket.take() for _ in range(9)] == [True] * 8 + [False]
    for _ in range(3):
        clock.now += 0.5
        assert [bucket.take() for _ in range(3)] == [True, True, False]
    clock.now += 0.125
    assert not bucket.take(), "half of one"
    clock.now += 0.125
    assert bucket.take()
    clock.now += 1e6
    assert [bucket.take() for _ in range(9)] == [True] * 8 + [False]


@given(st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 2.0]), max_size=200))
def test_in_any_time_no_more_than_the_burst_and_the_rate_pass(pauses: list[float]) -> None:
    clock = _Clock()
    bucket = Bucket(Rate(4.0, 4.0), clock)
    passed: list[float] = []
    for pause in pauses:
        clock.now += pause
        if bucket.take():
            passed.append(clock.now)
    for first, since in enumerate(passed):
        assert len(passed) - first <= 4 + 4 * (passed[-1] - since)


def test_late_answers_are_lawful_and_of_strays_a_few_are() -> None:
    strays = Strays()
    strays.late = 2
    strays.late_bytes = 10
    strays.take_late("an answer")
    strays.take_data(10, "data")
    strays.take_data(0, "an end")
    assert (strays.late, strays.late_bytes) == (0, 0)
    for _ in range(MOST_STRAYS - 2):
        strays.take("a stray")
    strays.take_late("one answer more")
    strays.take_data(1, "more data")
    with pytest.raises(RemoteProtocolError, match="17 times by now; the last was a stray"):
        strays.take("a stray")
