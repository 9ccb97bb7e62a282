"""The engine port's cases of programs that are there and that the kernel does not execute; see `engine_body`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from actors.errors import InvalidArgument
from actors.schemas.oci import Mount
from tests.support.engine_body import made_directory
from tests.support.engine_cases import case
from tests.support.rooms import outcome

if TYPE_CHECKING:
    from tests.support.rooms import Room

__all__: list[str] = []

NO_PROGRAMS = r"""
printf '#!/no/such\n' >interpreter
printf '#! /etc \n' >directory
printf '#!\n' >nobody
printf 'hello\n' >text
: >empty
printf '\177ELF' >broken
printf '#!%s/itself\n' "$PWD" >itself
printf '#!%s/interpreter\n' "$PWD" >another
chmod 755 interpreter directory nobody text empty broken itself another
mkdir folder
"""


@case()
async def what_the_kernel_does_not_execute(room: Room) -> None:
    await room.idle("c1")
    place = str(Path.cwd()) if room.engine.name == "processes" else "/tmp"
    assert (await room.exec_process("c1", room.process("sh", "-c", NO_PROGRAMS, cwd=place))).code == 0
    names = ("interpreter", "directory", "nobody", "text", "empty", "broken", "itself", "another", "folder")
    for name in names:
        for tty in (False, True):
            with pytest.raises(InvalidArgument) as error:
                await room.engine.exec("c1", room.process(f"{place}/{name}", tty=tty))
            assert error.value.details["field"] == "args", error.value.message
    assert (await room.exec("c1", "echo", "on")).stdout == b"on\n"
    await room.remove("c1")


@case("isolation", "kernel")
async def an_init_that_the_kernel_does_not_execute(room: Room) -> None:
    """What can be seen is refused at its creation; the rest the kernel says at its start, and never the runtime's own way."""
    given = made_directory("given")
    (given / "script").write_text("#!/no/such\n")
    (given / "script").chmod(0o755)
    spec = room.spec(room.process("/given/script"))
    mounts = (Mount(destination="/given", source=str(given), type="bind", options=("bind", "ro")),)
    with pytest.raises(InvalidArgument, match="its interpreter '/no/such' is no executable"):
        await room.engine.create("c1", structs.replace(spec, mounts=mounts))
    await room.idle("c2")
    for tty in (False, True):
        too_long = room.process("true", "x" * 200_000, tty=tty)
        with pytest.raises(InvalidArgument, match="argument list too long"):
            await room.engine.exec("c2", too_long)
        process = await room.engine.create("c1", room.spec(too_long))
        with pytest.raises(InvalidArgument, match="argument list too long"):
            await room.engine.start("c1")
        found = await outcome(process)
        assert (found.stdout, found.stderr, found.code) == (b"", b"", 126)
        await room.remove("c1")
    await room.remove("c2")
