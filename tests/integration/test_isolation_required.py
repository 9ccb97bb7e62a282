"""A system that can isolate nothing says so, and is refused where isolation is required; and run directories that can't be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from actors.api import open_system
from actors.errors import InvalidArgument, Unsupported

if TYPE_CHECKING:
    from pathlib import Path


async def test_plain_processes_are_warned_of_and_refused_where_isolation_is_required(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "katrio"):
        async with open_system(agent="noop", require_isolation=True):
            pass
        assert not caplog.text, "noop runs nothing"
        async with open_system(engine="processes", run_dir=tmp_path):
            pass
        assert "nothing isolates or limits them" in caplog.text
    with pytest.raises(Unsupported, match="isolation is required"):
        async with open_system(engine="processes", run_dir=tmp_path, require_isolation=True):
            raise AssertionError("opened")
    with pytest.raises(Unsupported, match="another's"):
        async with open_system(config={"Address": f"unix://{tmp_path}/x.sock"}, require_isolation=True):
            raise AssertionError("opened")


@pytest.mark.parametrize("name", ["file", "file/below", "a\0b", "x" * 120, "x" * 300])
async def test_a_run_directory_that_can_not_be_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with open_system(engine="processes", run_dir=tmp_path / name) as system:
        box = await system.create_sandbox("box")
        with pytest.raises(InvalidArgument) as caught:
            await box.start()
        assert caught.value.details == {"field": "run_dir"}
