"""What a caller may be ready to wait."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from actors.errors import InvalidArgument
from actors.mailbox.deadlines import FOR_EVER, checked_seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "below 0"),
        (-0.5, "-0.5"),
        (float("nan"), "nan"),
        (-inf, "-inf"),
        (True, "True"),
        ("5", "'5'"),
        ("x" * 100, "'" + "x" * 59),
        pytest.param(-(10**5000), "below 0", id="many digits"),
    ],
)
def test_what_is_no_time_is_refused_and_shown(seconds: Any, shown: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        checked_seconds(seconds, "timeout")
    assert caught.value.message == f"timeout is {shown}: expected 0 or more seconds, or None for no end"
    assert caught.value.details == {"field": "timeout"}


@pytest.mark.parametrize(
    ("seconds", "meant"), [(None, inf), (0, 0), (2.5, 2.5), (FOR_EVER, FOR_EVER), (2 * FOR_EVER, inf), (10**400, inf)]
)
def test_what_is_more_than_anybody_waits_has_no_end(seconds: Any, meant: float) -> None:
    assert checked_seconds(seconds, "timeout") == meant
