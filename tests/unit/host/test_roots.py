"""Throw-away roots: whose they are, how long they live, and what of them is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.errors import NotFound, PermissionDenied, ResourceExhausted
from actors.host.roots import Roots, abandoned_roots, open_roots, sweep_roots
from actors.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@pytest.fixture
def original(tmp_path: Path) -> Path:
    root = tmp_path / "image"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "program").write_bytes(b"\x7fELF" * 1000)
    (root / "sealed").mkdir()
    (root / "sealed" / "file").write_text("x")
    (root / "sealed").chmod(0o555)
    return root


def opened(place: Path, limits: Limits = DEFAULT_LIMITS) -> AbstractContextManager[Roots]:
    return open_roots(place, limits, lambda: None)


@pytest.mark.parametrize(
    "limits", [replace(DEFAULT_LIMITS, image_bytes=3999), replace(DEFAULT_LIMITS, image_entries=3)]
)
def test_what_is_over_an_image_s_bounds_is_refused_and_nothing_of_it_is_left(
    original: Path, tmp_path: Path, limits: Limits
) -> None:
    with opened(tmp_path / "roots", limits) as roots:
        with pytest.raises(ResourceExhausted) as caught:
            roots.copy(str(original))
        assert caught.value.details["field"] == "image"
        (owned,) = (tmp_path / "roots").iterdir()
        assert list(owned.iterdir()) == []


def test_copies_end_with_their_owner_and_each_on_its_own(original: Path, tmp_path: Path) -> None:
    place = tmp_path / "roots"
    with opened(place) as roots:
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
    with opened(place) as roots:
        assert not left.exists(), "by whoever comes next"
        copied = roots.copy(str(original))
        left.mkdir()
        assert abandoned_roots(place) == [left], "and who looks removes nothing"
        assert sweep_roots(place) == [left]
        assert Path(copied).exists()
    assert sweep_roots(place) == []
    assert [path.name for path in place.iterdir()] == ["another's"]


def test_what_can_t_be_copied_is_told(original: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "roots") as roots, pytest.raises(NotFound):
        roots.copy(str(tmp_path / "nothing"))
    with pytest.raises(PermissionDenied), opened(original / "bin" / "program" / "roots"):
        pass
