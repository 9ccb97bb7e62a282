"""The image store: a kill at any point, many at once, what is handed out is as it was made, and all of it is bounded."""

from __future__ import annotations

import dataclasses
import logging
import os
import select
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from actors.errors import KatrioError, PermissionDenied, ResourceExhausted
from actors.images.store import ImageStore
from actors.images.unpacked import abandoned_images, sweep_images, used_bytes
from actors.launchers.embedded import EmbeddedImages
from actors.limits import DEFAULT_LIMITS
from actors.node.locks import lock_file
from actors.node.removal import remove_tree
from actors.node.rundir import Swept
from actors.seams import real_seams
from tests.support.archives import entry, layer, oci_layout
from tests.support.forks import fork

if TYPE_CHECKING:
    from collections.abc import Callable

LAYERS = (
    layer(entry("./"), entry("d/"), entry("d/a", b"1"), entry("d/gone", b"2"), entry("shut/", mode=0o555)),
    layer(entry("d/.wh.gone"), entry("d/b", b"3" * 5000), entry("shut/c", b"4")),
)
WANTED = {"d/a": "1", "d/b": "3" * 5000, "shut/c": "4"}


class Stopped(BaseException):
    """Raised by a checkpoint, as `Cancelled` is."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def image(tmp_path: Path) -> str:
    return f"oci:{oci_layout(tmp_path / 'image', *LAYERS)}"


def text(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def left(place: Path) -> list[str]:
    return sorted(name for name in os.listdir(place) if name.startswith((".building-", ".removing-")))


def nothing_in(place: Path) -> bool:
    return not place.exists() or set(os.listdir(place)) <= {".lock"}


class Steps:
    """A checkpoint that does something when it is called for the nth time; with `place`, once something is half made there."""

    def __init__(self, nth: int, act: Callable[[], object], place: Path | None = None) -> None:
        self.count, self._nth, self._act, self._place = 0, nth, act, place

    def __call__(self) -> None:
        if self._place is not None and not (self._place.exists() and left(self._place)):
            return
        self.count += 1
        if self.count == self._nth:
            self._act()


def stop() -> None:
    raise Stopped


def test_a_cancel_at_any_point_leaves_nothing(place: Path, image: str) -> None:
    whole = Steps(0, stop)
    ImageStore(place, None, checkpoint=whole).resolve(image)
    for nth in range(1, whole.count + 1):
        remove_tree(place)
        with pytest.raises(Stopped):
            ImageStore(place, None, checkpoint=Steps(nth, stop)).resolve(image)
        assert nothing_in(place), nth
    assert text(ImageStore(place, None).resolve(image)) == WANTED


def _in_a_child(act: Callable[[], object]) -> int:
    """Its wait status."""
    child = fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def _killed_at(nth: int, act: Callable[[], object]) -> bool:
    """Run it in a child that kills itself at its nth call into the kernel's side; whether it came so far."""

    def dying() -> None:
        count = 0

        def hook(_: object, event: str, argument: object) -> None:
            nonlocal count
            if event == "c_call" and getattr(argument, "__module__", None) in ("posix", "fcntl", "io", "_io"):
                count += 1
                if count == nth:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(hook)
        act()

    return os.WIFSIGNALED(_in_a_child(dying))


def test_a_kill_at_any_point_leaves_a_whole_root_or_what_sweep_removes(place: Path, image: str) -> None:
    store = ImageStore(place, None)
    nth, step, halves, wholes = 1, 7, 0, 0
    while True:
        if not _killed_at(nth, partial(store.resolve, image)):
            if step == 1:
                break
            # the last one by one: few are left once the root is whole
            nth, step = nth - step + 1, 1
            remove_tree(place)
            continue
        roots = [name for name in os.listdir(place) if not name.startswith(".")] if place.exists() else []
        dead = left(place) if place.exists() else []
        halves, wholes = halves + bool(dead), wholes + bool(roots)
        assert abandoned_images(place) == dead
        assert sorted(swept.directory.name for swept in sweep_images(place) if swept.clean) == dead
        assert not place.exists() or left(place) == []
        if roots:
            assert text(place / roots[0] / "root") == WANTED
            assert store.resolve(image) == place / roots[0] / "root"
        remove_tree(place)
        nth += step
    assert halves > 5
    assert wholes > 0


