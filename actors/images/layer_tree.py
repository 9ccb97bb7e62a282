"""The names of an image while its layers are laid, as a tree in memory.

For `layers`, which keeps it in step with the disk. Not for what lies there already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.images.tar import Member

__all__ = ["Node", "bottom_up"]


class Node:
    """One name below the root. A directory has `children`, a symbolic link its `link`, a file neither."""

    __slots__ = ("children", "layer", "link", "member", "name", "parent", "rid", "touched")

    def __init__(self, parent: Node | None, name: str, layer: int) -> None:
        self.parent = parent
        self.name = name
        # who made it; for a directory also the last layer that named it, that made anything below it, and that
        # took out of it what lower ones had brought
        self.layer = layer
        self.touched = layer
        self.rid = -1
        self.children: dict[str, Node] | None = None
        self.link: str | None = None
        # of a directory that a layer named: its mode, owner and time
        self.member: Member | None = None

    def path(self) -> str:
        """Below the root, as `/a/b`; empty for the root itself."""
        names: list[str] = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return "".join(f"/{name}" for name in reversed(names))


def bottom_up(top: Node) -> Iterator[Node]:
    """It and all below it, what is in a directory before the directory."""
    todo = [(top, False)]
    while todo:
        node, seen = todo.pop()
        if seen or node.children is None:
            yield node
        else:
            todo.append((node, True))
            todo.extend((child, False) for child in node.children.values())
