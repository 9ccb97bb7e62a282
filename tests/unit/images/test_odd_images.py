"""Odd images: for each, whether it is taken, and as what. `docs/images.md` has the same rows."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import re
import socket
import stat
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.errors import InvalidArgument, KatrioError, ResourceExhausted, Unsupported
from actors.images.store import ImageStore
from actors.limits import DEFAULT_LIMITS
from tests.support.archives import Entry, blob_of, docker_archive, entry, layer, name_manifest, oci_layout

if TYPE_CHECKING:
    from collections.abc import Callable

SYM, HARD, XHD, XGL = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.XHDTYPE, tarfile.XGLTYPE
ROOT = os.geteuid() == 0
PAGE = Path(__file__).parents[3] / "docs/images.md"


def special(name: str, kind: bytes) -> Entry:
    return entry(name, kind=kind)


def spoiled(data: bytes, position: int, damage: bytes) -> bytes:
    return data[:position] + damage + data[position + len(damage) :]


def record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length += 1
    return str(length).encode() + body


def header(name: str, kind: bytes, data: bytes) -> bytes:
    """A header with data of its own, as PAX and GNU have before a member."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def pax(*records: bytes, kind: bytes = XHD) -> bytes:
    return header("PaxHeader", kind, b"".join(records))


THREE = layer(entry("one", b"1"), entry("two", b"2"), entry("three", b"3"))
ONE = layer(entry("a", b"1"))
GNU_ONE = entry("a", b"1")[0].tobuf(tarfile.GNU_FORMAT) + b"1" + bytes(511)
END = bytes(1024)
WITH_SIZE = entry("a")[0]
WITH_SIZE.size = -512

