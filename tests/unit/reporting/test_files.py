"""Reports as files: what is there stays until there is something better."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.reporting.files import ReportFiles, check_writable, write_whole


def test_a_check_touches_nothing(tmp_path: Path) -> None:
    old, new = tmp_path / "old.html", tmp_path / "new.html"
    old.write_text("old")
    check_writable(old)
    check_writable(new)
    assert [path.name for path in tmp_path.iterdir()] == ["old.html"]
    assert old.read_text() == "old"


def test_a_check_tells_what_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        check_writable(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        check_writable(tmp_path / "nowhere" / "page.html")


def test_a_file_is_replaced_with_its_mode_and_its_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.html", tmp_path / "link.html"
    real.write_text("old, and longer")
    real.chmod(0o640)
    link.symlink_to(real)
    write_whole(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640
    assert len(list(tmp_path.iterdir())) == 2


def test_what_fails_leaves_the_old_report(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(page, "begins well, and then \ud800")
    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


def test_a_full_device_is_told() -> None:
    check_writable(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left"):
        write_whole(Path("/dev/full"), "text")


def test_files_are_written_at_the_end_and_none_keeps_another_back(tmp_path: Path) -> None:
    told: list[str] = []
    files = ReportFiles()
    files.add(None, lambda: "asked of nobody")
    files.add(Path("/dev/full"), lambda: "text")
    files.add(tmp_path / "page.html", lambda: ", ".join(told))
    told += ["one", "two"]
    assert list(tmp_path.iterdir()) == []
    files.write()
    told.append("three")
    files.write()
    assert (tmp_path / "page.html").read_text() == "one, two"
    assert [(str(path), error.strerror) for path, error in files.lost] == [("/dev/full", "No space left on device")]


def test_one_that_can_not_be_written_is_told_when_it_is_added(tmp_path: Path) -> None:
    files = ReportFiles()
    with pytest.raises(FileNotFoundError):
        files.add(tmp_path / "nowhere" / "page.html", lambda: "text")
    files.write()
    assert list(tmp_path.iterdir()) == []
