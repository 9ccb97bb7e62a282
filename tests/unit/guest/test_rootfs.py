"""A container's root: a layer or a copy, laid beside the loop and bounded; and what a look that could not be made is told as."""

from __future__ import annotations

import errno
import os
import resource
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio

from actors.errors import AgentError, InvalidArgument, KatrioError, ResourceExhausted
from actors.guest import syscalls
from actors.guest.engines.rootfs import Layers, Root
from actors.limits import DEFAULT_LIMITS, MIB
from actors.seams import real_seams
from tests.support.forks import run_in_a_fork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from actors.seams import Threads


T = TypeVar("T")


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


# roots


class Endless:
    """Threads in which a copy never comes to its end by itself. `begun` is set when one has begun."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self._real = real_seams().threads

    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        return self._real.run(function)

    def checkpoint(self) -> None:
        trio.from_thread.run_sync(self.begun.set)
        while True:
            self._real.checkpoint()


def _stacked(place: Path) -> Path:
    """A root on two overlays, over which the kernel lays no third."""
    lower = place / "lower"
    (lower / "etc").mkdir(parents=True)
    (lower / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    with (lower / "sparse").open("wb") as file:
        file.truncate(1024 * 1024 * MIB)
    (lower / "two").write_bytes(os.urandom(2 * MIB))
    for number in "12":
        over = place / number
        for name in ("upper", "work", "root"):
            (over / name).mkdir(parents=True)
        options = f"lowerdir={lower},upperdir={over}/upper,workdir={over}/work"
        syscalls.mount("overlay", str(over / "root"), "overlay", data=options)
        lower = over / "root"
    return lower


def on_stacked_overlays(place: Path, body: Callable[[str, Path], Awaitable[None]]) -> None:
    """`body` is called with the root and a bundle that is to be filled, in a mount namespace of its own."""

    def act() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("tmpfs", str(place), "tmpfs")
        os.chdir(place)
        Path("bundle").mkdir()
        trio.run(body, str(_stacked(place)), Path("bundle"))

    run_in_a_fork(act)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts are root's to make")


def _layers(threads: Threads | None = None, copied: int = 4 * MIB) -> Layers:
    return Layers(replace(DEFAULT_LIMITS, guest_copy_bytes=copied), threads or real_seams().threads)


@needs_root
def test_where_the_kernel_refuses_an_overlay_there_is_a_copy_with_its_holes(tmp_path: Path) -> None:
    async def body(root: str, bundle: Path) -> None:
        layers = _layers()
        await layers.lay("c", root, bundle)
        assert not (bundle / "rootfs").is_mount(), "or this tests nothing"
        assert (bundle / "rootfs" / "etc" / "passwd").read_text().startswith("root")
        assert (bundle / "rootfs" / "sparse").stat().st_size == 1024 * 1024 * MIB
        assert (bundle / "rootfs" / "sparse").stat().st_blocks == 0
        await layers.remove(bundle)
        assert "bundle" not in os.listdir()
        assert os.listdir(f"{root}/etc") == ["passwd"]

    on_stacked_overlays(tmp_path, body)


@needs_root
def test_a_copy_is_bounded_and_what_is_no_root_is_refused_by_its_field(tmp_path: Path) -> None:
    async def body(root: str, bundle: Path) -> None:
        cases: list[tuple[str, type[KatrioError]]] = [
            (root, ResourceExhausted),
            ("/proc", InvalidArgument),
            ("/sys/kernel", InvalidArgument),
            (f"{root}/two", InvalidArgument),
            ("etc", InvalidArgument),
        ]
        for path, kind in cases:
            layers = _layers(copied=2 * MIB - 1)
            with pytest.raises(kind) as caught:
                await layers.lay("c", path, bundle)
            assert caught.value.details["field"] == "root", path
            assert not (bundle / "rootfs" / "etc").exists()
            await layers.remove(bundle)
            os.mkdir(bundle)

    on_stacked_overlays(tmp_path, body)


@needs_root
def test_a_copy_holds_nobody_up_and_ends_when_it_is_given_up(tmp_path: Path) -> None:
    async def body(root: str, bundle: Path) -> None:
        threads = Endless()
        layers = _layers(threads)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(_refused, layers, root, bundle))
            # the loop goes on: this is reached, and so is what comes next
            await threads.begun.wait()
            layers.give_up("another")
            layers.give_up("c")
        assert not (bundle / "rootfs").exists()
        with trio.CancelScope() as scope:
            scope.cancel()
            (bundle / "again").mkdir()
            await layers.lay("c", root, bundle / "again")
        layers.give_up("c")
        await layers.remove(bundle)

    async def _refused(layers: Layers, root: str, bundle: Path) -> None:
        with pytest.raises(AgentError, match="ended meanwhile"):
            await layers.lay("c", root, bundle)

    on_stacked_overlays(tmp_path, body)