Lay = list[bytes]
# what the root then has: a path with the content of a file, `/` for a directory, `-> TARGET` for a link
TAKEN: dict[str, tuple[Lay, dict[str, str]]] = {
    "an absolute name": ([layer(entry("/a", b"1"), entry("//b/c", b"2"))], {"a": "1", "b": "/", "b/c": "2"}),
    "an absolute hard link": ([layer(entry("a", b"1"), entry("b", kind=HARD, link="/a"))], {"a": "1", "b": "1"}),
    "`..` in a name that stays in the root": (
        [layer(entry("x/../a", b"1"), entry("/../b", b"2"))],
        {"a": "1", "b": "2"},
    ),
    "a file that becomes a directory in a later layer": (
        [layer(entry("lib", b"1")), layer(entry("lib/a", b"2"))],
        {"lib": "/", "lib/a": "2"},
    ),
    "a path through a link of a lower layer": (
        [layer(entry("usr/lib/"), entry("lib", kind=SYM, link="usr/lib")), layer(entry("lib/a", b"1"))],
        {"usr": "/", "usr/lib": "/", "lib": "-> usr/lib", "usr/lib/a": "1"},
    ),
    "an absolute link": ([layer(entry("a", kind=SYM, link="/etc/../x"))], {"a": "-> /etc/../x"}),
    "a hard link to a symbolic link": (
        [layer(entry("s", kind=SYM, link="x"), entry("a", kind=HARD, link="s"))],
        {"s": "-> x", "a": "-> x"},
    ),
    "a device below /dev": ([layer(special("dev/null", tarfile.CHRTYPE), entry("dev/x/"))], {"dev": "/", "dev/x": "/"}),
    "a name that comes twice": ([layer(entry("a", b"1"), entry("a", b"2"))], {"a": "2"}),
    "directories that no entry names": ([layer(entry("a/b/c", b"1"))], {"a": "/", "a/b": "/", "a/b/c": "1"}),
    "a directory that nobody may write, with more in a later layer": (
        [layer(entry("d/", mode=0o555), entry("d/a", b"1")), layer(entry("d/b", b"2"), entry("d/.wh.a"))],
        {"d": "/", "d/b": "2"},
    ),
    "a whiteout of what is not there": ([layer(entry(".wh.a"), entry("b/.wh.c"))], {}),
    "aufs's own notes": (
        [
            layer(
                entry(".wh..wh.aufs", b""),
                entry(".wh..wh.orph/"),
                entry(".wh..wh.plnk/"),
                entry(".wh..wh.plnk/7.8", b"x"),
                entry("a", kind=HARD, link=".wh..wh.plnk/7.8"),
                entry("b", kind=HARD, link="/.wh..wh.plnk/7.8"),
                entry("d/.wh..wh.more", b""),
            )
        ],
        {"a": "x", "b": "x"},
    ),
    "a global PAX header": ([pax(record("path", "evil"), kind=XGL) + ONE], {"a": "1"}),
    "extended attributes": ([pax(record("SCHILY.xattr.security.capability", "x")) + ONE], {"a": "1"}),
    "a name of PAX or GNU tar, longer than a header's": (
        [pax(record("path", "p/" * 60 + "x")) + GNU_ONE + header("././@LongLink", b"L", b"l" * 150 + b"\0") + GNU_ONE],
        {"/".join("p" * depth): "/" for depth in range(1, 61)} | {"p/" * 60 + "x": "1", "l" * 150: "1"},
    ),
    "no empty blocks at the end": ([GNU_ONE], {"a": "1"}),
    "the last block not filled up": ([GNU_ONE[:513]], {"a": "1"}),
    "bytes after the end": ([GNU_ONE + END + b"more" * 999], {"a": "1"}),
    "no entries": ([END], {}),
}
REFUSED: dict[str, Lay] = {
    "`..` in a name that leaves the root": [layer(entry("a/../../x", b"1"))],
    "a path through a file of the same layer": [layer(entry("a", b""), entry("a/x", b""))],
    "links in a circle": [
        layer(entry("a", kind=SYM, link="b"), entry("b", kind=SYM, link="a")),
        layer(entry("a/x", b"")),
    ],
    "a link that climbs over the root": [layer(entry("a/b", kind=SYM, link="../../etc"))],
    "a link to nowhere": [layer(entry("a", kind=SYM, link=""))],
    "a hard link to a directory, or to what is not there": [layer(entry("d/"), entry("a", kind=HARD, link="d"))],
    "a hard link to what it replaces": [layer(entry("d/a", b"1"), entry("d", kind=HARD, link="d/a"))],
    "a device elsewhere": [layer(special("null", tarfile.CHRTYPE))],
    "a pipe": [layer(special("dev/pipe", tarfile.FIFOTYPE))],
    "a kind that nobody knows": [layer(special("a", b"Z"))],
    "a whiteout of no name": [layer(entry("a/.wh...", b""))],
    "a path through a whiteout": [layer(entry("a/.wh.b/c", b""))],
    "a header that is broken": [spoiled(THREE, 1024 + 148, b"0000000\0")],
    "a header that is cut": [THREE[: 1024 + 100]],
    "a file that is cut": [layer(entry("a", b"x" * 2000))[:1500]],
    "an empty block in between": [GNU_ONE + bytes(512) + GNU_ONE + END],
    "a negative size": [WITH_SIZE.tobuf(tarfile.GNU_FORMAT) + END],
    "a negative size by PAX": [pax(record("size", "-512")) + ONE],
    "a number that is none": [pax(record("uid", "0x10")) + ONE],
    "a PAX header that is no list of records": [pax(b"12 path=a\n") + ONE],
    "a name with a NUL": [pax(record("path", "a\0b")) + ONE],
    "headers of over 1 MiB before one member": [header("h", XGL, bytes(2 * 1024 * 1024)) + ONE],
    "a path of over 4096 bytes or 256 steps": [layer(entry("x/" * 300 + "y", b""))],
    "a part of a path with over 255 bytes": [layer(entry("x" * 256, b""))],
}  # fmt: skip
UNSUPPORTED: dict[str, Lay] = {
    "a sparse file": [pax(record("GNU.sparse.major", "1"), record("GNU.sparse.minor", "0")) + ONE],
    "a layer compressed by zstd": [bytes.fromhex("28b52ffd") + bytes(600)],
}


def link_blob(path: Path) -> None:
    file = blob_of(path, "layer")
    file.rename(path.parent / "elsewhere")
    file.symlink_to(path.parent / "elsewhere")


def link_index(path: Path) -> None:
    (path / "index.json").rename(path.parent / "elsewhere")
    (path / "index.json").symlink_to(path.parent / "elsewhere")


def put(file: Callable[[Path], Path], make: Callable[[Path], object]) -> Callable[[Path], object]:
    def replace(path: Path) -> object:
        file(path).unlink()
        return make(file(path))

    return replace


def longer(path: Path) -> None:
    with blob_of(path, "layer").open("ab") as file:
        file.write(bytes(8))


def untold(path: Path, size: int) -> None:
    """A layer of so many bytes, in a manifest that tells no size."""
    os.truncate(blob_of(path, "layer"), size)
    manifest = json.loads(blob_of(path, "manifest").read_text())
    del manifest["layers"][0]["size"]
    name_manifest(path, manifest)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)
        listener.bind(path.name)
        os.chdir(here)


