"""The output of `docker save`: a tar with documents, layers, and links between them.

Members are read in place, without unpacking the archive. Layer contents are in `layers`.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING

from msgspec import Struct

from actors.errors import NotFound
from actors.images.archives import Archive, Configuration, Layer, decoded, layer_digests
from actors.images.pieces import Piece, broken, regular
from actors.images.tar import Kind, TarReader

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from actors.images.pieces import Stored
    from actors.limits import Limits

__all__ = ["open_docker_archive"]

# limits of the outer tar: members (layers, their metadata, documents), and links in a chain
_OUTER_ENTRIES, _OUTER_LINKS = 4096, 8
# gzip, bzip2, xz, zstd
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")


class _Saved(Struct, frozen=True, rename="pascal"):
    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...] | None = None


@contextmanager
def open_docker_archive(
    path: Path, reference: str, limits: Limits, checkpoint: Callable[[], None]
) -> Generator[Archive]:
    """The image with that name in an archive of `docker save`; the only one if `reference` is empty.

    Raises:
        NotFound: no archive, or no such image in it.
        InvalidArgument: malformed, or digests don't match.
    """
    where = f"docker-archive:{path}"
    with regular(path, where, checkpoint) as (file, size):
        files = _Members(file, size, where, limits, checkpoint)
        saved = _named(files, reference, where)
        data = files.small(saved.config)
        digest = hashlib.sha256(data).hexdigest()
        stem = os.path.basename(saved.config).removesuffix(".json")
        if re.fullmatch("[0-9a-f]{64}", stem) and stem != digest:
            raise broken(where, f"configuration {stem} is damaged: its bytes have another digest")
        digests = layer_digests(decoded(data, Configuration, where), where, len(saved.layers), limits)
        layers = [Layer(wanted, partial(files.layer, name)) for wanted, name in zip(digests, saved.layers, strict=True)]
        yield Archive(f"sha256:{digest}", tuple(layers))


class _Members:
    """The members of an archive's outer tar, by name."""

    def __init__(self, file: IO[bytes], size: int, where: str, limits: Limits, checkpoint: Callable[[], None]) -> None:
        self._file = file
        self._where = where
        self._limits = limits
        self._checkpoint = checkpoint
        # offset and size of a file's bytes, or a link's target. The last member with a name wins
        self._found: dict[str, tuple[int, int] | str] = {}
        whole = Piece(file, 0, size, where, checkpoint)
        if whole.read(6).startswith(_COMPRESSED):
            raise broken(where, "is compressed as a whole; uncompress it")
        whole.seek(0)
        tar = TarReader(whole, what=f"image {where}", header_bytes=limits.image_header_bytes, skip=whole.skip)
        for count, member in enumerate(tar, 1):
            if count > _OUTER_ENTRIES:
                raise broken(where, f"has over {_OUTER_ENTRIES} entries")
            name = _plain(member.name)
            if member.kind is Kind.FILE:
                if whole.at + member.size > size:
                    raise broken(where, f"is cut short in {name[:200]!r}")
                self._found[name] = whole.at, member.size
            elif member.kind is Kind.SYMLINK:
                self._found[name] = _plain(os.path.join(os.path.dirname(name), member.link))
            elif member.kind is Kind.HARD_LINK:
                self._found[name] = _plain(member.link)

    def open(self, name: str) -> Piece:
        """A regular member, also through links to others (as `docker save` shares equal layers)."""
        found: tuple[int, int] | str | None = _plain(name)
        for _ in range(_OUTER_LINKS):
            if not isinstance(found, str):
                break
            found = self._found.get(found)
        if found is None or isinstance(found, str):
            raise broken(self._where, f"it has no file {name[:200]!r}")
        return Piece(self._file, *found, self._where, self._checkpoint)

    @contextmanager
    def layer(self, name: str) -> Generator[Stored]:
        """A layer's stored bytes; the configuration has the digest of the uncompressed ones."""
        yield self.open(name)

    def small(self, name: str) -> bytes:
        """A whole document."""
        return self.open(name).small(name, self._limits.image_document_bytes)


def _plain(name: str) -> str:
    """The canonical name of a member; names that climb out of the archive match none."""
    return os.path.normpath(name.lstrip("/"))


def _named(files: _Members, reference: str, where: str) -> _Saved:
    entries = decoded(files.small("manifest.json"), tuple[_Saved, ...], where)
    wanted = reference if ":" in reference.rpartition("/")[2] or not reference else f"{reference}:latest"
    found = [entry for entry in entries if not wanted or wanted in (entry.repo_tags or ())]
    if len(found) == 1:
        return found[0]
    names = [tag for entry in entries for tag in entry.repo_tags or ()]
    offered = ", ".join(repr(name[:100]) for name in names[:20]) or "images without a name"
    problem = "no such reference" if reference else f"{len(entries)} images, name one"
    raise NotFound(f"image {where}{':' + reference if reference else ''}: {problem}; it has {offered}", field="image")
