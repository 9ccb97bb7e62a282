"""Words of `katrio run` about an attached world and slow guests: what they become, and what makes no sense together."""

from __future__ import annotations

import pytest

from actors.cli.commands import UsageError
from actors.cli.options.run import RunOptions
from actors.cli.parser import build_parser

AGENT = ("--world", "attached", "--address", "unix:///run/agent.sock")
SYSTEM = ("--world", "attached", "--address", "ipc:///run/server")


def parsed(*words: str) -> RunOptions:
    return RunOptions.parsed(build_parser().parse_args(["run", *words, "file.yaml"]))


@pytest.mark.parametrize(
    ("words", "slow"), [((), 1), (("--slow", "1"), 1), (("--slow", "2.5"), 2.5), ((*AGENT, "--slow", "1000"), 1000)]
)
def test_a_guest_may_be_so_many_times_as_slow(words: tuple[str, ...], slow: float) -> None:
    assert parsed(*words).slow == slow


def test_virtual_time_needs_none() -> None:
    with pytest.raises(UsageError, match="virtual"):
        parsed("--world", "simulated", "--slow", "2")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--world", "attached"), "--world attached needs --address URL"),
        (("--address", "unix:///run/agent.sock"), "--address is for --world attached; the embedded world"),
        (
            ("--world", "simulated", "--address", "ipc:///run/hub"),
            "--address is for --world attached; the simulated world",
        ),
    ],
)
def test_an_attached_world_needs_an_address_and_no_other_has_one(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parsed(*words)


def test_an_agent_has_one_sandbox_at_a_time_and_a_system_many() -> None:
    with pytest.raises(UsageError, match="one at a time"):
        parsed(*AGENT, "--jobs", "2")
    assert parsed(*AGENT, "--jobs", "1").jobs == 1
    assert parsed(*SYSTEM, "--jobs", "2").jobs == 2


@pytest.mark.parametrize("text", ["", "5", "5:5", "6:5", "a:b", "-1:5", "0:1:2", "1" * 5000 + ":2", "0:9" + "9" * 5000])
def test_a_range_of_seeds_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="expected A:B"):
        parsed("--world", "simulated", f"--seeds={text}")


def test_a_range_of_seeds_has_its_bound() -> None:
    assert parsed("--world", "simulated", "--seeds", "5:1000005").seeds == range(5, 1000005)
    with pytest.raises(UsageError, match="1,000,000 are the most"):
        parsed("--world", "simulated", "--seeds", "5:1000006")