# what is done to a layout before it is asked for
LAYOUTS_TAKEN: dict[str, Callable[[Path], object]] = {"a blob that is a link": link_blob}
LAYOUTS_REFUSED: dict[str, Callable[[Path], object]] = {
    "an index that is a link": link_index,
    "a blob of another size than told": longer,
    "an index that is a pipe": put(lambda path: path / "index.json", os.mkfifo),
    "a marker that is a device": put(lambda path: path / "oci-layout", lambda file: file.symlink_to("/dev/zero")),
    "a blob that is a pipe": put(lambda path: blob_of(path, "layer"), os.mkfifo),
    "a blob that is a device": put(lambda path: blob_of(path, "layer"), lambda file: file.symlink_to("/dev/zero")),
    "a blob that is a directory": put(lambda path: blob_of(path, "config"), os.mkdir),
    "a blob that is a link to itself": put(lambda path: blob_of(path, "config"), lambda file: file.symlink_to(file)),
    "an index of over 4 MiB": lambda path: os.truncate(path / "index.json", 1 << 40),
    "a blob of over 8 GiB": lambda path: untold(path, 1 << 40),
}
FILES_REFUSED: dict[str, Callable[[Path], object]] = {
    "an archive that is a pipe": os.mkfifo,
    "an archive that is a socket": bind,
    "an archive that is a device": lambda path: path.symlink_to("/dev/zero"),
    "an archive that is a directory": os.mkdir,
    "an archive compressed as a whole": lambda path: path.write_bytes(gzip.compress(THREE)),
    "an archive that is cut": lambda path: os.truncate(docker_archive(path, THREE), 2000),
    "an archive of other things": lambda path: path.write_bytes(THREE),
}


def found_below(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        link = f"-> {os.readlink(path)}" if path.is_symlink() else ""
        found[name] = link or ("/" if path.is_dir() else path.read_text())
    return found


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "store", None)


def unpacked(store: ImageStore, place: Path, layers: Lay) -> Path:
    """From an archive, as that has the bytes as they are."""
    return store.resolve(f"docker-archive:{docker_archive(place / 'image', *layers)}")


def nothing_left(place: Path) -> bool:
    return not place.exists() or set(os.listdir(place)) <= {".lock"}


@pytest.mark.parametrize("name", TAKEN)
def test_taken(store: ImageStore, tmp_path: Path, name: str) -> None:
    layers, wanted = TAKEN[name]
    assert found_below(unpacked(store, tmp_path, layers)) == dict(sorted(wanted.items()))


@pytest.mark.parametrize("name", [*REFUSED, *UNSUPPORTED])
def test_refused(store: ImageStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument if name in REFUSED else Unsupported) as error:
        unpacked(store, tmp_path, REFUSED.get(name) or UNSUPPORTED[name])
    assert error.value.details["field"] == "image"
    assert len(str(error.value)) < 600
    assert nothing_left(tmp_path / "store")


@pytest.mark.skipif(not ROOT, reason="an owner is given by root alone")
def test_an_owner_that_is_none(store: ImageStore, tmp_path: Path) -> None:
    info, data = entry("a", b"1")
    info.uid = 2**32 - 1
    with pytest.raises(InvalidArgument, match="owner"):
        unpacked(store, tmp_path, [layer((info, data))])


@pytest.mark.parametrize("name", [*LAYOUTS_TAKEN, *LAYOUTS_REFUSED])
def test_layouts(store: ImageStore, tmp_path: Path, name: str) -> None:
    path = oci_layout(tmp_path / "image", THREE)
    if name in LAYOUTS_TAKEN:
        LAYOUTS_TAKEN[name](path)
        assert found_below(store.resolve(f"oci:{path}")) == {"one": "1", "two": "2", "three": "3"}
        return
    LAYOUTS_REFUSED[name](path)
    with pytest.raises((InvalidArgument, ResourceExhausted)) as error:
        store.resolve(f"oci:{path}")
    assert error.value.details["field"] == "image"
    assert nothing_left(tmp_path / "store")


@pytest.mark.parametrize("name", FILES_REFUSED)
def test_files(store: ImageStore, tmp_path: Path, name: str) -> None:
    FILES_REFUSED[name](tmp_path / "file")
    with pytest.raises(InvalidArgument) as error:
        store.resolve(f"docker-archive:{tmp_path / 'file'}")
    assert error.value.details["field"] == "image"


