"""A run directory as a program names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.errors import InvalidArgument
from actors.node.rundir import as_run_root


class Place:
    """No path of pathlib's."""

    def __fspath__(self) -> str:
        return "/tmp/zz"


@pytest.mark.parametrize("path", ["/tmp/zz", Path("/tmp/zz"), Place()])
def test_takes_texts_and_paths(path: Any) -> None:
    assert as_run_root(path) == Path("/tmp/zz")


def test_a_relative_one_is_below_the_working_directory() -> None:
    assert as_run_root("zz") == Path.cwd() / "zz"


@pytest.mark.parametrize("path", [5, b"/tmp/zz", "", None])
def test_refuses_what_is_none(path: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        as_run_root(path)
    assert caught.value.details["field"] == "run_dir"