def test_the_next_to_make_it_removes_a_half_one(place: Path, image: str) -> None:
    kill = Steps(4, lambda: os.kill(os.getpid(), signal.SIGKILL), place)
    _in_a_child(partial(ImageStore(place, None, checkpoint=kill).resolve, image))
    assert len(left(place)) == 1
    assert text(ImageStore(place, None).resolve(image)) == WANTED
    assert left(place) == []


def test_several_processes_make_it_once(place: Path, image: str, tmp_path: Path) -> None:
    """One is held up while it unpacks; the others wait, and take what it made."""
    begun, go_on = os.pipe(), os.pipe()

    def held() -> None:
        os.write(begun[1], b"x")
        os.read(go_on[0], 1)

    slow = fork()
    if slow == 0:
        signal.alarm(60)
        ImageStore(place, None, checkpoint=Steps(4, held, place)).resolve(image)
        os._exit(0)
    os.read(begun[0], 1)
    half = left(place)
    assert len(half) == 1
    assert abandoned_images(place) == [], "its maker lives"
    assert sweep_images(place) == []
    waited = Steps(10, lambda: os.write(go_on[1], b"x"))
    assert text(ImageStore(place, None, checkpoint=waited).resolve(image)) == WANTED
    assert os.waitpid(slow, 0)[1] == 0
    assert len([name for name in os.listdir(place) if name != ".lock"]) == 1
    gate = lock_file(place / ".lock", wait=True)
    other = ImageStore(place, None, checkpoint=Steps(20, stop))
    with pytest.raises(Stopped):
        other.resolve(f"oci:{oci_layout(tmp_path / 'other', layer(entry('x', b'')))}")
    assert gate is not None
    os.close(gate)
    for descriptor in (*begun, *go_on):
        os.close(descriptor)


