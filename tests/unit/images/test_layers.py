"""Layers laid over a directory: what is right is there, what is hostile is refused, and nothing is touched outside."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.errors import InvalidArgument, KatrioError, ResourceExhausted, Unsupported
from actors.images.budget import LayerBudget
from actors.images.layers import Unpacking
from actors.limits import DEFAULT_LIMITS
from tests.support.archives import Entry, entry, layer

if TYPE_CHECKING:
    import random

    from actors.limits import Limits

SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def laid(root: Path, limits: Limits, *layers: bytes) -> None:
    """All of them in `root`, which is made."""
    aside = root.parent / "aside"
    for place in (root, aside):
        place.mkdir(exist_ok=True)
    try:
        unpacking = Unpacking(root, aside, limits, LayerBudget(limits))
        for data in layers:
            unpacking.apply(io.BytesIO(data))
        unpacking.finish()
        assert os.listdir(aside) == []
    finally:
        shutil.rmtree(aside)


def applied(root: Path, *layers: bytes) -> dict[str, str]:
    """What is there afterwards: path -> content, `-> target` of a link, or `/`."""
    laid(root, DEFAULT_LIMITS, *layers)
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        else:
            found[name] = "/" if path.is_dir() else path.read_text()
    return found


def test_files_directories_and_links(tmp_path: Path) -> None:
    found = applied(
        tmp_path / "root",
        layer(
            entry("./"),
            entry("./bin/"),
            entry("bin/tool", b"tool", mode=0o4755),
            entry("bin/same", kind=HARD, link="bin/tool"),
            entry("bin/absolute", kind=SYM, link="/bin/tool"),
            entry("usr/lib/deep/up", kind=SYM, link="../../share"),
            entry("no/parents/named", b"x"),
        ),
    )
    assert found["bin/tool"] == found["bin/same"] == "tool"
    assert found["bin/absolute"] == "-> /bin/tool"
    assert found["usr/lib/deep/up"] == "-> ../../share"
    assert found["no/parents/named"] == "x"
    tool = (tmp_path / "root/bin/tool").stat()
    assert tool.st_mode & 0o7777 == 0o4755
    assert tool.st_nlink == 2


def test_a_read_only_directory_can_be_filled(tmp_path: Path) -> None:
    info, _ = entry("shut/")
    info.mode = 0o555
    assert applied(tmp_path / "root", layer((info, b""), entry("shut/in", b"x")))["shut/in"] == "x"
    assert (tmp_path / "root/shut").stat().st_mode & 0o777 == 0o555


LOWER = layer(
    entry("a/"), entry("a/one", b"1"), entry("a/two", b"2"), entry("a/b/"), entry("a/b/three", b"3"), entry("f", b"f")
)


@pytest.mark.parametrize(
    ("upper", "gone", "there"),
    [
        ([entry("a/.wh.one")], {"a/one"}, {"a/two": "2", "f": "f"}),
        ([entry("a/.wh.b")], {"a/b", "a/b/three"}, {"a/one": "1"}),
        ([entry(".wh.f"), entry(".wh.nothing")], {"f"}, {"a/one": "1"}),
        ([entry("a/.wh..wh..opq")], {"a/one", "a/two", "a/b"}, {"a": "/", "f": "f"}),
        # of the same layer, whichever comes first, only lower ones are hidden
        ([entry("a/new", b"n"), entry("a/.wh..wh..opq")], {"a/one", "a/b"}, {"a/new": "n"}),
        ([entry("a/.wh..wh..opq"), entry("a/new", b"n")], {"a/one", "a/b"}, {"a/new": "n"}),
        ([entry("a/b/new", b"n"), entry("a/.wh..wh..opq")], {"a/one", "a/b/three"}, {"a/b/new": "n"}),
        ([entry("a/one", b"again"), entry("a/.wh.one")], set[str](), {"a/one": "again"}),
        ([entry("a/.wh.b"), entry("a/b", b"a file now")], {"a/b/three"}, {"a/b": "a file now"}),
        ([entry("a/.wh..wh.plnk")], set[str](), {"a/one": "1"}),
        # kinds change
        ([entry("a/b", b"file")], {"a/b/three"}, {"a/b": "file"}),
        ([entry("f/"), entry("f/in", b"x")], set[str](), {"f/in": "x"}),
        ([entry("a", kind=SYM, link="elsewhere")], {"a/one"}, {"a": "-> elsewhere"}),
    ],
)
def test_a_layer_over_another(tmp_path: Path, upper: list[Entry], gone: set[str], there: dict[str, str]) -> None:
    found = applied(tmp_path / "root", LOWER, layer(*upper))
    assert not gone & set(found)
    assert there.items() <= found.items()
    assert not any(".wh." in name for name in found)


def test_links_of_a_lower_layer_lead_within_the_root(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    lower = layer(
        entry("usr/lib/"),
        entry("lib", kind=SYM, link="usr/lib"),
        entry("out", kind=SYM, link=str(outside)),
        entry("up", kind=SYM, link="/../../../../usr/lib"),
    )
    upper = layer(entry("lib/x", b"x"), entry("out/y", b"y"), entry("up/z", b"z"))
    found = applied(tmp_path / "root", lower, upper)
    assert found["usr/lib/x"] == "x"
    assert found["usr/lib/z"] == "z"
    assert list(outside.iterdir()) == []
    assert found[str(outside / "y").lstrip("/")] == "y"


# what else is refused: `test_odd_images`
HOSTILE = {
    "dots": [entry("../x", b"x")],
    "dots in between": [entry("a/../../x", b"x")],
    "dots as a directory": [entry("..//")],
    "whiteout through dots": [entry("a/../../.wh.x")],
    "hard link out": [entry("a", kind=HARD, link="../../etc/passwd")],
    "hard link, absolute": [entry("a", kind=HARD, link="/etc/passwd")],
    "hard link to a link out": [entry("s", kind=SYM, link="/etc/passwd"), entry("a", kind=HARD, link="s/x")],
    "aufs's files that are not there": [entry("a", kind=HARD, link=".wh..wh.plnk/../../etc/passwd")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_entries_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_text("mine")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("mine")
    with pytest.raises(InvalidArgument) as error:
        applied(tmp_path / "root", layer(*HOSTILE[name]))
    assert error.value.details["field"] == "image"
    assert (tmp_path / "x").read_text() == (tmp_path / "etc/passwd").read_text() == "mine"
    assert (tmp_path / "etc/passwd").stat().st_nlink == 1


def test_a_file_written_through_a_link_replaces_the_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    victim = str(tmp_path / "victim")
    found = applied(tmp_path / "root", layer(entry("a", kind=SYM, link=victim)), layer(entry("a", b"theirs")))
    assert found["a"] == "theirs"
    assert Path(victim).read_text() == "mine"


def test_bounds(tmp_path: Path) -> None:
    data = layer(*(entry(f"f{number}", b"12345678") for number in range(10)))
    for bounds in ({"image_entries": 9}, {"image_bytes": 79}):
        with pytest.raises(ResourceExhausted):
            laid(tmp_path / str(bounds), dataclasses.replace(DEFAULT_LIMITS, **bounds), data)
    exact = dataclasses.replace(DEFAULT_LIMITS, image_entries=10, image_bytes=80)
    laid(tmp_path / "exact", exact, data)


def test_what_is_held_in_memory_or_read_over_is_bounded(tmp_path: Path) -> None:
    names = layer(*(entry(f"{number:03}", kind=SYM, link="x" * 97) for number in range(10)))
    laid(tmp_path / "exact", dataclasses.replace(DEFAULT_LIMITS, image_name_bytes=1000), names)
    with pytest.raises(ResourceExhausted, match="names"):
        laid(tmp_path / "less", dataclasses.replace(DEFAULT_LIMITS, image_name_bytes=999), names)
    # a header before a member is read, and so it counts
    long = layer(entry("y" * 150, b""))
    laid(tmp_path / "header", dataclasses.replace(DEFAULT_LIMITS, image_bytes=1024), long)
    with pytest.raises(ResourceExhausted):
        laid(tmp_path / "no header", dataclasses.replace(DEFAULT_LIMITS, image_bytes=600), long)
    # links that lead to links, each of many steps
    chain = [entry(f"l{number}", kind=SYM, link="a/../" * 100 + f"l{number + 1}") for number in range(39)]
    with pytest.raises(InvalidArgument, match="256 steps"):
        laid(tmp_path / "chain", DEFAULT_LIMITS, layer(entry("a/"), *chain), layer(entry("l0/x", b"")))


def test_directories_that_no_entry_names_count(tmp_path: Path) -> None:
    data = layer(entry("x/" * 20 + "y", b""))
    laid(tmp_path / "exact", dataclasses.replace(DEFAULT_LIMITS, image_entries=21), data)
    with pytest.raises(ResourceExhausted):
        laid(tmp_path / "less", dataclasses.replace(DEFAULT_LIMITS, image_entries=20), data)


PLACES = ["a", "a/b", "a/b/c", "a/d", "e", "e/f"]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(PLACES), st.booleans()), st.sets(st.sampled_from([*PLACES, "", "opaque a"])),
            st.randoms(use_true_random=False),
        ),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_layers_lie_as_an_overlay_of_them_would(drawn: list[tuple[dict[str, bool], set[str], random.Random]]) -> None:
    """Whatever the order of a layer's entries: its whiteouts hide what lower ones brought, its files and directories stay."""
    wanted: dict[str, str] = {}
    layers: list[bytes] = []
    for number, (members, hidden, rng) in enumerate(drawn):
        # True is a directory; what has something below it is one
        kinds = {
            name: is_dir or any(other.startswith(f"{name}/") for other in members) for name, is_dir in members.items()
        }
        opaque = [name.removeprefix("opaque ") for name in hidden if name in ("", "opaque a")]
        gone = [name for name in hidden if name not in ("", "opaque a")]
        entries = [entry(f"{name}/") if is_dir else entry(name, f"{number}".encode()) for name, is_dir in kinds.items()]
        entries += [entry(f"{os.path.dirname(name)}/.wh.{os.path.basename(name)}".lstrip("/"), b"") for name in gone]
        entries += [entry(f"{name}/.wh..wh..opq".lstrip("/"), b"") for name in opaque]
        named = {**kinds, **{parent: True for name in kinds for parent in parents_of(name)}}
        covered = [name for name, is_dir in named.items() if not is_dir]
        lower = {
            name: content
            for name, content in wanted.items()
            if not any(name == one or name.startswith(f"{one}/") for one in (*gone, *covered))
            and not any(name.startswith(f"{one}/" if one else "") for one in opaque)
            and not (name in named and content != "/")
        }
        wanted = lower | {name: "/" if is_dir else str(number) for name, is_dir in named.items()}
        rng.shuffle(entries)
        layers.append(layer(*entries))
    with tempfile.TemporaryDirectory(prefix="kt-layers-") as place:
        assert applied(Path(place, "root"), *layers) == dict(sorted(wanted.items()))


