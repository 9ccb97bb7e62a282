"""The engine port's cases of what a runtime would say in its own words: mounts, users, limits; see `engine_body`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from actors.errors import InvalidArgument, InvalidTransition, KatrioError
from actors.schemas.oci import Linux, LinuxDevice, LinuxMemory, LinuxResources, Mount, POSIXRlimit, Root
from tests.support.engine_body import made_directory
from tests.support.engine_cases import case

if TYPE_CHECKING:
    from actors.schemas.oci import Spec
    from tests.support.rooms import Room

__all__: list[str] = []

MIB = 1024 * 1024


def bound(source: str, destination: str, *, options: tuple[str, ...] = ("rbind", "rw"), kind: str = "bind") -> Mount:
    return Mount(source=source, destination=destination, type=kind, options=options)


async def refusal_of(room: Room, spec: Spec) -> KatrioError:
    """What a create says that fails, and leaves nothing: its id is free again."""
    with pytest.raises(KatrioError) as error:
        await room.engine.create("c1", spec)
    return error.value


@case("isolation", "kernel")
async def a_mount_that_cannot_be_made_is_the_callers(room: Room) -> None:
    place = str(made_directory("given"))
    file = made_directory("other") / "file"
    file.write_text("")
    mounts = (
        (bound("/no/such", "/mnt"), "source: no such file or directory"),
        (bound(f"{file}/below", "/mnt"), "source: not a directory"),
        (bound("relative", "/mnt"), "no absolute path"),
        (bound("", "/mnt"), "no absolute path"),
        (bound(place, "/etc/passwd/below"), "destination: not a directory"),
        (bound(place, "/etc/passwd"), "not a directory"),
        (bound(str(file), "/tmp"), "not a directory"),
        (bound(place, "/sys/no-such"), "destination: "),
        (bound(place, "/"), "below the container's root"),
        (bound(place, "/" + "x" * 300), "file ?name too long"),
        (bound("x", "/mnt", kind="nosuchfs", options=()), "no file system 'nosuchfs'"),
        (bound(place, "/mnt", options=()), "needs the option bind"),
        (bound(place, "/mnt", kind="", options=()), "mnt"),
        (bound("tmpfs", "/mnt", kind="tmpfs", options=("no-such-option",)), "refuses its options 'no-such-option'"),
        (bound("tmpfs", "/mnt", kind="tmpfs", options=("size=much",)), "refuses its options 'size=much'"),
        (bound(place, "/mnt", kind="ext4", options=()), "block device required"),
    )
    for mount, words in mounts:
        # the one before it is no error, and not what is told
        spec = structs.replace(room.spec(room.process("true")), mounts=(bound(place, "/good"), mount))
        error = await refusal_of(room, spec)
        assert isinstance(error, InvalidArgument), f"{mount}: {error}"
        assert error.details == {"field": "mounts"}
        assert mount.destination in error.message
        assert error.message.startswith("mount "), error.message
        assert re.search(words, error.message), f"{mount}: {error.message}"


@case("isolation", "kernel")
async def other_fields_that_a_runtime_refuses_are_named(room: Room) -> None:
    base = room.spec(room.process("true"))
    below_a_file = LinuxDevice(path="/etc/passwd/null", type="c", major=1, minor=3)
    for spec, code, field in (
        (structs.replace(base, linux=Linux(devices=(below_a_file,))), "invalid_argument", "linux.devices"),
        (structs.replace(base, linux=Linux(masked_paths=("/etc/passwd/x",))), "invalid_argument", "linux.maskedPaths"),
        (structs.replace(base, root=Root(path="/no/such")), "invalid_argument", "root"),
    ):
        error = await refusal_of(room, spec)
        assert (error.code, error.details) == (code, {"field": field}), error
    await room.idle("c1")
    # a limit over the kernel's own is nobody's to give
    enough, too_many = (POSIXRlimit(type="RLIMIT_NOFILE", soft=count, hard=count) for count in (100, 2**40))
    assert (await room.exec_process("c1", room.process("sh", "-c", "ulimit -n", rlimits=(enough,)))).stdout == b"100\n"
    with pytest.raises(InvalidArgument) as refused:
        await room.engine.exec("c1", room.process("true", rlimits=(too_many,)))
    assert refused.value.details == {"field": "process.rlimits"}
    await room.remove("c1")


USERS = (
    "ln -sf /dev/zero passwd",
    "ln -sf /proc/1/environ passwd",
    "rm passwd; mkfifo passwd",
    "rm passwd; mkdir passwd",
    "ln -sf passwd passwd",
    "head -c 200000 /dev/zero | tr '\\0' a >passwd",
    "printf 'root:x:0:0:root:/ro\\0ot:/bin/sh\\n' >passwd",
    "ln -sf /dev/zero group",
)


def restore(file: Path, text: str) -> None:
    """From outside: where no user can be looked up no exec can."""
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    else:
        file.unlink()
    file.write_text(text)


@case("isolation", "kernel")
async def what_a_container_makes_of_its_users_holds_up_no_exec(room: Room) -> None:
    """It runs, with a HOME that a variable can hold, or it is told at once whose fault it is."""
    await room.idle("c1")
    files = [Path("bundles/c1/rootfs/etc", name) for name in ("passwd", "group")]
    texts = [file.read_text() for file in files]
    for script in USERS:
        assert (await room.exec("c1", "sh", "-c", f"cd /etc; {script}")).code == 0
        refusal: InvalidTransition | None = None
        try:
            found = await room.exec("c1", "sh", "-c", "echo $HOME")
            assert found.stdout in (b"/\n", b"/root\n"), f"{script}: {found}"
        except InvalidTransition as error:
            refusal = error
        if refusal is not None:
            assert room.engine.name == "runc", "others need not look users up"
            assert "its own /etc/" in refusal.message, script
            assert refusal.details == {"state": "no users", "verb": "exec"}, script
        for file, text in zip(files, texts, strict=True):
            restore(file, text)
    await room.remove("c1")


@case("isolation", "kernel")
async def home_is_the_users_own(room: Room) -> None:
    await room.idle("c1")
    line = "web:x:1000:1000::/srv/web:/bin/sh"
    assert (await room.exec("c1", "sh", "-c", f"echo '{line}' >>/etc/passwd")).code == 0
    for user, home in (("", b"/root\n"), ("web", b"/srv/web\n"), ("4000", b"/\n")):
        found = await room.exec_process("c1", room.process("sh", "-c", "echo $HOME", user=user))
        assert found.stdout == home, user
    given = room.process("sh", "-c", "echo $HOME", env=("HOME=/given",))
    assert (await room.exec_process("c1", given)).stdout == b"/given\n"
    await room.remove("c1")


@case("groups", "kernel")
async def an_exec_into_a_container_without_memory_left_names_its_limit(room: Room) -> None:
    await room.started("c1", "sleep", "1000", resources=LinuxResources(memory=LinuxMemory(limit=24 * MIB)))
    await room.exec("c1", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=200")
    # whether the kernel finds a little more for the runtime is chance: then it runs
    for tty in (False, True) * 4:
        refusal: KatrioError | None = None
        try:
            await room.exec_process("c1", room.process("true", tty=tty))
        except KatrioError as error:
            refusal = error
        assert refusal is None or refusal.details == {"field": "memory.limit"}, refusal
    await room.engine.update("c1", LinuxResources(memory=LinuxMemory(limit=256 * MIB)))
    assert (await room.exec("c1", "true")).code == 0
    await room.remove("c1")


@case()
async def a_program_sees_its_terminals_size_at_once(room: Room) -> None:
    await room.idle("c1")
    for _ in range(10):
        found = await room.exec_process("c1", room.process("stty", "size", size=(21, 63)))
        assert found.stdout == b"21 63\r\n"
    await room.remove("c1")
