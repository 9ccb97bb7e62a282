"""The image store: references, digests, and roots that appear whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from actors.errors import InvalidArgument, KatrioError, NotFound
from actors.images.store import ImageStore
from tests.support.archives import blob_of, docker_archive, entry, layer, name_manifest, oci_layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOWER, UPPER = (
    layer(entry("etc/"), entry("etc/a", b"1"), entry("etc/b", b"2")),
    layer(entry("etc/.wh.a"), entry("new", b"3")),
)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "store", None)


def images_of(place: Path) -> list[str]:
    """All that is there beside the store's own lock."""
    return [name for name in (os.listdir(place) if place.exists() else ()) if name != ".lock"]


def text(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("compress", [True, False])
def test_a_layout(store: ImageStore, tmp_path: Path, compress: bool) -> None:
    path = oci_layout(tmp_path / "image", LOWER, UPPER, tag="v1", compress=compress)
    root = store.resolve(f"oci:{path}:v1")
    assert text(root) == {"etc/b": "2", "new": "3"}
    assert store.resolve(f"oci:{path}") == root, "the only one needs no name"
    with pytest.raises(NotFound, match="'v1'"):
        store.resolve(f"oci:{path}:v2")


def test_an_archive(store: ImageStore, tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "image.tar", LOWER, UPPER, tags=("some/thing:latest", "other:1"))
    root = store.resolve(f"docker-archive:{path}")
    assert text(root) == {"etc/b": "2", "new": "3"}
    for reference in ("some/thing", "some/thing:latest", "other:1"):
        assert store.resolve(f"docker-archive:{path}:{reference}") == root
    with pytest.raises(NotFound, match="other:1"):
        store.resolve(f"docker-archive:{path}:third")


def test_the_same_content_is_unpacked_once(store: ImageStore, tmp_path: Path) -> None:
    first = store.resolve(f"oci:{oci_layout(tmp_path / 'one', LOWER)}")
    before = first.stat().st_ino
    assert store.resolve(f"oci:{oci_layout(tmp_path / 'two', LOWER, compress=False)}").stat().st_ino == before
    assert len(images_of(tmp_path / "store")) == 1


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        ("{0}/layout", "named oci:{0}/layout"),
        ("dir:{0}/layout", "named oci:{0}/layout"),
        ("docker-archive:{0}/layout", "named oci:{0}/layout"),
        ("{0}/saved.tar", "named docker-archive:{0}/saved.tar"),
        ("oci:{0}/saved.tar", "named docker-archive:{0}/saved.tar"),
        ("oci:{0}/saved.tar:v1", "named docker-archive:{0}/saved.tar"),
        ("{0}/plain.tar", "any other archive is to be unpacked first"),
        ("oci:{0}/root", "named dir:{0}/root"),
        ("docker-archive:{0}/root:v1", "named dir:{0}/root"),
        ("{0}/none", "no such directory"),
        ("oci:{0}/none", "no such directory"),
        ("docker-archive:{0}/none", "no such file"),
        ("layout", "oci:/PATH"),
        ("alpine:3", "oci:/PATH"),
        ("docker-archive:{0}/plain.tar", "manifest.json"),
    ],
)
def test_what_is_named_as_another_kind_is_told_how_it_is_named(
    store: ImageStore, tmp_path: Path, image: str, hint: str
) -> None:
    oci_layout(tmp_path / "layout", LOWER)
    docker_archive(tmp_path / "saved.tar", LOWER, tags=("v1",))
    (tmp_path / "root").mkdir()
    (tmp_path / "root/index.json").write_text("a web page's")
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        tar.add(tmp_path / "root", "etc")
    with pytest.raises((InvalidArgument, NotFound)) as error:
        store.resolve(image.format(tmp_path))
    assert hint.format(tmp_path) in error.value.message
    assert error.value.details["field"] == "image"
    assert store.resolve(f"{tmp_path}/root") == tmp_path / "root"


def test_directories(store: ImageStore, tmp_path: Path) -> None:
    assert store.resolve(str(tmp_path)) == store.resolve(f"dir:{tmp_path}") == tmp_path.resolve()
    with pytest.raises(NotFound):
        store.resolve("dir:/no/such/root")
    with pytest.raises(NotFound):
        store.resolve("/" + "x" * 300)
    with pytest.raises(NotFound, match="busybox"):
        ImageStore(tmp_path / "store", tmp_path / "gone").resolve("busybox")


@pytest.mark.parametrize("image", ["", "alpine", "dir:relative", "oci:", "oci:x", "docker-archive:x.tar", "http://x/y", "dir:/a/../b", "/a\0b", "oci:/a/../b:c", "/" + "x" * 5000, "/\ud800", "oci:/a:\udfff\ud800"])  # fmt: skip
def test_no_references(store: ImageStore, image: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        store.resolve(image)
    assert error.value.details["field"] == "image"


def damage(kind: str) -> Callable[[Path], None]:
    def flip(path: Path) -> None:
        file = blob_of(path, kind)
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)

    return flip


DAMAGE: dict[str, Callable[[Path], object]] = {
    "manifest": damage("manifest"),
    "configuration": damage("config"),
    "layer": damage("layer"),
    "no layer": lambda path: blob_of(path, "layer").unlink(),
    "no index": lambda path: (path / "index.json").unlink(),
    "index is no JSON": lambda path: (path / "index.json").write_text("{"),
    "index is a list": lambda path: (path / "index.json").write_text("[]"),
    "index is deep": lambda path: (path / "index.json").write_text("[" * 100_000),
    "index is empty": lambda path: (path / "index.json").write_text('{"manifests": []}'),
    "a digest that climbs": lambda path: (path / "index.json").write_text('{"manifests": [{"digest": "sha256:../../x"}]}'),
    "another digest": lambda path: (path / "index.json").write_text('{"manifests": [{"digest": "md5:00"}]}'),
    "no marker": lambda path: (path / "oci-layout").unlink(),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_broken_layout_leaves_nothing(store: ImageStore, tmp_path: Path, name: str) -> None:
    path = oci_layout(tmp_path / "image", LOWER)
    DAMAGE[name](path)
    with pytest.raises(KatrioError) as error:
        store.resolve(f"oci:{path}")
    assert error.value.code in ("invalid_argument", "not_found")
    assert error.value.details["field"] == "image"
    assert images_of(tmp_path / "store") == []


def test_a_layer_that_unpacks_to_something_else(store: ImageStore, tmp_path: Path) -> None:
    path = oci_layout(tmp_path / "image", LOWER)
    other = gzip.compress(UPPER)
    digest = hashlib.sha256(other).hexdigest()
    (path / "blobs/sha256" / digest).write_bytes(other)
    manifest = json.loads(blob_of(path, "manifest").read_text())
    manifest["layers"][0] = {"digest": f"sha256:{digest}"}
    name_manifest(path, manifest)
    with pytest.raises(InvalidArgument, match="damaged"):
        store.resolve(f"oci:{path}")
