"""Applies the layers of one image, tars, in order to a directory, and touches nothing outside of it.

Theory of operation. Every byte is hostile; the target is an empty directory that nobody else sees. Everything made so
far is also a tree in memory (`layer_tree`), in which all names are resolved: a symlink leads where it would in the
container, never out of the root, and paths given to the kernel go through real directories only. Each node records the
layer that made it, and each directory the last layer that changed anything below it: so a whiteout hides exactly what
lower layers made, and a directory that was cleared is not scanned again. The cost is linear in the tars' bytes, names
and entries. Only `finish` sets modes, owners and times of directories, which are 0700 and ours until then, so that
later layers can fill read-only ones without root. Modes don't depend on the umask.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument, ResourceExhausted
from actors.images.layer_tree import Node, bottom_up
from actors.images.tar import Kind, TarReader

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from actors.images.budget import LayerBudget
    from actors.images.tar import Member, Readable
    from actors.limits import Limits

__all__ = ["Unpacking"]

_WHITEOUT, _OPAQUE, _AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."
# where aufs keeps files with several hard links, directly below the root
_AUFS_LINKS = ".wh..wh.plnk"
_LINKS, _STEPS, _PATH_BYTES = 40, 256, 4096
_MAX_ID = 2**32 - 2


def _nothing() -> None:
    """The default checkpoint: never cancelled."""


def _refused(name: str, what: str) -> InvalidArgument:
    return InvalidArgument(f"image: entry {name[:200]!r} of a layer has {what}; it is refused", field="image")


class _CheckpointedLayer:
    """A layer with a checkpoint in each read: highly compressed data yields many reads before the tar reader asks again."""

    def __init__(self, layer: Readable, checkpoint: Callable[[], None]) -> None:
        self._layer = layer
        self._checkpoint = checkpoint

    def read(self, size: int = -1, /) -> bytes:
        self._checkpoint()
        return self._layer.read(size)


class Unpacking:
    """Applies layers, lowest first, with `apply`; then call `finish`, once.

    Raises (from both):
        InvalidArgument: a malformed tar, or a refused entry.
        Unsupported: a sparse file.
        ResourceExhausted: the budget, or the disk, is full.
    """

    def __init__(
        self, root: Path, aside: Path, limits: Limits, budget: LayerBudget, checkpoint: Callable[[], None] = _nothing
    ) -> None:
        """`root` is an empty directory; `aside` one beside it, for files that enter the root only by hard links.

        `checkpoint` is called in anything that may take long, and raises to cancel.
        """
        self._disk = str(root)
        self._aside = str(aside)
        self._limits = limits
        self._budget = budget
        self._checkpoint = checkpoint
        self._layer = 0
        self._root = Node(None, "", 0)
        self._root.children = {}
        # aufs' shared files in the present layer: name -> path
        self._shared: dict[str, str] = {}

    def apply(self, layer: Readable) -> None:
        """Apply an uncompressed tar over what is there."""
        self._layer += 1
        checkpointed = _CheckpointedLayer(layer, self._checkpoint)
        tar = TarReader(checkpointed, what="image: a layer", header_bytes=self._limits.image_header_bytes)
        with _reporting_disk_errors():
            for member in tar:
                self._budget.entry(member.size + tar.overhead)
                self._entry(member, tar)
            for path in self._shared.values():
                os.unlink(path)
            self._shared.clear()

    def finish(self) -> None:
        """Set each directory's mode, owner and time; directories that no layer named become root's, 0755."""
        with _reporting_disk_errors():
            for node in bottom_up(self._root):
                if node.children is None:
                    continue
                self._checkpoint()
                path = self._disk + node.path()
                if node.member is None:
                    os.chmod(path, 0o755)
                else:
                    _apply_metadata(path, node.member)

    def _entry(self, member: Member, tar: TarReader) -> None:
        parts = _parts(member.name, member.name)
        if not parts:
            if member.kind is not Kind.DIRECTORY:
                raise _refused(member.name, "no name")
            self._root.member = _unnamed(member)
            return
        if any(part.startswith(_AUFS) for part in parts[:-1]) or (parts[-1].startswith(_AUFS) and parts[-1] != _OPAQUE):
            self._note(parts, member, tar)
            return
        if any(part.startswith(_WHITEOUT) for part in parts[:-1]):
            raise _refused(member.name, "a path through a whiteout")
        if member.kind is Kind.DEVICE and parts[0] == "dev":
            return
        name = parts[-1]
        if name.startswith(_WHITEOUT):
            # does not create parents, or the result would depend on the order of whiteouts
            below = self._walk(parts[:-1], member.name, make=False)
            self._whiteout(below, name, member.name)
            return
        if member.kind not in (Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.HARD_LINK):
            raise _refused(member.name, f"a kind that is no file, directory or link (a {member.kind.value})")
        parent = self._directory(parts[:-1], member.name)
        if member.kind is Kind.HARD_LINK:
            self._hard_link(parent, name, member, len(parts) - 1)
        elif member.kind is Kind.DIRECTORY:
            found = (parent.children or {}).get(name)
            if found is None or found.children is None:
                found = self._make_directory(parent, name)
            found.member = _unnamed(member)
            self._touch(found)
        elif member.kind is Kind.SYMLINK:
            _check_target(member.name, member.link, len(parts) - 1)
            node = self._place(parent, name)
            self._budget.name(len(member.link))
            node.link = member.link
            path = self._disk + node.path()
            os.symlink(member.link, path)
            _own(path, member)
        else:
            _write(self._disk + self._place(parent, name).path(), member, tar)

    def _note(self, parts: list[str], member: Member, tar: TarReader) -> None:
        """Skip aufs' metadata; keep its files with several hard links aside, to be linked to."""
        if len(parts) == 2 and parts[0] == _AUFS_LINKS and member.kind is Kind.FILE:
            path = f"{self._aside}/{len(self._shared)}"
            if parts[1] in self._shared:
                raise _refused(member.name, "a name that was there already")
            self._shared[parts[1]] = path
            _write(path, member, tar)

    def _touch(self, node: Node) -> None:
        """Record that this layer made or named it."""
        node.layer = self._layer
        above: Node | None = node
        while above is not None and above.touched != self._layer:
            above.touched = self._layer
            above = above.parent

    def _place(self, parent: Node, name: str) -> Node:
        """A new node, replacing anything of that name."""
        assert parent.children is not None
        found = parent.children.get(name)
        if found is not None:
            self._remove(found)
        self._budget.name(len(name))
        node = parent.children[name] = Node(parent, name, self._layer)
        node.touched = -1
        self._touch(node)
        return node

    def _make_directory(self, parent: Node, name: str) -> Node:
        node = self._place(parent, name)
        node.children = {}
        os.mkdir(self._disk + node.path(), 0o700)
        return node

    def _remove(self, node: Node) -> None:
        assert node.parent is not None
        assert node.parent.children is not None
        base = len(node.path())
        place = self._disk + node.path()
        for one in bottom_up(node):
            self._checkpoint()
            path = place + one.path()[base:]
            if one.children is None:
                os.unlink(path)
            else:
                os.rmdir(path)
        del node.parent.children[node.name]

    def _directory(self, parts: list[str], entry: str) -> Node:
        """The directory at `parts` as the container resolves it; makes missing ones, and replaces a lower layer's file."""
        found = self._walk(parts, entry, make=True)
        assert found is not None
        return found

    def _walk(self, parts: list[str], entry: str, *, make: bool) -> Node | None:
        todo, node = list(reversed(parts)), self._root
        links = steps = 0
        while todo:
            part = todo.pop()
            steps += 1
            if steps + len(todo) > _STEPS:
                raise _refused(entry, f"a path of over {_STEPS} steps")
            if part == "..":
                node = node.parent or node
                continue
            assert node.children is not None
            child = node.children.get(part)
            if child is None and not make:
                return None
            if child is None or (make and not links and self._is_replaceable(child)):
                self._budget.entry(0)
                child = self._make_directory(node, part)
            if child.link is not None:
                links += 1
                # counted before splitting: a link has up to 2048 components
                steps += child.link.count("/")
                if links > _LINKS or steps > _STEPS:
                    raise _refused(entry, "a path of links that go around in a circle, or on and on")
                node = self._root if child.link.startswith("/") else node
                todo.extend(step for step in reversed(child.link.split("/")) if step not in ("", "."))
            elif child.children is not None:
                node = child
            elif not make:
                return None
            else:
                raise _refused(entry, f"a path through {part[:100]!r}, which is a file")
        return node

    def _is_replaceable(self, node: Node) -> bool:
        """Whether it is a lower layer's file, which is replaced if this layer has something below its name."""
        return node.children is None and node.link is None and node.layer != self._layer

    def _whiteout(self, parent: Node | None, name: str, entry: str) -> None:
        if name == _OPAQUE and parent is not None:
            self._make_opaque(parent)
            return
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in ("", ".", ".."):
            raise _refused(entry, "a whiteout of no name")
        found = parent.children.get(hidden) if parent is not None and parent.children is not None else None
        if found is not None and self._hide(found):
            self._make_opaque(found)

    def _hide(self, node: Node) -> bool:
        """Remove it unless this layer made it or something in it; whether it still exists."""
        if node.touched != self._layer:
            self._remove(node)
            return False
        return True

    def _make_opaque(self, directory: Node) -> None:
        """Remove, at any depth, what lower layers made in it."""
        todo = [directory]
        while todo:
            node = todo.pop()
            if node.children is None or node.opaque_in == self._layer:
                continue
            node.opaque_in = self._layer
            todo.extend(child for child in list(node.children.values()) if self._hide(child))

    def _hard_link(self, parent: Node, name: str, member: Member, depth: int) -> None:
        parts = _parts(member.link, member.name)
        if not parts:
            raise _refused(member.name, "a hard link to the root")
        if parts[0] == _AUFS_LINKS and parts[-1] in self._shared and len(parts) == 2:
            node = self._place(parent, name)
            os.link(self._shared[parts[-1]], self._disk + node.path(), follow_symlinks=False)
            return
        above = self._walk(parts[:-1], member.name, make=False)
        target = None if above is None or above.children is None else above.children.get(parts[-1])
        if target is None or target.children is not None:
            raise _refused(member.name, f"a hard link to {member.link[:200]!r}, which is no file of the image")
        if target.link is not None:
            _check_target(member.name, target.link, depth)
        assert parent.children is not None
        found = parent.children.get(name)
        if found is target:
            self._touch(target)
            return
        ancestor = target.parent
        while ancestor is not None:
            if ancestor is found:
                raise _refused(member.name, "a hard link to what it replaces")
            ancestor = ancestor.parent
        node = self._place(parent, name)
        node.link = target.link
        os.link(self._disk + target.path(), self._disk + node.path(), follow_symlinks=False)


