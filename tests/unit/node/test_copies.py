"""Copies of roots: like the original in all that a container sees, and ended by a word whatever the root is."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.errors import InvalidArgument, KatrioError, NotFound, PermissionDenied, ResourceExhausted
from actors.images.store import ImageStore
from actors.limits import MIB
from actors.node.copies import check_root, copy_root
from actors.node.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable


def nothing() -> None:
    """Goes on."""


def copied(
    source: Path,
    target: Path,
    most_bytes: int = 64 * MIB,
    most_entries: int = 100,
    checkpoint: Callable[[], None] = nothing,
) -> None:
    copy_root(source, target, most_bytes=most_bytes, most_entries=most_entries, checkpoint=checkpoint)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    root = tmp_path / "image"
    (root / "bin").mkdir(parents=True)
    program = root / "bin" / "program"
    program.write_bytes(b"\x7fELF" * 1000)
    program.chmod(0o4755)
    os.link(program, root / "bin" / "another")
    (root / "bin" / "link").symlink_to("/bin/program")
    (root / "dangling").symlink_to("nowhere")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "sealed").mkdir()
    (root / "sealed" / "file").write_text("x")
    (root / "sealed").chmod(0o555)
    os.mkfifo(root / "fifo", 0o600)
    os.utime(root / "bin", ns=(1_000_000_007, 2_000_000_009))
    root.chmod(0o755)
    return root


def looks(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for directory, names, files in os.walk(root):
        for name in [".", *names, *files]:
            path = Path(directory) / name
            seen = path.lstat()
            what = (
                os.readlink(path)
                if stat.S_ISLNK(seen.st_mode)
                else path.read_bytes()
                if stat.S_ISREG(seen.st_mode)
                else b""
            )
            links = seen.st_nlink if stat.S_ISREG(seen.st_mode) else 0
            found[str(path.relative_to(root))] = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_mtime_ns, links, what)
    return found


def test_a_copy_looks_like_its_original_and_shares_nothing_with_it(original: Path, tmp_path: Path) -> None:
    before = looks(original)
    copied(original, tmp_path / "copy")
    assert looks(tmp_path / "copy") == before
    (tmp_path / "copy" / "bin" / "program").write_bytes(b"spoilt")
    assert remove_tree(tmp_path / "copy")
    assert looks(original) == before


def test_a_socket_stays_out(original: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(original / "s"))
        copied(original, tmp_path / "copy")
    assert not (tmp_path / "copy" / "s").exists()


class Ended(BaseException):
    """What a checkpoint raises, as trio's own is no Exception."""


class Steps:
    def __init__(self, left: int) -> None:
        self.left = left
        self.taken = 0

    def __call__(self) -> None:
        self.taken += 1
        self.left -= 1
        if self.left < 0:
            raise Ended


def test_a_copy_can_be_ended_at_every_step_and_leaves_nothing(original: Path, tmp_path: Path) -> None:
    (original / "large").write_bytes(os.urandom(3 * MIB))
    whole = Steps(1000)
    copied(original, tmp_path / "whole", checkpoint=whole)
    assert whole.taken > 3 + sum(1 for _ in original.rglob("*")), "each entry, and each MiB"
    for step in range(whole.taken):
        with pytest.raises(Ended):
            copied(original, tmp_path / "copy", checkpoint=Steps(step))
        assert not (tmp_path / "copy").exists(), step


