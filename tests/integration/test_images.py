"""Images as a user names them, down to a real container that runs from one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import trio

from actors.api import open_system
from actors.errors import Expired, InvalidArgument, InvalidTransition
from actors.node.busybox import find_static_busybox
from actors.node.facts import choose_engine, read_facts
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.archives import blob_of, docker_archive, entry, layer, name_manifest, oci_layout

if TYPE_CHECKING:
    from pathlib import Path

    from actors.handles import SandboxHandle

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


@pytest.mark.skipif(ENGINE == "processes" or BUSYBOX is None, reason="plain processes have no images")
async def test_an_image_that_takes_long_ends_with_its_caller(tmp_path: Path) -> None:
    """A layer of 4 GiB, sparse: to find that its digest is wrong takes seconds of any processor."""
    path = oci_layout(tmp_path / "layout", layer(entry("a", b"1")))
    manifest = json.loads(blob_of(path, "manifest").read_text())
    del manifest["layers"][0]["size"]
    name_manifest(path, manifest)
    os.truncate(blob_of(path, "layer"), 4 * 1024**3)
    slow = ContainerSpec(process=ProcessSpec(args=("true",)), image=f"oci:{path}")
    os.mkdir(str(tmp_path / "r"), 0o700)
    async with open_system(engine=ENGINE, run_dir=tmp_path / "r") as system:
        box = await system.create_sandbox("box")
        await box.start()
        with pytest.raises(Expired, match="nothing was made"):
            await box.create_container("one", slow, timeout=0.3)
        container = await box.create_container("one", ContainerSpec(process=ProcessSpec(args=("true",))))
        assert (await container.info()).state == "ready"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_refused, box, slow)
            await trio.sleep(0.3)
            await box.stop()


async def _refused(box: SandboxHandle, spec: ContainerSpec) -> None:
    with pytest.raises(InvalidTransition):
        await box.create_container("two", spec, timeout=None)


@pytest.mark.skipif(ENGINE == "processes" or BUSYBOX is None, reason="plain processes have no images")
async def test_an_images_own_root_is_the_containers(tmp_path: Path) -> None:
    assert BUSYBOX is not None
    root = entry("./", mode=0o1777)
    root[0].uid = root[0].gid = 1000
    data = layer(root, entry("bin/busybox", BUSYBOX.read_bytes(), mode=0o755))
    image = f"oci:{oci_layout(tmp_path / 'layout', data)}"
    os.mkdir(str(tmp_path / "r"), 0o700)
    async with open_system(engine=ENGINE, run_dir=tmp_path / "r") as system:
        box = await system.create_sandbox("box")
        await box.start()
        process = ProcessSpec(args=("/bin/busybox", "stat", "-c", "%a %u %g", "/"))
        container = await box.create_container("one", ContainerSpec(process=process, image=image))
        await container.start()
        assert (await container.init.collect()).stdout == b"1777 1000 1000\n"


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
    from actors.images.store import ImageStore

    return f"dir:{ImageStore(place / 'store', None).resolve(f'oci:{path}')}"
