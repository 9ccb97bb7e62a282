"""What a guest is told of its host's limits: the words, and what it does not take for one."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest

from actors.errors import InvalidArgument
from actors.guest.template import main
from actors.limits import DEFAULT_LIMITS, Limits, guest_limits, guest_words


def test_nothing_is_told_of_what_is_as_by_default_nor_of_what_is_the_host_s_alone() -> None:
    assert guest_words(DEFAULT_LIMITS) == []
    assert guest_words(replace(DEFAULT_LIMITS, ask_seconds=1.0)) == []


def test_what_is_told_is_what_is_heard() -> None:
    limits = replace(DEFAULT_LIMITS, processes=3, mutate_seconds=2.5, unread_output_bytes=10)
    assert guest_words(limits) == ["processes=3", "unread_output_bytes=10", "mutate_seconds=2.5"]
    assert guest_limits(guest_words(limits)) == limits


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("", "expected NAME=NUMBER"),
        ("ask_seconds=1", "expected NAME=NUMBER of id_length"),
        ("processes", "expected a number"),
        ("processes=", "expected a number"),
        ("processes=2.5", "expected a number"),
        ("processes=0", "expected 1 to 100000"),
        ("processes=-1", "expected 1 to"),
        ("id_length=256", "expected 2 to 255"),
        ("read_bytes=4194304", "expected 1 to 3.14573e+06"),
        ("mutate_seconds=inf", "expected 0.001 to 86400"),
        ("mutate_seconds=nan", "expected 0.001 to 86400"),
    ],
)
def test_what_is_no_limit_is_refused_by_its_name(word: str, why: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        guest_limits([word])
    assert why in str(caught.value)
    assert caught.value.details["field"] == word.partition("=")[0]


@pytest.mark.parametrize(
    "limits", [replace(DEFAULT_LIMITS, containers=0), replace(DEFAULT_LIMITS, mutate_seconds=math.inf)]
)
def test_a_host_is_told_before_a_guest_is_started(limits: Limits) -> None:
    with pytest.raises(InvalidArgument, match="expected"):
        guest_words(limits)


def test_the_template_refuses_it_as_a_slip_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--engine", "processes", "--limit", "processes=0"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "limit processes is 0" in capsys.readouterr().err


@pytest.mark.parametrize("value", [-1, -0.5, math.nan, True, None, "3", -math.inf])
@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_what_is_no_size_count_or_time_is_refused_where_it_is_said(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        replace(DEFAULT_LIMITS, **{name: value})
    assert caught.value.details == {"field": name}


def test_a_count_is_whole_and_a_time_may_have_no_end() -> None:
    with pytest.raises(InvalidArgument, match="whole number"):
        Limits(containers=2.5)  # type: ignore[arg-type]
    assert Limits(ask_seconds=math.inf, shutdown_seconds=0).ask_seconds == math.inf
