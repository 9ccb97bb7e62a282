"""Every target, a little of it: spoiled frames from a fixed seed, some that Hypothesis draws, and claims of 4 GiB.

`scripts/fuzz` runs a million. A failure here says which command shows it again.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.engine import measure, run
from tests.fuzz.target import Target, case_of, claims_of, make_case
from tests.fuzz.targets import TARGETS

# frames for each share of a target's: a few seconds over all of them
FRAMES = 150
MIB = 1024 * 1024

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())


@every_target
def test_what_must_hold_holds_for_spoiled_frames(target: Target) -> None:
    report = run(target, seed=7, frames=FRAMES * target.share)
    told = [f"{failure.again}\n{failure.smallest}\n{failure.error}" for failure in report.failures]
    assert not told, "\n".join(told)
    assert report.frames >= FRAMES * target.share


@every_target
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rng=st.randoms(use_true_random=False))
def test_what_must_hold_holds_for_what_hypothesis_draws(target: Target, rng: random.Random) -> None:
    target.check(make_case(target, rng).pieces)


@every_target
def test_a_claim_of_4_gib_is_not_believed(target: Target) -> None:
    claims = list(claims_of(target))
    assert claims
    rng = random.Random(target.name)
    # the first look fills caches, which are not this peer's doing
    target.check(claims[0])
    for pieces in rng.sample(claims, min(len(claims), 4 * target.share)):
        target.check(pieces)
        measure(target, pieces, memory=MIB)


@every_target
def test_a_case_is_a_function_of_its_seed(target: Target) -> None:
    assert [case_of(target, 1, number) for number in range(20)] == [case_of(target, 1, number) for number in range(20)]
    assert len({case_of(target, 1, number).pieces for number in range(20)}) > 10
