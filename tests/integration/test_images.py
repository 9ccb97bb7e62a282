"""Images as a user names them, down to a real container that runs from one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import open_system
from actors.errors import InvalidArgument
from actors.host.busybox import find_static_busybox
from actors.host.facts import choose_engine, read_facts
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.archives import docker_archive, entry, layer, oci_layout

if TYPE_CHECKING:
    from pathlib import Path

ENGINE, _ = choose_engine(read_facts())
BUSYBOX = find_static_busybox()
UPPER = (entry("etc/.wh.hidden"), entry("etc/mark", b"upper\n"), entry("deep/er/file", b"x"))


@pytest.mark.skipif(ENGINE == "processes" or BUSYBOX is None, reason="plain processes have no images")
@pytest.mark.parametrize("kind", ["oci", "docker-archive", "dir"])
async def test_a_container_runs_from_it(kind: str, tmp_path: Path) -> None:
    image = _image(kind, tmp_path)
    script = "cat /etc/mark /etc/passwd; test -e /etc/hidden && echo seen; echo own >/etc/mark && cat /etc/mark"
    run_dir = str(tmp_path / "r")
    os.mkdir(run_dir, 0o700)
    async with open_system(engine=ENGINE, run_dir=tmp_path / "r") as system:
        box = await system.create_sandbox("box")
        await box.start()
        for number in range(2):
            spec = ContainerSpec(process=ProcessSpec(args=("sh", "-c", script), user="me", cwd="/deep/er"), image=image)
            container = await box.create_container(f"c{number}", spec)
            with trio.fail_after(20):
                await container.start()
                done = await container.init.collect()
            # nobody but root may write there, and what one container writes another does not see
            assert done.stdout == b"upper\nme:x:1000:1000::/:/bin/sh\n", done
        with pytest.raises(InvalidArgument):
            await box.create_container("bad", ContainerSpec(process=ProcessSpec(args=("true",)), image="alpine:latest"))


def _image(kind: str, place: Path) -> str:
    assert BUSYBOX is not None
    lower = layer(
        entry("bin/"),
        entry("bin/busybox", BUSYBOX.read_bytes(), mode=0o755),
        *(entry(f"bin/{name}", kind=b"2", link="/bin/busybox") for name in ("sh", "cat", "test")),
        entry("etc/hidden", b"hidden\n"),
        entry("etc/mark", b"lower\n"),
        entry("etc/passwd", b"me:x:1000:1000::/:/bin/sh\n"),
    )
    if kind == "docker-archive":
        return f"docker-archive:{docker_archive(place / 'a.tar', lower, layer(*UPPER))}"
    path = oci_layout(place / "layout", lower, layer(*UPPER), tag="v1")
    if kind == "oci":
        return f"oci:{path}:v1"
    from actors.host.images import ImageStore

    return f"dir:{ImageStore(place / 'store', None).resolve(f'oci:{path}')}"