def parents_of(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


NAMES = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", ".wh.a", ".wh..", ".wh...", ".wh..wh..opq", "etc"]),
    min_size=1,
    max_size=4,
).map("/".join)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, SYM, HARD, tarfile.CHRTYPE, tarfile.FIFOTYPE])


@settings(max_examples=150)
@given(st.lists(st.tuples(NAMES, KINDS, NAMES, st.booleans()), max_size=8), st.integers(0, 7))
def test_nothing_is_touched_outside(members: list[tuple[str, bytes, str, bool]], split: int) -> None:
    entries: list[Entry] = []
    for name, kind, link, absolute in members:
        info, data = entry(
            ("/" if absolute else "") + (name or "x"), b"data" if kind == tarfile.REGTYPE else b"", kind=kind
        )
        info.type, info.linkname = kind, ("/" if absolute else "") + link
        entries.append((info, data))
    with tempfile.TemporaryDirectory(prefix="kt-layers-") as place:
        root = Path(place, "in/root")
        root.mkdir(parents=True)
        outside = Path(place, "in/a")
        outside.write_text("mine")
        for part in (entries[:split], entries[split:]):
            try:
                applied(root, layer(*part))
            except KatrioError:
                break
        assert outside.read_text() == "mine"
        assert outside.stat().st_nlink == 1
        assert sorted(os.listdir(Path(place, "in"))) == ["a", "root"]
        assert os.listdir(place) == ["in"]


@settings(max_examples=100)
@given(st.integers(0, 4000), st.binary(min_size=1, max_size=16))
def test_damaged_bytes_are_an_error_or_a_tar(position: int, damage: bytes) -> None:
    data = bytearray(layer(entry("d/"), entry("d/a", b"x" * 600), entry("l", kind=SYM, link="d/a")))
    position %= len(data)
    data[position : position + len(damage)] = damage
    with tempfile.TemporaryDirectory(prefix="kt-layers-") as place:
        with suppress(InvalidArgument, Unsupported):
            laid(Path(place, "root"), DEFAULT_LIMITS, bytes(data))
        assert os.listdir(place) == ["root"]