def rewrite(root: Path) -> None:
    """The same size and time of change; only the kernel's own time differs."""
    before = (root / "d/a").stat()
    (root / "d/a").write_text("X")
    os.utime(root / "d/a", ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_a_link(root: Path) -> None:
    root.rename(root.parent / "x")
    root.symlink_to("x")


def empty(directory: Path) -> None:
    assert remove_tree(directory)
    directory.mkdir()


CHANGES: dict[str, Callable[[Path], object]] = {
    "emptied": empty,
    "gone": remove_tree,
    "a file less": lambda root: (root / "d/a").unlink(),
    "a file more": lambda root: (root / "d/more").write_text(""),
    "a file written to": rewrite,
    "a mode": lambda root: (root / "d/a").chmod(0o600),
    "the root's own mode": lambda root: root.chmod(0o700),
    "a link in its place": replace_by_a_link,
    "no manifest": lambda root: (root.parent / "manifest").unlink(),
    "a broken manifest": lambda root: (root.parent / "manifest").write_text("{"),
    "all of it emptied": lambda root: empty(root.parent),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_made_anew(place: Path, image: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    store = ImageStore(place, None)
    root = store.resolve(image)
    inode = root.stat().st_ino
    with caplog.at_level(logging.WARNING, "katrio"):
        assert store.resolve(image).stat().st_ino == inode
        assert caplog.messages == []
        CHANGES[name](root)
        assert text(store.resolve(image)) == WANTED
    assert len(caplog.messages) == 1
    assert "changed" in caplog.messages[0]
    assert left(place) == []
    assert store.resolve(image) == root


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting is root's")
def test_what_somebody_has_mounted_stays_until_it_has_not(place: Path, image: str, tmp_path: Path) -> None:
    store = ImageStore(place, None)
    root = store.resolve(image)
    (tmp_path / "seen").mkdir()
    script = 'mount --bind "$1" "$2" && echo ready && read x; cat "$2/d/b"'
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", root, tmp_path / "seen"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as user:  # fmt: skip
        assert user.stdout is not None
        assert user.stdin is not None
        assert user.stdout.readline() == b"ready\n"
        (root / "d/a").unlink()
        assert text(store.resolve(image)) == WANTED
        assert len(left(place)) == 1
        assert abandoned_images(place) == []
        assert sweep_images(place) == []
        assert user.communicate(b"\n")[0] == b"3" * 5000
    assert abandoned_images(place) == left(place)
    assert [swept.clean for swept in sweep_images(place)] == [True]
    assert left(place) == []


def test_roots_of_an_older_katrio_are_swept_and_others_left_alone(place: Path, image: str) -> None:
    root = ImageStore(place, None).resolve(image)
    for name in (f"sha256-{'0' * 64}-1", "busybox-1-0123456789abcdef", ".building-x1y2", "mine", "sha256-mine"):
        (place / name / "root/deep").mkdir(parents=True)
    found = {swept.directory.name for swept in sweep_images(place)}
    assert found == {f"sha256-{'0' * 64}-1", "busybox-1-0123456789abcdef", ".building-x1y2"}
    assert sorted(set(os.listdir(place)) - {".lock"}) == sorted([root.parent.name, "mine", "sha256-mine"])


def test_all_of_it_is_bounded(place: Path, image: str, tmp_path: Path) -> None:
    data = layer(entry("f", bytes(4 * 1024 * 1024)))
    large = f"oci:{oci_layout(tmp_path / 'large', data)}"
    # room for the large one, and then 4 MiB less some entries
    bound = dataclasses.replace(DEFAULT_LIMITS, image_store_bytes=8 * 1024 * 1024)
    store = ImageStore(place, None, bound)
    root = store.resolve(large)
    with pytest.raises(ResourceExhausted, match="full") as error:
        store.resolve(image)
    assert error.value.details["limit"] == bound.image_store_bytes
    assert store.resolve(large) == root, "what is there is handed out"
    remove_tree(root.parent)
    store.resolve(image)
    with pytest.raises(ResourceExhausted):
        ImageStore(tmp_path / "other", None, dataclasses.replace(bound, image_store_bytes=4 * 1024 * 1024)).resolve(
            large
        )
    # what another is making has its room, as much as it may come to need
    half = place / ".building-other"
    half.mkdir()
    held = lock_file(half / "lock", wait=False)
    assert held is not None
    os.write(held, b"%d" % (6 * 1024 * 1024))
    with pytest.raises(ResourceExhausted):
        store.resolve(large)
    os.close(held)


def test_many_names_of_one_file_count_once(place: Path, tmp_path: Path) -> None:
    links = [entry(f"l{number}", kind=b"1", link="f") for number in range(50)]
    path = oci_layout(tmp_path / "image", layer(entry("f", bytes(1024 * 1024)), *links))
    ImageStore(place, None).resolve(f"oci:{path}")
    assert used_bytes(place) < 1.5 * 1024 * 1024


def passing(*_: object) -> None:
    """Time that passes at once."""


def test_a_lock_that_is_never_let_go_of_is_told(place: Path, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ImageStore(place, None).resolve(image)
    gate = lock_file(place / ".lock", wait=False)
    assert gate is not None
    monkeypatch.setattr(select, "select", passing)
    assert sweep_images(place) == [Swept(place, False)]
    with pytest.raises(BlockingIOError, match="does not let go"):
        abandoned_images(place)
    os.close(gate)


def test_a_store_that_is_not_ours_alone(place: Path, image: str) -> None:
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(PermissionDenied, match="others may write it"):
        ImageStore(place, None).resolve(image)
    with pytest.raises(KatrioError, match="name a directory of your own"):
        ImageStore(Path("/proc/no/such"), None).resolve(image)


def _cancel(scope: trio.CancelScope) -> None:
    trio.from_thread.run_sync(scope.cancel)


async def test_a_cancel_ends_it_in_its_thread(place: Path, image: str) -> None:
    seams = real_seams()
    for nth in (1, 5, 10):
        scope = trio.CancelScope()
        cancel = Steps(nth, partial(_cancel, scope))

        def checkpoint(step: Steps = cancel) -> None:
            step()
            seams.threads.checkpoint()

        with scope:
            await EmbeddedImages(ImageStore(place, None, checkpoint=checkpoint), seams).resolve(image, spoilt=False)
        assert scope.cancelled_caught
        assert cancel.count in (nth, nth + 1)
        assert nothing_in(place)
    store = ImageStore(place, None, checkpoint=seams.threads.checkpoint)
    assert text(Path(await EmbeddedImages(store, seams).resolve(image, spoilt=False))) == WANTED
