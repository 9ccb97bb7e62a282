"""Images as others write them: OCI layouts and `docker save` archives, read into one list of layers with digests.

For the image store. What is read is checked against the digest that names it, documents by size first; what names no
digest is refused. Not for unpacking (`layers`), and not for registries.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import re
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from actors.errors import InvalidArgument, NotFound, ResourceExhausted, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from io import BufferedReader
    from pathlib import Path

    from actors.host.layers import Readable
    from actors.limits import Limits

T = TypeVar("T")

__all__ = ["Archive", "Layer", "open_docker_archive", "open_oci_layout"]

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
_REF_NAME = "org.opencontainers.image.ref.name"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_COPY_BYTES = 1024 * 1024
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
# members of an archive's outer tar: layers, their notes, documents
_OUTER_ENTRIES = 4096


class _Platform(Struct, frozen=True):
    os: str = ""
    architecture: str = ""


class _Descriptor(Struct, frozen=True, rename="camel"):
    digest: str
    media_type: str = ""
    annotations: dict[str, str] | None = None
    platform: _Platform | None = None


class _Marker(Struct, frozen=True, rename="camel"):
    image_layout_version: str


class _Index(Struct, frozen=True):
    manifests: tuple[_Descriptor, ...]


class _Manifest(Struct, frozen=True):
    config: _Descriptor
    layers: tuple[_Descriptor, ...]


class _RootFs(Struct, frozen=True):
    diff_ids: tuple[str, ...]


class _Configuration(Struct, frozen=True):
    rootfs: _RootFs


class _Saved(Struct, frozen=True, rename="pascal"):
    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Layer:
    """`digest` is that of the uncompressed tar; `open` gives the bytes as stored, maybe compressed, and verified."""

    digest: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    @contextmanager
    def unpacked(self) -> Generator[Readable]:
        """The uncompressed tar, whose digest is checked when the block ends. Raises: InvalidArgument, Unsupported."""
        with self.open() as stored:
            magic = stored.read(4)
            stored.seek(0)
            if magic == b"\x28\xb5\x2f\xfd":
                raise Unsupported(
                    "image: a layer is compressed by zstd; save the image with gzip or none", field="image"
                )
            reader = _Hashing(gzip.GzipFile(fileobj=stored) if magic[:2] == b"\x1f\x8b" else stored)
            yield reader
            reader.drain()
        if reader.digest != self.digest:
            raise InvalidArgument(
                f"image: a layer unpacks to {reader.digest}, and the configuration says {self.digest}; it is damaged",
                field="image",
            )


class _Hashing:
    def __init__(self, source: Readable) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._source.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidArgument(f"image: a layer's compression is broken: {error}", field="image") from error
        self._hash.update(data)
        return data

    def drain(self) -> None:
        """What stands after the end of the tar counts too, up to some padding."""
        for _ in range(64):
            if not self.read(_COPY_BYTES):
                return
        raise InvalidArgument("image: a layer goes on long after its tar's end", field="image")

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


@dataclass(frozen=True)
class Archive:
    """One image: the digest of its configuration (which names each layer by its own), and its layers, lowest first."""

    digest: str
    layers: tuple[Layer, ...]


def _broken(where: str, what: str) -> InvalidArgument:
    return InvalidArgument(f"image {where}: {what}", field="image")


def _hex(digest: str, where: str) -> str:
    found = _DIGEST.match(digest)
    if found is None:
        raise _broken(where, f"{digest[:100]!r} is no sha256 digest")
    return found[1]


def _decoded(data: bytes, kind: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _broken(where, f"not as it should be: {error}") from error


def _layer_digests(config: _Configuration, where: str, count: int, limits: Limits) -> list[str]:
    if count > limits.image_layers:
        raise ResourceExhausted(
            f"image {where}: {count} layers, at most {limits.image_layers}", limit=limits.image_layers, field="image"
        )
    found = config.rootfs.diff_ids
    if len(found) != count:
        raise _broken(where, f"its configuration names {len(found)} layers, and there are {count}")
    return ["sha256:" + _hex(digest, where) for digest in found]


# OCI layout


class _Blobs:
    """The blobs of one layout, each named by the digest of its bytes."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self._root = root
        self._limits = limits

    def file(self, name: str, where: str) -> BufferedReader:
        """A regular file right in the layout."""
        try:
            descriptor = os.open(self._root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(f"image {where}: {name}: {error.strerror}", field="image") from error
        return os.fdopen(descriptor, "rb")

    def small(self, name: str, where: str) -> bytes:
        """A whole document. Raises: ResourceExhausted over the bound."""
        with self.file(name, where) as file:
            data = file.read(self._limits.image_document_bytes + 1)
        if len(data) > self._limits.image_document_bytes:
            raise ResourceExhausted(
                f"image {where}: {name} is over {self._limits.image_document_bytes} bytes", field="image"
            )
        return data

    def document(self, descriptor: _Descriptor, kind: type[T], where: str) -> T:
        """The document that a descriptor names."""
        digest = _hex(descriptor.digest, where)
        data = self.small(f"blobs/sha256/{digest}", where)
        if hashlib.sha256(data).hexdigest() != digest:
            raise _broken(where, f"blob {digest} is damaged: its bytes have another digest")
        return _decoded(data, kind, where)

    @contextmanager
    def layer(self, descriptor: _Descriptor, where: str) -> Generator[IO[bytes]]:
        """A layer's bytes, after they were found to be those that the descriptor names."""
        digest = _hex(descriptor.digest, where)
        with self.file(f"blobs/sha256/{digest}", where) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise _broken(where, f"blob {digest} is damaged: its bytes have another digest")
            file.seek(0)
            yield file


@contextmanager
def open_oci_layout(path: Path, tag: str, limits: Limits) -> Generator[Archive]:
    """The image of that name in a layout; the only one when `tag` is empty.

    Raises:
        NotFound: no layout, or no such image in it.
        InvalidArgument: broken, or it does not match its digests.
    """
    where = f"oci:{path}"
    blobs = _Blobs(path, limits)
    _decoded(blobs.small("oci-layout", where), _Marker, where)
    descriptor = _chosen(_decoded(blobs.small("index.json", where), _Index, where).manifests, tag, where)
    # an index may lead to another one, but not for ever
    for _ in range(4):
        if descriptor.media_type not in _INDEXES:
            break
        descriptor = _for_this_machine(blobs.document(descriptor, _Index, where).manifests, where)
    manifest = blobs.document(descriptor, _Manifest, where)
    config = blobs.document(manifest.config, _Configuration, where)
    digests = _layer_digests(config, where, len(manifest.layers), limits)
    layers = [
        Layer(digest, partial(blobs.layer, layer, where))
        for digest, layer in zip(digests, manifest.layers, strict=True)
    ]
    yield Archive("sha256:" + _hex(manifest.config.digest, where), tuple(layers))


def _chosen(manifests: tuple[_Descriptor, ...], tag: str, where: str) -> _Descriptor:
    names = [(entry.annotations or {}).get(_REF_NAME, "") for entry in manifests]
    found = tuple(entry for entry, name in zip(manifests, names, strict=True) if not tag or name == tag)
    if len(found) == 1:
        return found[0]
    if tag and found:
        return _for_this_machine(found, where)
    offered = ", ".join(repr(name) for name in names[:20] if name) or "images without a name"
    problem = "no such tag" if tag else f"{len(manifests)} images, name one"
    raise NotFound(f"image {where}{':' + tag if tag else ''}: {problem}; it has {offered}", field="image")


def _for_this_machine(manifests: tuple[_Descriptor, ...], where: str) -> _Descriptor:
    machine = platform.machine()
    wanted = _Platform("linux", _MACHINES.get(machine, machine))
    for entry in manifests:
        if entry.platform is not None and (entry.platform.os, entry.platform.architecture) == (
            wanted.os,
            wanted.architecture,
        ):
            return entry
    if len(manifests) == 1:
        return manifests[0]
    raise NotFound(
        f"image {where}: none of its {len(manifests)} variants is for linux/{wanted.architecture}", field="image"
    )


# docker save


@contextmanager
def open_docker_archive(path: Path, reference: str, limits: Limits) -> Generator[Archive]:
    """The image of that name in an archive of `docker save`; the only one when `reference` is empty.

    Raises:
        NotFound: no archive, or no such image in it.
        InvalidArgument: broken, or it does not match its digests.
    """
    where = f"docker-archive:{path}"
    try:
        archive = tarfile.open(path, "r:")  # noqa: SIM115  # closed below
    except FileNotFoundError:
        raise NotFound(f"image {where}: no such file", field="image") from None
    except (tarfile.TarError, OSError) as error:
        raise _broken(where, f"is no uncompressed tar ({error}); gunzip it when it is compressed") from error
    with archive:
        files = _Members(archive, where, limits)
        saved = _named(files, reference, where)
        data = files.small(saved.config)
        digest = hashlib.sha256(data).hexdigest()
        stem = os.path.basename(saved.config).removesuffix(".json")
        if re.fullmatch("[0-9a-f]{64}", stem) and stem != digest:
            raise _broken(where, f"configuration {stem} is damaged: its bytes have another digest")
        digests = _layer_digests(_decoded(data, _Configuration, where), where, len(saved.layers), limits)
        layers = [Layer(wanted, partial(files.open, name)) for wanted, name in zip(digests, saved.layers, strict=True)]
        yield Archive(f"sha256:{digest}", tuple(layers))


class _Members:
    def __init__(self, archive: tarfile.TarFile, where: str, limits: Limits) -> None:
        self._archive = archive
        self._where = where
        self._limits = limits
        try:
            for count, info in enumerate(archive, 1):
                if info.size < 0 or count > _OUTER_ENTRIES:
                    raise _broken(where, f"over {_OUTER_ENTRIES} entries, or one of a negative size")
        except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
            raise _broken(where, f"is no proper tar: {error}") from error

    def open(self, name: str) -> IO[bytes]:
        """A regular member, also through a link to another one (as `docker save` shares equal layers)."""
        try:
            found = self._archive.extractfile(name)
        except (KeyError, tarfile.TarError, RecursionError):
            found = None
        if found is None:
            raise _broken(self._where, f"it has no file {name[:200]!r}")
        return found

    def small(self, name: str) -> bytes:
        """A whole document."""
        with self.open(name) as file:
            data = file.read(self._limits.image_document_bytes + 1)
        if len(data) > self._limits.image_document_bytes:
            raise ResourceExhausted(
                f"image {self._where}: {name[:200]} is over {self._limits.image_document_bytes} bytes", field="image"
            )
        return data


def _named(files: _Members, reference: str, where: str) -> _Saved:
    entries = _decoded(files.small("manifest.json"), tuple[_Saved, ...], where)
    wanted = reference if ":" in reference.rpartition("/")[2] or not reference else f"{reference}:latest"
    found = [entry for entry in entries if not wanted or wanted in (entry.repo_tags or ())]
    if len(found) == 1:
        return found[0]
    names = [tag for entry in entries for tag in entry.repo_tags or ()]
    offered = ", ".join(repr(name) for name in names[:20]) or "images without a name"
    problem = "no such reference" if reference else f"{len(entries)} images, name one"
    raise NotFound(f"image {where}{':' + reference if reference else ''}: {problem}; it has {offered}", field="image")
