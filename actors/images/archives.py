"""OCI layouts and `docker save` archives, read into one list of layers with digests.

All content is verified against the digest that names it, documents by size first; anything without a
digest is refused. Unpacking is in `layers`; registries are not supported.
"""

from __future__ import annotations

import gzip
import hashlib
import platform
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, TypeVar, cast

import msgspec
from msgspec import Struct

from actors.errors import InvalidArgument, NotFound, ResourceExhausted, Unsupported
from actors.images.pieces import COPY_BYTES, Piece, broken, regular

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from actors.images.pieces import Stored
    from actors.images.tar import Readable
    from actors.limits import Limits

T = TypeVar("T")

__all__ = ["Archive", "Configuration", "Layer", "decoded", "layer_digests", "open_oci_layout"]

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
_REF_NAME = "org.opencontainers.image.ref.name"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class _Platform(Struct, frozen=True):
    os: str = ""
    architecture: str = ""


class _Descriptor(Struct, frozen=True, rename="camel"):
    digest: str
    size: int | None = None
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


class Configuration(Struct, frozen=True):
    rootfs: _RootFs


@dataclass(frozen=True)
class Layer:
    """`digest` is that of the uncompressed tar; `open` returns the stored bytes, maybe compressed, and verified."""

    digest: str
    open: Callable[[], AbstractContextManager[Stored]]

    @contextmanager
    def unpacked(self) -> Generator[Readable]:
        """The uncompressed tar; its digest is checked at the block's end. Raises: InvalidArgument, Unsupported."""
        with self.open() as stored:
            magic = stored.read(4)
            stored.seek(0)
            if magic == b"\x28\xb5\x2f\xfd":
                raise Unsupported(
                    "image: a layer is compressed by zstd; save the image with gzip or none", field="image"
                )
            # gzip and tar only use `read`
            reader = _Hashing(gzip.GzipFile(fileobj=cast("IO[bytes]", stored)) if magic[:2] == b"\x1f\x8b" else stored)
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
        """Bytes after the end of the tar belong to the digest too, up to some padding."""
        for _ in range(64):
            if not self.read(COPY_BYTES):
                return
        raise InvalidArgument("image: a layer goes on long after its tar's end", field="image")

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


@dataclass(frozen=True)
class Archive:
    """One image: the digest of its configuration (which contains each layer's digest), and its layers, lowest first."""

    digest: str
    layers: tuple[Layer, ...]


def hex_of(digest: str, where: str) -> str:
    found = _DIGEST.match(digest)
    if found is None:
        raise broken(where, f"{digest[:100]!r} is no sha256 digest")
    return found[1]


def decoded(data: bytes, kind: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise broken(where, f"not as it should be: {error}") from error


def layer_digests(config: Configuration, where: str, count: int, limits: Limits) -> list[str]:
    if count > limits.image_layers:
        raise ResourceExhausted(
            f"image {where}: {count} layers, at most {limits.image_layers}", limit=limits.image_layers, field="image"
        )
    found = config.rootfs.diff_ids
    if len(found) != count:
        raise broken(where, f"its configuration names {len(found)} layers, and there are {count}")
    return ["sha256:" + hex_of(digest, where) for digest in found]


class _Blobs:
    """The blobs of one layout, each named by its digest."""

    def __init__(self, root: Path, where: str, limits: Limits, checkpoint: Callable[[], None]) -> None:
        self._root = root
        self._where = where
        self._limits = limits
        self._checkpoint = checkpoint

    @contextmanager
    def _file(self, name: str, *, follow: bool) -> Generator[Piece]:
        with regular(self._root / name, self._where, self._checkpoint, follow=follow) as (file, size):
            yield Piece(file, 0, size, self._where, self._checkpoint)

    def named(self, name: str, kind: type[T]) -> T:
        """A document at the top of the layout. It has no digest, so it must not be a symlink to another place."""
        with self._file(name, follow=False) as file:
            return decoded(file.small(name, self._limits.image_document_bytes), kind, self._where)

    @contextmanager
    def _blob(self, descriptor: _Descriptor) -> Generator[Piece]:
        """The file that a descriptor names; its digest proves the content, wherever a symlink led."""
        digest = hex_of(descriptor.digest, self._where)
        most = self._limits.image_bytes
        with self._file(f"blobs/sha256/{digest}", follow=True) as file:
            if descriptor.size is not None and descriptor.size != file.size:
                raise broken(self._where, f"blob {digest} has {file.size} bytes, and {descriptor.size} are told")
            if file.size > most:
                raise ResourceExhausted(f"image {self._where}: blob {digest} is over {most} bytes", field="image")
            yield file

    def document(self, descriptor: _Descriptor, kind: type[T]) -> T:
        """The document that a descriptor names."""
        with self._blob(descriptor) as file:
            data = file.small(f"blob {descriptor.digest}", self._limits.image_document_bytes)
            self._check(hashlib.sha256(data).hexdigest(), descriptor)
        return decoded(data, kind, self._where)

    @contextmanager
    def layer(self, descriptor: _Descriptor) -> Generator[Stored]:
        """A layer's bytes, verified against the descriptor."""
        with self._blob(descriptor) as file:
            self._check(file.hexdigest(), descriptor)
            yield file

    def _check(self, digest: str, descriptor: _Descriptor) -> None:
        if f"sha256:{digest}" != descriptor.digest:
            raise broken(self._where, f"blob {descriptor.digest} is damaged: its bytes have another digest")


@contextmanager
def open_oci_layout(path: Path, tag: str, limits: Limits, checkpoint: Callable[[], None]) -> Generator[Archive]:
    """The image with that tag in a layout; the only one if `tag` is empty.

    Raises:
        NotFound: no layout, or no such image in it.
        InvalidArgument: malformed, or digests don't match.
    """
    where = f"oci:{path}"
    blobs = _Blobs(path, where, limits, checkpoint)
    blobs.named("oci-layout", _Marker)
    descriptor = _chosen(blobs.named("index.json", _Index).manifests, tag, where)
    # an index may refer to another one; bound the nesting
    for _ in range(4):
        if descriptor.media_type not in _INDEXES:
            break
        descriptor = _for_this_machine(blobs.document(descriptor, _Index).manifests, where)
    manifest = blobs.document(descriptor, _Manifest)
    config = blobs.document(manifest.config, Configuration)
    digests = layer_digests(config, where, len(manifest.layers), limits)
    layers = [
        Layer(digest, partial(blobs.layer, layer)) for digest, layer in zip(digests, manifest.layers, strict=True)
    ]
    yield Archive("sha256:" + hex_of(manifest.config.digest, where), tuple(layers))


def _chosen(manifests: tuple[_Descriptor, ...], tag: str, where: str) -> _Descriptor:
    names = [(entry.annotations or {}).get(_REF_NAME, "") for entry in manifests]
    found = tuple(entry for entry, name in zip(manifests, names, strict=True) if not tag or name == tag)
    if len(found) == 1:
        return found[0]
    if tag and found:
        return _for_this_machine(found, where)
    offered = ", ".join(repr(name[:100]) for name in names[:20] if name) or "images without a name"
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
