"""The image store: from references to unpacked root directories, and the built-in minimal image.

Used on the host, which passes directories to the guest. The built-in `busybox` root is made from this machine's static
busybox, once per version of that binary; images are unpacked once per digest. Roots are kept in `unpacked`; a
container's writable layer is made by the guest's engine. Registries are not supported.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, NotFound
from actors.images.archives import open_oci_layout
from actors.images.budget import LayerBudget
from actors.images.docker_archive import open_docker_archive
from actors.images.layers import Unpacking
from actors.images.unpacked import Store
from actors.limits import DEFAULT_LIMITS, Limits
from actors.node.busybox import INSTALL, fill_root
from actors.node.copies import check_root
from actors.node.places import default_place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.images.archives import Archive
    from actors.images.unpacked import PartialRoot

__all__ = ["ARCHIVES", "BUSYBOX", "ImageStore", "check_reference", "default_image_root"]

BUSYBOX = "busybox"
# increment when the content of the built root changes, so that old ones are not reused
_ROOT_VERSION = 2
# the same for the way images are unpacked
_UNPACKING = 2
# the kernel's path length, and a name with its tag
_REFERENCE_LENGTH = 4096 + 512
_KINDS = ("dir", "oci", "docker-archive")
# prefixes of references that may need unpacking
ARCHIVES = ("oci:", "docker-archive:")
_ROOT, _LAYOUT, _FILE = "a directory", "an OCI layout", "a file"
# what each kind of reference names, and the name of what was found there instead
_FOUND = {"dir": _ROOT, "oci": _LAYOUT, "docker-archive": _FILE}
_HINTS = {
    _LAYOUT: "a layout is named oci:{path}",
    _FILE: "the file of `docker save` is named docker-archive:{path}, and any other archive is to be unpacked first",
    _ROOT: "the root of a file system is named dir:{path}",
}
_FORMS = "dir:/PATH, oci:/PATH[:TAG], docker-archive:/PATH[:REFERENCE]"


def default_image_root(environment: Mapping[str, str], uid: int) -> Path:
    """`/var/lib/katrio/images` for root; otherwise see `default_place`."""
    return default_place(environment, uid, "images")


def check_reference(image: str) -> Path | None:
    """Check that the referenced file or directory exists, without opening or unpacking; returns an already unpacked root.

    Raises:
        InvalidArgument: not a reference, something of another kind, or not a root (`dir:/proc`).
        NotFound: no such file or directory.
    """
    if image == BUSYBOX:
        return None
    kind, path, _ = _parsed(image)
    found = _found(path)
    if not found:
        missing = "file" if kind == "docker-archive" else "directory"
        raise NotFound(f"image {image!r}: no such {missing}", field="image")
    if found != _FOUND[kind]:
        hint = _HINTS[found].format(path=path)
        raise InvalidArgument(f"image {image!r}: found {found}, expected {_FOUND[kind]}; {hint}", field="image")
    if kind != "dir":
        return None
    root = Path(os.path.realpath(path))
    check_root(root)
    return root


def _found(path: str) -> str:
    """The kind of what is there, by names only; empty if nothing is."""
    if os.path.isdir(path):
        # a root may contain a file of either name; a layout that lost its marker is detected by `open_oci_layout`
        has = [name for name in ("oci-layout", "index.json", "blobs") if os.path.lexists(os.path.join(path, name))]
        return _LAYOUT if len(has) > 1 else _ROOT
    return _FILE if os.path.exists(path) else ""


def _parsed(image: str) -> tuple[str, str, str]:
    """The kind of image, its path, and which image in it. Raises: InvalidArgument."""
    kind, colon, rest = image.partition(":")
    if image.startswith("/"):
        kind, colon, rest = "dir", ":", image
    path, _, name = (rest, "", "") if kind == "dir" else rest.partition(":")
    if not colon or kind not in _KINDS or not path.startswith("/") or ".." in Path(path).parts or not _is_text(image):
        raise InvalidArgument(
            f"image {image[:200]!r}: need {BUSYBOX!r}, an absolute path of an unpacked root, or {_FORMS}",
            field="image",
        )
    return kind, path, name


class ImageStore:
    """Resolves references to directories, below one cache directory of ours."""

    def __init__(
        self,
        root: Path,
        busybox: Path | None,
        limits: Limits = DEFAULT_LIMITS,
        checkpoint: Callable[[], None] = lambda: None,
    ) -> None:
        """`busybox` is the static binary for the built-in root; None if this machine has none.

        `checkpoint` is called repeatedly in long operations; an exception from it aborts them and leaves nothing
        partial.
        """
        self._store = Store(root, limits, checkpoint)
        self._busybox = busybox
        self._limits = limits
        self._checkpoint = checkpoint

    def resolve(self, image: str) -> Path:
        """The unpacked root of `image`. Built or unpacked if necessary, which may take seconds.

        `busybox`; `dir:/path` or `/path`, an unpacked root; `oci:/path[:tag]`, a layout;
        `docker-archive:/path[:reference]`, output of `docker save`.

        Raises:
            NotFound: no such image, file or directory; says what to install or name.
            InvalidArgument: not a reference, a malformed or hostile image, or not a root (`dir:/proc`).
            Unsupported: an unsupported compression or file type.
            ResourceExhausted: it unpacks to more than the limits allow, or the disk or the store is full.
            PermissionDenied: the store can't be written, or others can write to it.
        """
        if image == BUSYBOX:
            return self._built_in()
        root = check_reference(image)
        if root is not None:
            return root
        kind, path, name = _parsed(image)
        opened = open_oci_layout if kind == "oci" else open_docker_archive
        with opened(Path(path), name, self._limits, self._checkpoint) as archive:
            return self._unpacked(archive)

    def _unpacked(self, archive: Archive) -> Path:
        def fill(half: PartialRoot) -> None:
            budget = LayerBudget(self._limits, half.room)
            unpacking = Unpacking(half.root, half.aside, self._limits, budget, self._checkpoint)
            for layer in archive.layers:
                with layer.unpacked() as tar:
                    unpacking.apply(tar)
            unpacking.finish()

        return self._store.made(f"{archive.digest.replace(':', '-')}-{_UNPACKING}", fill)

    def _built_in(self) -> Path:
        busybox = self._busybox
        if busybox is None:
            raise NotFound(f"image {BUSYBOX!r}: no static busybox on this machine; {INSTALL}", field="image")
        try:
            found = busybox.stat()
            digest = _digest(busybox, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
        except OSError as error:
            raise NotFound(f"image {BUSYBOX!r}: {busybox}: {error.strerror}; {INSTALL}", field="image") from error
        return self._store.made(f"{BUSYBOX}-{_ROOT_VERSION}-{digest[:16]}", lambda half: fill_root(half.root, busybox))


def _is_text(image: str) -> bool:
    """Whether the kernel accepts it as a path."""
    try:
        return b"\0" not in os.fsencode(image) and len(image) <= _REFERENCE_LENGTH
    except UnicodeEncodeError:
        return False


@lru_cache(maxsize=8)
def _digest(path: Path, _identity: tuple[int, ...]) -> str:
    """A file's digest; recomputed when the file changes. Called for every container create."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