@pytest.mark.parametrize(
    "pieces",
    [[], [(0, 10)], [(5 * MIB, 10)], [(4096, 1), (40 * MIB, 2 * MIB)], [(0, 1), (1024 * 1024 * MIB - 1, 1)]],
    ids=["a hole", "data", "an end", "islands", "a tebibyte"],
)
def test_holes_stay_holes_and_do_not_count(tmp_path: Path, pieces: list[tuple[int, int]]) -> None:
    (tmp_path / "image").mkdir()
    with (tmp_path / "image" / "sparse").open("wb") as file:
        for place, size in pieces:
            file.seek(place)
            file.write(b"x" * size)
        file.truncate(max(file.tell(), 1024 * 1024 * MIB))
    copied(tmp_path / "image", tmp_path / "copy", most_bytes=3 * MIB)
    found = (tmp_path / "copy" / "sparse").stat()
    assert found.st_size == 1024 * 1024 * MIB
    assert found.st_blocks * 512 <= 3 * MIB
    with (tmp_path / "copy" / "sparse").open("rb") as file:
        for place, size in pieces:
            file.seek(place)
            assert file.read(size) == b"x" * size


@pytest.mark.parametrize("bound", [(3999, 100), (MIB, 5)])
def test_what_is_over_a_bound_is_refused_and_nothing_of_it_is_left(
    original: Path, tmp_path: Path, bound: tuple[int, int]
) -> None:
    with pytest.raises(ResourceExhausted) as caught:
        copied(original, tmp_path / "copy", *bound)
    assert caught.value.details["field"] == "image"
    assert caught.value.details["limit"] in bound
    assert not (tmp_path / "copy").exists()


def test_a_copy_within_its_original_is_not_a_part_of_it(original: Path) -> None:
    copied(original, original / "tmp" / "copy")
    assert list((original / "tmp" / "copy" / "tmp").iterdir()) == []
    assert (original / "tmp" / "copy" / "bin" / "program").exists()


@pytest.mark.parametrize("path", ["/proc", "/proc/self", "/proc/sys", "/sys", "/sys/kernel"])
def test_a_view_of_the_kernel_is_no_root(tmp_path: Path, path: str) -> None:
    asked: list[Callable[[], object]] = [
        lambda: check_root(Path(path)),
        lambda: copied(Path(path), tmp_path / "copy"),
        lambda: ImageStore(tmp_path / "store", None).resolve(f"dir:{path}"),
    ]
    for ask in asked:
        with pytest.raises(InvalidArgument, match=r"in a (proc|sysfs) file system") as caught:
            ask()
        assert caught.value.details["field"] == "image"
    assert not (tmp_path / "copy").exists()


def test_what_was_made_a_pipe_since_it_was_listed_is_not_waited_for(original: Path, tmp_path: Path) -> None:
    def replace() -> None:
        for name in ("program", "another"):
            if (path := original / "bin" / name).is_file():
                path.unlink()
                os.mkfifo(path)

    class Swapping(Steps):
        def __call__(self) -> None:
            super().__call__()
            if self.left == 0:
                replace()

    for step in range(1, 12):
        shutil.rmtree(original / "bin")
        (original / "bin").mkdir()
        (original / "bin" / "program").write_bytes(b"x")
        (original / "bin" / "another").write_bytes(b"x")
        try:
            copied(original, tmp_path / f"copy{step}", checkpoint=Swapping(step))
        except (KatrioError, Ended):
            assert not (tmp_path / f"copy{step}").exists()


def test_what_can_t_be_copied_is_told(original: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        copied(tmp_path / "nothing", tmp_path / "copy")
    with pytest.raises(NotFound):
        copied(original / "bin" / "program", tmp_path / "copy")
    with pytest.raises((PermissionDenied, NotFound)):
        copied(original, Path("/proc/no/such"))


@pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices are root's to give")
def test_a_copy_has_owners_and_devices(original: Path, tmp_path: Path) -> None:
    for name, uid in ((".", 1000), ("bin", 1001), ("bin/program", 1002), ("bin/link", 7)):
        os.chown(original / name, uid, uid + 1, follow_symlinks=False)
    (original / "bin" / "program").chmod(0o4755)  # a change of owner clears it
    os.mknod(original / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    before = looks(original)
    copied(original, tmp_path / "copy")
    assert looks(tmp_path / "copy") == before
    assert (tmp_path / "copy" / "zero").stat().st_rdev == os.makedev(1, 5)
