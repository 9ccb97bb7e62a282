"""Look-ups below a root: what a look that could not be made is told as."""

from __future__ import annotations

import errno
import os
import resource
from typing import TYPE_CHECKING

import pytest

from actors.guest.engines.rootfs import Root, copy_tree, remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


@pytest.fixture
def few_descriptors() -> Generator[Callable[[int], None]]:
    """Let the process open `spare` more files and no more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    filled: list[int] = []

    def leave(spare: int) -> None:
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        try:
            while True:
                filled.append(os.dup(0))
        except OSError:
            for _ in range(spare):
                os.close(filled.pop())

    yield leave
    for descriptor in filled:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


LOOKS: dict[str, Callable[[Root], object]] = {
    "is_directory": lambda root: root.is_directory("/etc"),
    "find_program": lambda root: root.find_program("/etc/passwd", [], "/"),
    "text": lambda root: root.text("/etc/passwd"),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("spare", [0, 1])
def test_no_descriptor_to_look_with_is_not_the_answer_no(
    tmp_path: Path, few_descriptors: Callable[[int], None], look: Callable[[Root], object], spare: int
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (tmp_path / "etc/passwd").chmod(0o755)
    root = Root(str(tmp_path))
    assert look(root)
    few_descriptors(spare)
    with pytest.raises(OSError, match="Too many open files") as told:
        look(root)
    assert told.value.errno == errno.EMFILE


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_what_is_not_there_is(tmp_path: Path, look: Callable[[Root], object]) -> None:
    assert not look(Root(str(tmp_path)))


@pytest.mark.skipif(os.geteuid() != 0, reason="owners are root's to give")
def test_a_copy_has_modes_and_owners(tmp_path: Path) -> None:
    lower, copy = tmp_path / "lower", tmp_path / "copy"
    (lower / "d").mkdir(parents=True)
    (lower / "d/f").write_text("x")
    (lower / "d/l").symlink_to("/nowhere")
    (lower / "to").symlink_to("d")
    wanted = {".": (0o1777, 1000), "d": (0o2750, 1001), "d/f": (0o4755, 1002)}
    for name, (mode, uid) in wanted.items():
        os.chown(lower / name, uid, uid)
        (lower / name).chmod(mode)
    for name in ("d/l", "to"):
        os.chown(lower / name, 7, 8, follow_symlinks=False)
    copy_tree(lower, copy)
    found = {name: ((copy / name).lstat().st_mode & 0o7777, (copy / name).lstat().st_uid) for name in wanted}
    assert found == wanted
    assert {((copy / name).lstat().st_uid, (copy / name).lstat().st_gid) for name in ("d/l", "to")} == {(7, 8)}


def test_directories_of_any_depth_are_removed(tmp_path: Path) -> None:
    """Deeper than Python's recursion, and than a path has room for."""
    top, outside = tmp_path / "bundle", tmp_path / "outside"
    top.mkdir()
    outside.mkdir()
    (outside / "kept").touch()
    below = os.open(top, os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=below)
        os.close(os.open("f", os.O_CREAT, dir_fd=below))
        os.symlink(outside, "link", dir_fd=below)
        deeper = os.open("d", os.O_DIRECTORY, dir_fd=below)
        os.close(below)
        below = deeper
    os.close(below)
    # a name that is one of its own
    (top / ".0").mkdir()
    remove_tree(top)
    assert list(tmp_path.iterdir()) == [outside]
    assert list(outside.iterdir()) == [outside / "kept"]
    with pytest.raises(FileNotFoundError):
        remove_tree(top)
