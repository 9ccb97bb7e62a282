"""What every integration test gets: a check that it left nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.launchers.templates import Templates
from tests.leaks import assert_clean, snapshot
from tests.support.forked_command import server_of_commands

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="session")
def commands() -> None:
    """Their server stays from test to test."""
    server_of_commands()


@pytest.fixture(autouse=True, scope="session")
def templates() -> Iterator[Templates]:
    """What guests are forked from stays from test to test, as a command's or a user's own test session's does."""
    templates = Templates()
    with templates.shared():
        yield templates
    trio.run(templates.aclose)


@pytest.fixture(autouse=True)
def nothing_left_behind(templates: Templates) -> Iterator[None]:
    """Processes, mounts, control groups, run directories and temporary files are as before."""
    before = snapshot()
    yield
    assert_clean(before, but=templates.pids)
