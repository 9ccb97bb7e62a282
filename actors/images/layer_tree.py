"""The names of an image during unpacking, as a tree in memory.

Kept in step with the disk by `layers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.images.tar import Member

__all__ = ["Node", "bottom_up"]


class Node:
    """One name below the root. A directory has `children`, a symlink its `link`, a file neither."""

    __slots__ = ("children", "layer", "link", "member", "name", "opaque_in", "parent", "touched")

    def __init__(self, parent: Node | None, name: str, layer: int) -> None:
        self.parent = parent
        self.name = name
        # the layer that made it; for a directory also the last layer that named it, that changed anything below it, and
        # that removed what lower layers had made in it
        self.layer = layer
        self.touched = layer
        self.opaque_in = -1
        self.children: dict[str, Node] | None = None
        self.link: str | None = None
        # for a directory named by a layer: its mode, owner and time
        self.member: Member | None = None

    def path(self) -> str:
        """The path below the root, as `/a/b`; empty for the root itself."""
        names: list[str] = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return "".join(f"/{name}" for name in reversed(names))


def bottom_up(top: Node) -> Iterator[Node]:
    """The node and all below it, children before their directory."""
    todo = [(top, False)]
    while todo:
        node, seen = todo.pop()
        if seen or node.children is None:
            yield node
        else:
            todo.append((node, True))
            todo.extend((child, False) for child in node.children.values())
