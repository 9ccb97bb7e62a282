"""A system on a real agent's double at a unix socket, with the real image store: what the agent does to roots stays with it.

Its containers run nothing, so it costs a copy of the built-in image for each.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import open_system
from actors.errors import AlreadyExists, InvalidArgument
from actors.images.store import BUSYBOX, ImageStore, default_image_root
from actors.node.busybox import find_static_busybox
from actors.node.roots import default_roots
from actors.schemas.oci import User
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.command_line import katrio
from tests.support.realagents import KINDS, RealAgent
from transports.stream import serve_unix

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from actors.handles import SystemHandle

pytestmark = pytest.mark.skipif(find_static_busybox() is None, reason="no static busybox for the built-in image")
SLEEP = ContainerSpec(process=ProcessSpec(args=("sleep", "60"), user="nobody"))


def stored() -> set[str]:
    """All that the built-in image has."""
    root = ImageStore(default_image_root(os.environ, os.geteuid()), find_static_busybox()).resolve(BUSYBOX)
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def copies() -> list[Path]:
    place = default_roots(os.environ, os.geteuid())
    return sorted(place.iterdir()) if place.is_dir() else []


@asynccontextmanager
async def system_on(real: RealAgent, directory: Path) -> AsyncGenerator[SystemHandle]:
    await trio.Path(directory).chmod(0o700)
    path = str(directory / "agent.sock")
    dialect = {"Dialect": str(real.kind.dialect)}
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_unix, path, real.server().serve_stream)
        async with open_system(config={"Address": f"unix://{path}", **dialect}) as system:
            yield system
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["today", "1.x"])
async def test_each_container_has_a_root_of_its_own_and_the_store_is_nobody_s_to_spoil(
    kind: str, tmp_path: Path
) -> None:
    before = stored()
    real = RealAgent(KINDS[kind])
    with trio.fail_after(120):
        async with system_on(real, tmp_path) as system:
            box = await system.create_sandbox("box")
            await box.start()
            one, two = [await box.create_container(name, SLEEP) for name in ("one", "two")]
            roots = dict(real.roots)
            assert len(set(roots.values())) == 2
            assert all((root / "bin" / "sh").exists() for root in roots.values())
            assert real.users["one"] == User(uid=65534, gid=65534), "by the image's own passwd"
            await one.start()
            with pytest.raises(InvalidArgument) as caught:
                await one.exec("e1", ProcessSpec(args=("id",), user="nosuch"))
            assert caught.value.details["field"] == "process.user"
            # the worst that is known of a root in an agent's hands
            for found in sorted(roots["one"].rglob("*"), reverse=True):
                found.rmdir() if found.is_dir() and not found.is_symlink() else found.unlink()
            assert stored() == before
            assert (roots["two"] / "bin" / "sh").exists()
            await one.delete(force=True)
            await two.delete(force=True)
            await box.delete(force=True)
    assert stored() == before
    assert copies() == []
    assert not real.sandbox


async def test_calls_by_hand_spare_the_store_name_users_by_number_and_make_no_second_sandbox(tmp_path: Path) -> None:
    before = stored()
    real = RealAgent(KINDS["today"])
    await trio.Path(tmp_path).chmod(0o700)
    address = f"unix://{tmp_path}/agent.sock"

    async def made(*words: str) -> tuple[int, str]:
        done = await trio.to_thread.run_sync(lambda: katrio("call", "--address", address, *words))
        return done.returncode, done.stderr

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_unix, f"{tmp_path}/agent.sock", real.server().serve_stream)
            assert await made("CreateSandbox") == (0, "")
            code, said = await made("CreateSandbox")
            assert (code, "a Kata agent has a sandbox already" in said) == (1, True)
            create = ("CreateContainer", "container_id=one", "image=busybox")
            assert await made(*create, "user=nobody") == (0, "")
            assert real.users["one"] == User(uid=65534, gid=65534)
            code, said = await made(*create, "user=nosuch")
            assert (code, "user 'nosuch'" in said) == (1, True)
            code, said = await made("ExecProcess", "container_id=one", "args=id", "user=nobody")
            assert (code, "write uid:gid" in said) == (1, True)
            assert await made("ExecProcess", "container_id=one", "exec_id=e1", "args=id", "user=7:8") == (0, "")
            assert real.users["one/e1"] == User(uid=7, gid=8)
            assert real.asked.count("CreateSandbox") == 1
            # who wants to see it: sent as it was written, it harms the copy alone
            code, said = await made("--no-defaults", "CreateSandbox", "sandbox_id=again")
            assert (code, "EACCES" in said) == (1, True)
            assert not (real.roots["one"] / "bin").exists()
            assert stored() == before
            assert await made("RemoveContainer", "container_id=one") == (0, "")
            nursery.cancel_scope.cancel()
    assert copies() == []


async def test_somebody_else_s_sandbox_is_left_alone(tmp_path: Path) -> None:
    real = RealAgent(KINDS["today"], sandbox=True)
    with trio.fail_after(120):
        async with system_on(real, tmp_path) as system:
            box = await system.create_sandbox("box")
            with pytest.raises(AlreadyExists, match="which somebody else made"):
                await box.start()
            await box.delete(force=True)
    assert real.sandbox
    assert set(real.asked) <= {"Version", "GetGuestDetails", "StatsContainer", "GetVolumeStats"}
