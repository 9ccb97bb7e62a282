"""The list of equivalent mutants speaks of the code as it is."""

from __future__ import annotations

import tomllib

from tests.mutation.__main__ import EQUIVALENT, every
from tests.mutation.plan import PACKAGES


def test_each_equivalent_is_a_fault_that_can_be_drawn_and_has_a_reason() -> None:
    reasons: dict[str, str] = tomllib.loads(EQUIVALENT.read_text())
    assert reasons.keys() <= {mutant.key for package in PACKAGES for mutant in every(package)}
    assert all(len(reason.split()) > 4 for reason in reasons.values())
