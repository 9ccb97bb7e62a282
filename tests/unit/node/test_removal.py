"""A tree goes whatever is in it, and nothing else goes with it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from actors.guest import syscalls
from actors.node.removal import remove_tree
from tests.support.forks import run_in_a_fork

if TYPE_CHECKING:
    from pathlib import Path

_DEEP = 3000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    for name in ("a/b/c", "a/d", "sealed/deep", ".removed-1", ".removed-2/x", ".removed-4"):
        (top / name).mkdir(parents=True)
        (top / name / "file").write_text("x")
    (top / ".removed-3").write_text("a file with a name that a directory would be given")
    (top / "link").symlink_to(tmp_path / "else")
    os.mkfifo(top / "pipe")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "kept").write_text("x")
    return top


def test_whatever_is_in_it(tree: Path, tmp_path: Path) -> None:
    (tree / "sealed" / "deep").chmod(0o000)
    (tree / "sealed").chmod(0o555)
    (tree / "a").chmod(0o300)
    tree.chmod(0o500)
    assert remove_tree(tree)
    assert [path.name for path in tmp_path.iterdir()] == ["else"]
    assert (tmp_path / "else" / "kept").exists()
    assert remove_tree(tree), "again"


def test_deeper_than_a_path_can_be(tree: Path) -> None:
    here = os.open(tree, os.O_RDONLY)
    for _ in range(_DEEP):
        os.mkdir("directory", dir_fd=here)
        below = os.open("directory", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert remove_tree(tree)


def test_what_can_t_go_is_told(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not remove_tree(tmp_path / "file")
    (tmp_path / "to").symlink_to(tree)
    assert not remove_tree(tmp_path / "to")
    assert (tree / "a" / "b" / "c" / "file").exists()


class StopError(Exception):
    pass


def test_it_can_be_ended_and_begun_again(tree: Path) -> None:
    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        remove_tree(tree, stop)
    assert tree.exists()
    assert remove_tree(tree)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts are root's to make")
def test_what_is_mounted_in_it_is_not_gone_into(tree: Path, tmp_path: Path) -> None:
    def body() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        for place in ("a/d", ".removed-1"):
            syscalls.mount(str(tmp_path / "else"), str(tree / place), flags=syscalls.MS_BIND)
        assert not remove_tree(tree)

    run_in_a_fork(body)
    assert (tmp_path / "else" / "kept").exists()
    shutil.rmtree(tree)
