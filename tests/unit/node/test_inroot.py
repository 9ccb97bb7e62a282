"""A root is looked into as its own container would: nothing in it leads out, and nothing but a regular file is opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from actors.node.inroot import read_in_root
from actors.node.usertable import read_user_table

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "secret").write_text("inside")
    return root


@pytest.mark.parametrize("target", ["/secret", "../secret", "../../secret", "../../../../secret", "/etc/../../secret"])
def test_links_end_in_the_root(root: Path, target: str) -> None:
    (root / "etc" / "passwd").symlink_to(target)
    assert read_in_root(root, "etc/passwd", 100) == b"inside"


def test_what_is_no_regular_file_is_never_opened(root: Path) -> None:
    os.mkfifo(root / "etc" / "passwd")
    assert read_in_root(root, "etc/passwd", 100) is None
    (root / "etc" / "group").mkdir()
    assert read_in_root(root, "etc/group", 100) is None
    (root / "etc" / "shadow").symlink_to("shadow")
    assert read_in_root(root, "etc/shadow", 100) is None
    assert read_in_root(root, "etc/nothing", 100) is None


def test_a_file_over_the_bound_is_refused_and_its_names_with_it(root: Path) -> None:
    (root / "etc" / "passwd").write_bytes(b"x" * 101)
    assert read_in_root(root, "etc/passwd", 101) == b"x" * 101
    with pytest.raises(ValueError, match="over 100 bytes"):
        read_in_root(root, "etc/passwd", 100)
    (root / "etc" / "passwd").write_bytes(b"#" * (1024 * 1024 + 1))
    assert "over 1048576 bytes" in read_user_table(str(root)).missing


def test_a_root_that_is_none_says_so(root: Path) -> None:
    assert "secret" in read_user_table(str(root / "secret")).missing
    assert read_user_table(str(root)).missing == "", "one without the files has nobody in it"