def test_modes_are_the_images_own(store: ImageStore, tmp_path: Path) -> None:
    root = entry("./", mode=0o1777)
    root[0].uid = root[0].gid = 1000
    data = layer(root, entry("d/", mode=0o2750), entry("d/f", b"", mode=0o4755), entry("implied/x", b"", mode=0o600))
    wanted = {"": 0o1777, "d": 0o2750, "d/f": 0o4755, "implied": 0o755, "implied/x": 0o600}
    for mask in (0o000, 0o022, 0o077):
        before = os.umask(mask)
        try:
            found = ImageStore(tmp_path / f"store{mask}", None).resolve(f"oci:{oci_layout(tmp_path / f'{mask}', data)}")
        finally:
            os.umask(before)
        assert {name: stat.S_IMODE((found / name).stat().st_mode) for name in wanted} == wanted
        assert found.stat().st_uid == (1000 if ROOT else os.geteuid())
        # programs in it that run as root are not for this machine's users
        assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700


def test_costs_do_not_multiply(tmp_path: Path) -> None:
    """Twice the entries take twice the steps, whatever is hidden, named again, or long."""

    def steps(size: int) -> int:
        names = range(size)
        layers = [
            layer(entry("p/"), *(entry(f"p/{n}/") for n in names)),
            layer(entry("q/"), *(entry(f"q/{n}") for n in names), *(entry(f"p/.wh.{n}") for n in names)),
            layer(*(entry(f"q/{n}") for n in names), *(entry("q/.wh..wh..opq") for _ in names)),
            layer(*(entry("q/x"), entry(".wh.q"))[:] * size),
            pax(b"1" * size * 100, kind=XGL) + END,
        ]
        count = 0

        def counted() -> None:
            nonlocal count
            count += 1

        path = oci_layout(tmp_path / f"{size}", *layers)
        ImageStore(tmp_path / f"store{size}", None, checkpoint=counted).resolve(f"oci:{path}")
        return count

    assert steps(80) < 2.5 * steps(40)


def test_bounds_of_an_archive(tmp_path: Path) -> None:
    bomb = gzip.compress(layer(entry("zeros", bytes(4 * 1024 * 1024))))
    small = ImageStore(tmp_path / "store", None, dataclasses.replace(DEFAULT_LIMITS, image_bytes=1024 * 1024))
    with pytest.raises(ResourceExhausted):
        small.resolve(f"docker-archive:{docker_archive(tmp_path / 'c.tar', bomb)}")
    assert nothing_left(tmp_path / "store")


def test_the_page_has_the_same_rows() -> None:
    rows = dict(re.findall(r"^\| ([^|]+?) \| (taken|left out|refused|unsupported)\b", PAGE.read_text(), re.MULTILINE))
    taken = {*TAKEN, *LAYOUTS_TAKEN}
    assert {name for name, how in rows.items() if how in ("taken", "left out")} == taken
    assert {name for name, how in rows.items() if how == "refused"} == {*REFUSED, *LAYOUTS_REFUSED, *FILES_REFUSED}
    assert {name for name, how in rows.items() if how == "unsupported"} == {*UNSUPPORTED}


def test_archives_with_links_between_layers(store: ImageStore, tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "a.tar", ONE, ONE)
    with tarfile.open(path) as archive:
        members = [(info, file.read() if (file := archive.extractfile(info)) else b"") for info in archive]
    members = [entry(info.name, kind=SYM, link="../0/layer.tar") if info.name == "1/layer.tar" else (info, data)
               for info, data in members]  # fmt: skip
    path.write_bytes(layer(*members))
    assert found_below(store.resolve(f"docker-archive:{path}")) == {"a": "1"}
    circle = [entry(info.name, kind=SYM, link="layer.tar") if info.name == "1/layer.tar" else (info, data)
              for info, data in members]  # fmt: skip
    path.write_bytes(layer(*circle))
    with pytest.raises(KatrioError, match="no file"):
        ImageStore(tmp_path / "other", None).resolve(f"docker-archive:{path}")


def test_the_reader_reads_what_tarfile_writes(tmp_path: Path) -> None:
    """In each of its formats, with names that need more than a header."""
    for number, form in enumerate((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        buffer = io.BytesIO()
        long = "d" * 60 + "/" + "f" * 80 if form == tarfile.USTAR_FORMAT else "\u00fc" * 100
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            for info, data in (entry(long, b"1"), entry("plain", b"2" * 1000), entry("link", kind=SYM, link="x" * 90)):
                info.mtime = 1_700_000_000
                archive.addfile(info, io.BytesIO(data))
        root = ImageStore(tmp_path / f"s{number}", None).resolve(
            f"oci:{oci_layout(tmp_path / f'{number}', buffer.getvalue())}"
        )
        assert (root / long).read_text() == "1"
        assert (root / "plain").read_text() == "2" * 1000
        assert os.readlink(root / "link") == "x" * 90
        assert (root / "plain").stat().st_mtime == 1_700_000_000
