"""Throw-away roots: a copy is like its original in all that a container sees, and what is done to it reaches nothing else."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from actors.errors import NotFound, PermissionDenied, ResourceExhausted
from actors.host.roots import abandoned_roots, copy_root, open_roots, sweep_roots
from actors.limits import DEFAULT_LIMITS


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
    copy_root(original, tmp_path / "copy")
    assert looks(tmp_path / "copy") == before
    (tmp_path / "copy" / "bin" / "program").write_bytes(b"spoilt")
    shutil.rmtree(tmp_path / "copy")
    assert looks(original) == before


def test_a_socket_stays_out(original: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(original / "s"))
        copy_root(original, tmp_path / "copy")
    assert not (tmp_path / "copy" / "s").exists()


@pytest.mark.parametrize(
    "limits", [replace(DEFAULT_LIMITS, image_bytes=3999), replace(DEFAULT_LIMITS, image_entries=5)]
)
def test_what_is_over_an_image_s_bounds_is_refused_and_nothing_of_it_is_left(
    original: Path, tmp_path: Path, limits: object
) -> None:
    assert isinstance(limits, type(DEFAULT_LIMITS))
    with open_roots(tmp_path / "roots", limits) as roots:
        with pytest.raises(ResourceExhausted) as caught:
            roots.copy(str(original))
        assert caught.value.details["field"] == "image"
        (owned,) = (tmp_path / "roots").iterdir()
        assert list(owned.iterdir()) == []


def test_copies_end_with_their_owner_and_each_on_its_own(original: Path, tmp_path: Path) -> None:
    place = tmp_path / "roots"
    with open_roots(place) as roots:
        one, two = roots.copy(str(original)), roots.copy(str(original))
        assert one != two
        roots.remove(one)
        assert not Path(one).exists()
        assert Path(two, "bin", "program").exists()
        roots.remove(str(original))
        assert original.exists(), "what is no copy is nothing of ours"
    assert list(place.iterdir()) == []


def test_what_a_dead_owner_left_is_swept_and_a_living_one_s_is_not(original: Path, tmp_path: Path) -> None:
    place = tmp_path / "roots"
    left = place / "run-dead"
    (left / "1").mkdir(parents=True)
    (place / "another's").mkdir()
    with open_roots(place) as roots:
        assert not left.exists(), "by whoever comes next"
        copied = roots.copy(str(original))
        left.mkdir()
        assert abandoned_roots(place) == [left], "and who looks removes nothing"
        assert sweep_roots(place) == [left]
        assert Path(copied).exists()
    assert sweep_roots(place) == []
    assert [path.name for path in place.iterdir()] == ["another's"]


def test_what_can_t_be_copied_is_told(original: Path, tmp_path: Path) -> None:
    with open_roots(tmp_path / "roots") as roots, pytest.raises(NotFound):
        roots.copy(str(tmp_path / "nothing"))
    with pytest.raises(PermissionDenied), open_roots(original / "bin" / "program" / "roots"):
        pass
