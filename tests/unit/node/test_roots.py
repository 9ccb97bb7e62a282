"""Throw-away roots: whose they are, how long they live, and what of them is left."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from actors.errors import NotFound, PermissionDenied, ResourceExhausted
from actors.limits import DEFAULT_LIMITS, Limits
from actors.node.listeners import listener_at, listener_lives, read_listener, write_listener
from actors.node.removal import remove_tree
from actors.node.roots import CalledRoots, Roots, leftover_roots, open_roots, sweep_roots

if TYPE_CHECKING:
    from collections.abc import Iterator
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


def opened(place: Path, limits: Limits = DEFAULT_LIMITS, share: Path | None = None) -> AbstractContextManager[Roots]:
    return open_roots(place, limits, lambda: None, share=share)


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


def dead(place: Path) -> list[Path]:
    return [left.directory for left in leftover_roots(place) if left.dead]


def swept(place: Path) -> list[Path]:
    found = sweep_roots(place)
    assert all(one.clean for one in found)
    return [one.directory for one in found]


def test_what_a_dead_owner_left_is_swept_and_a_living_one_s_is_not(original: Path, tmp_path: Path) -> None:
    place = tmp_path / "roots"
    left = place / "run-dead"
    (left / "1" / "sealed").mkdir(parents=True)
    (left / "1" / "sealed").chmod(0o555)
    (place / "another's").mkdir()
    with opened(place) as roots:
        assert not left.exists(), "by whoever comes next"
        copied = roots.copy(str(original))
        left.mkdir()
        assert dead(place) == [left], "and who looks removes nothing"
        assert swept(place) == [left]
        assert Path(copied).exists()
    assert swept(place) == []
    assert [path.name for path in place.iterdir()] == ["another's"]


def test_what_lies_in_a_share_is_known_to_whoever_sweeps(original: Path, tmp_path: Path) -> None:
    place, share = tmp_path / "roots", tmp_path / "share"
    share.mkdir()
    with opened(place, share=share) as roots:
        copied = Path(roots.copy(str(original)))
        assert copied.is_relative_to(share)
        assert dead(place) == []
        assert swept(place) == []
        left = copied.parents[1] / "run-dead"
        (left / "1").mkdir(parents=True)
        (found,) = dead(place)
        assert found.samefile(left)
        assert swept(place) == [found]
        assert copied.exists()
        assert not left.exists()
    assert not copied.exists()
    remove_tree(share)
    assert swept(place) == []
    assert list(place.iterdir()) == [], "a share that is gone is forgotten"


def test_what_can_t_be_removed_is_told(original: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path / "roots") as roots:
        copied = Path(roots.copy(str(original)))
        subdirectory = copied.parent
        subdirectory.rename(tmp_path / "moved")
        subdirectory.write_text("in its place")
    assert [record.getMessage() for record in caplog.records] == [
        f"{subdirectory} is left: not all in it could be removed, as what an agent made there as another user"
    ]


# copies that outlive their maker


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent.sock"))
        listener.listen()
        yield listener


@pytest.fixture
def called(tmp_path: Path) -> CalledRoots:
    path = str(tmp_path / "agent.sock")
    return CalledRoots(tmp_path / "roots", f"unix://{path}", path)


def go_on() -> None:
    """Nobody is cancelled."""


def test_a_called_container_s_copy_lives_as_long_as_its_agent_and_no_longer(
    original: Path, tmp_path: Path, listening: socket.socket, called: CalledRoots
) -> None:
    place = tmp_path / "roots"
    copied = called.copy(str(original), "c", DEFAULT_LIMITS, go_on)
    assert Path(copied, "bin", "program").exists()
    (left,) = leftover_roots(place)
    assert (left.dead, left.why) == (False, f"unix://{tmp_path}/agent.sock")
    assert swept(place) == []
    assert Path(copied).exists()
    listening.close()
    (left,) = leftover_roots(place)
    assert left.dead
    assert swept(place) == [left.directory]
    assert list(place.iterdir()) == []


def test_a_called_container_s_copy_is_not_taken_for_one_of_the_next_agent_s(
    original: Path, tmp_path: Path, listening: socket.socket, called: CalledRoots
) -> None:
    before = called.copy(str(original), "c", DEFAULT_LIMITS, go_on)
    listening.close()
    # kept, so that the next socket has another number
    (tmp_path / "agent.sock").rename(tmp_path / "old")
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(tmp_path / "agent.sock"))
        another.listen()
        assert len(dead(tmp_path / "roots")) == 1
        after = called.copy(str(original), "c", DEFAULT_LIMITS, go_on)
        assert not Path(before).exists(), "the next call does not wait for a sweep"
        assert Path(after).exists()
        assert dead(tmp_path / "roots") == []


@pytest.mark.usefixtures("listening")
def test_called_copies_go_each_by_its_container_and_all_together(
    original: Path, tmp_path: Path, called: CalledRoots
) -> None:
    one, two, three = (Path(called.copy(str(original), name, DEFAULT_LIMITS, go_on)) for name in ("a", "b", "b"))
    called.remove(str(original / "bin"))
    assert original.exists(), "what is no copy is nothing of ours"
    called.remove_container("a")
    assert [path.exists() for path in (one, two, three)] == [False, True, True]
    called.remove(str(two))
    assert [path.exists() for path in (one, two, three)] == [False, False, True]
    called.copy(str(original), "c", DEFAULT_LIMITS, go_on)
    called.remove_all()
    assert list((tmp_path / "roots").iterdir()) == []


@pytest.mark.parametrize(
    ("address", "path", "lives"),
    [
        ("vsock://3:1024", None, True),
        ("unix://{}/agent.sock", "{}/agent.sock", True),
        ("hvsock://{}/agent.sock:1024", "{}/agent.sock", True),
        ("serial:{}/agent.sock", "{}/agent.sock", True),
        ("serial:{}/gone", "{}/gone", True),
        ("unix://{}/gone", "{}/gone", False),
        ("unix://{}/stale", "{}/stale", False),
        ("unix://{}/file", "{}/file", False),
        ("unix://@katrio-nobody", "@katrio-nobody", False),
    ],
)
@pytest.mark.usefixtures("listening")
def test_who_lives(tmp_path: Path, address: str, path: str | None, lives: bool) -> None:
    (tmp_path / "file").write_text("")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    listener = listener_at(address.format(tmp_path), path and path.format(tmp_path))
    assert listener_lives(listener) == lives
    write_listener(tmp_path / "listener", listener)
    assert read_listener(tmp_path / "listener") == listener
    assert not listener_lives(msgspec.structs.replace(listener, boot="another"))


def test_a_serial_channel_is_not_dialled(tmp_path: Path, listening: socket.socket) -> None:
    assert listener_lives(listener_at(f"serial:{tmp_path}/agent.sock", f"{tmp_path}/agent.sock"))
    listening.setblocking(False)
    with pytest.raises(BlockingIOError):
        listening.accept()


def test_what_can_t_be_copied_is_told(original: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "roots") as roots, pytest.raises(NotFound):
        roots.copy(str(tmp_path / "nothing"))
    with pytest.raises(PermissionDenied), opened(original / "bin" / "program" / "roots"):
        pass
