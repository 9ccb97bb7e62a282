"""Directories of ours: where they are, and who else has a hand in them."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.errors import KatrioError, PermissionDenied
from actors.images.store import ImageStore
from actors.images.unpacked import abandoned_images, sweep_images
from actors.limits import DEFAULT_LIMITS
from actors.node import rundir
from actors.node.places import default_place, make_directories, untrusted_reason
from actors.node.roots import CalledRoots, leftover_roots, open_roots, sweep_roots

if TYPE_CHECKING:
    from collections.abc import Callable

_US, _STRANGER = os.geteuid(), 12345
needs_root = pytest.mark.skipif(_US != 0, reason="owners are root's to give")


@pytest.mark.parametrize(
    ("environment", "uid", "place"),
    [
        ({}, 0, "/var/lib/katrio/x"),
        ({"HOME": "/root", "XDG_CACHE_HOME": "/c"}, 0, "/var/lib/katrio/x"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": "/c"}, 7, "/c/katrio/x"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": ""}, 7, "/home/a/.cache/katrio/x"),
        ({"HOME": "/home/a", "XDG_CACHE_HOME": "c"}, 7, "/home/a/.cache/katrio/x"),
        ({"HOME": ""}, 7, "/tmp/katrio-7/.cache/katrio/x"),
        ({"HOME": "."}, 7, "/tmp/katrio-7/.cache/katrio/x"),
        ({}, 7, "/tmp/katrio-7/.cache/katrio/x"),
    ],
)
def test_where_they_are(environment: dict[str, str], uid: int, place: str) -> None:
    assert default_place(environment, uid, "x") == Path(place)


@pytest.fixture
def way(tmp_path: Path) -> Path:
    """A directory of ours, below another."""
    (tmp_path / "way" / "place").mkdir(parents=True)
    for path in (tmp_path / "way", tmp_path / "way" / "place"):
        path.chmod(0o755)
    return tmp_path / "way"


def link(path: Path, owner: int = _US) -> None:
    """The same directory, behind a link of somebody's."""
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")
    os.chown(path, owner, owner, follow_symlinks=False)


def replaced(path: Path, owner: int = _US) -> None:
    """What is missing below a directory of somebody's."""
    (path / "place").rmdir()
    os.chown(path, owner, owner)


def a_file(path: Path) -> None:
    (path / "place").rmdir()
    (path / "place").write_text("")


def grouped(path: Path) -> None:
    os.chown(path, 0, _STRANGER)
    path.chmod(0o775)


def stranger(name: str, path: Path) -> None:
    os.chown(path / name, _STRANGER, _STRANGER)


def links_in_a_circle(path: Path) -> None:
    (path / "place").rmdir()
    (path / "place").symlink_to("place")


# what was done to the way, and how that is told; "" when it is nobody else's
WAYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "as made": (lambda _: None, ""),
    "nothing there yet": (lambda way: (way / "place").rmdir(), ""),
    "all may write it": (lambda way: (way / "place").chmod(0o777), "has mode 0777"),
    "its group may": (lambda way: (way / "place").chmod(0o775), "has mode 0775"),
    "all may make files there": (lambda way: (way / "place").chmod(0o1777), "has mode 1777"),
    "all may write above it": (lambda way: way.chmod(0o777), "way has mode 0777"),
    "all may make files above it": (lambda way: way.chmod(0o1777), ""),
    "our group may write above it": (lambda way: way.chmod(0o775), ""),
    "a file": (a_file, "is no directory"),
    "a link of ours": (lambda way: link(way / "place"), ""),
    "a link of ours above it": (link, ""),
    "links in a circle": (links_in_a_circle, f"is a link of uid {_US}"),
}
STRANGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a stranger's": (partial(stranger, "place"), f"is of uid {_STRANGER}"),
    "a stranger's above it": (partial(stranger, "."), f"way is of uid {_STRANGER}"),
    "a stranger's, and nothing there": (lambda way: replaced(way, _STRANGER), f"way is of uid {_STRANGER}"),
    "another group may write above it": (grouped, "way has mode 0775"),
    "a stranger's link": (lambda way: link(way / "place", _STRANGER), f"is a link of uid {_STRANGER}"),
    "a stranger's link above it": (lambda way: link(way, _STRANGER), f"way is a link of uid {_STRANGER}"),
}


def uses(place: Path) -> dict[str, Callable[[], object]]:
    """Every way in which katrio comes to trust what lies in a directory of its own."""
    return {
        "images": lambda: ImageStore(place, Path("/bin/true")).resolve("busybox"),
        "roots": lambda: open_roots(place, DEFAULT_LIMITS, lambda: None).__enter__(),
        "called roots": lambda: CalledRoots(place, "a", None).copy("/no/such", "c", DEFAULT_LIMITS, lambda: None),
    }


@pytest.mark.parametrize(
    ("change", "why"),
    [
        *(pytest.param(*case, id=name) for name, case in WAYS.items()),
        *(pytest.param(*case, id=name, marks=needs_root) for name, case in STRANGE.items()),
    ],
)
def test_who_else_has_a_hand_in_it(way: Path, change: Callable[[Path], object], why: str) -> None:
    place = way / "place"
    change(way)
    before = sorted(way.rglob("*"))
    found = untrusted_reason(place)
    assert found.endswith(why)
    assert bool(found) == bool(why)
    if why == "":
        return
    for name, use in uses(place).items():
        with pytest.raises(PermissionDenied, match="others may write it") as caught:
            use()
        assert why in str(caught.value), name
    with pytest.raises(KatrioError):
        rundir.make_run_root(place)
    assert (sweep_roots(place), leftover_roots(place)) == ([], [])
    assert (sweep_images(place), abandoned_images(place)) == ([], [])
    assert sorted(way.rglob("*")) == before, "and nothing is made there"


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701])
def test_what_is_private_nobody_else_may_look_into(way: Path, mode: int) -> None:
    (way / "place").chmod(mode)
    with pytest.raises(PermissionDenied, match="with mode 0700"):
        rundir.check_run_root(way / "place")
    (way / "place").chmod(0o700)
    rundir.check_run_root(way / "place")
    link(way / "place")
    with pytest.raises(KatrioError):
        rundir.check_run_root(way / "place")


@needs_root
def test_a_directory_that_the_caller_named_is_the_caller_s_affair(way: Path) -> None:
    """As a share that a VMM of another user made; what is ours in it is checked all the same."""
    os.chown(way, _STRANGER, _STRANGER)
    way.chmod(0o777)
    assert untrusted_reason(way / "place", given=way) == ""
    with open_roots(way.parent / "home", DEFAULT_LIMITS, lambda: None, share=way):
        assert (way / ".katrio-roots").exists()
    os.chown(way / ".katrio-roots", _STRANGER, _STRANGER)
    with (
        pytest.raises(PermissionDenied, match=f"is of uid {_STRANGER}"),
        open_roots(way.parent / "home", DEFAULT_LIMITS, lambda: None, share=way),
    ):
        pass
    (way / ".katrio-roots" / "run-x").mkdir()
    assert sweep_roots(way.parent / "home") == []


def test_what_is_made_is_ours_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        make_directories(tmp_path / "a" / "b" / "c", 0o755)
    finally:
        os.umask(mask)
    assert untrusted_reason(tmp_path / "a" / "b" / "c") == ""