def _unnamed(member: Member) -> Member:
    """A directory's metadata for `finish`, without its name to save memory."""
    return replace(member, name="a directory", link="")


@contextmanager
def _reporting_disk_errors() -> Generator[None]:
    """Map OS errors to errors of the image."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted(f"image: no room to unpack it: {error.strerror}", field="image") from error
        raise InvalidArgument(f"image: a layer can't be unpacked: {error.strerror}", field="image") from error
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"image: a layer has what no file system takes: {error}", field="image") from error


def _parts(path: str, entry: str) -> list[str]:
    """The components of a member's or a hard link's path, relative to the root.

    `..` is resolved lexically, as Docker does, and never above the root.
    """
    if len(os.fsencode(path)) > _PATH_BYTES or "\0" in path:
        raise _refused(entry, "a path that is too long, or has a NUL")
    found: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not found and not path.startswith("/"):
                raise _refused(entry, "a path out of the root")
            del found[-1:]
        elif part not in ("", "."):
            found.append(part)
    return found


def _check_target(entry: str, target: str, depth: int) -> None:
    """An absolute target is relative to the container's root. A relative one must not even try to climb above it."""
    if not target or len(os.fsencode(target)) > _PATH_BYTES or "\0" in target:
        raise _refused(entry, "a link without a proper target")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0 and not target.startswith("/"):
            raise _refused(entry, f"a link out of the root, to {target[:200]!r}")


def _write(path: str, member: Member, tar: TarReader) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        while data := tar.read():
            while data:
                data = data[file.write(data) or 0 :]
    _apply_metadata(path, member)


def _own(path: str, member: Member) -> None:
    if os.geteuid() != 0:
        return
    if not (0 <= member.uid <= _MAX_ID and 0 <= member.gid <= _MAX_ID):
        raise _refused(member.name, f"an owner that is no number of the kernel's ({member.uid}, {member.gid})")
    os.chown(path, member.uid, member.gid, follow_symlinks=False)


def _apply_metadata(path: str, member: Member) -> None:
    """Owner first, since chown clears the set-user-id bit."""
    _own(path, member)
    os.chmod(path, member.mode & 0o7777)
    with suppress(OSError, OverflowError):
        os.utime(path, (member.mtime, member.mtime))
