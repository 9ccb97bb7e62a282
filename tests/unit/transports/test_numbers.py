"""Numbers that a peer draws in many tasks at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transports.numbers import OVERTAKEN, Numbers


@given(st.permutations(range(1, 2 * OVERTAKEN, 2)), st.integers(0, 500))
def test_each_of_a_burst_serves_once_in_any_order(burst: list[int], before: int) -> None:
    numbers = Numbers(1)
    for number in range(1, 2 * before, 2):
        numbers.use(number)
    for number in burst:
        number += 2 * before
        assert numbers.fresh(number)
        numbers.use(number)
        assert not numbers.fresh(number)


@given(st.lists(st.integers(0, 2**31), max_size=80))
def test_what_was_used_is_never_fresh_and_what_is_higher_is(drawn: list[int]) -> None:
    numbers = Numbers(1)
    used: set[int] = set()
    for number in (2 * draw + 1 for draw in drawn):
        if numbers.fresh(number):
            assert number not in used
            numbers.use(number)
            used.add(number)
        else:
            assert number <= numbers.highest
        assert numbers.highest == max(used, default=0)


def test_one_that_was_passed_over_long_ago_is_fresh_until_too_many_were() -> None:
    numbers = Numbers(2)
    numbers.use(4)
    for number in range(6, 6000, 2):
        numbers.use(number)
    assert numbers.fresh(2)
    for number in range(6002, 6002 + 4 * OVERTAKEN, 4):
        numbers.use(number)
    assert not numbers.fresh(2)
