"""The container actor: one container, its agent connection, its processes and their output."""

from __future__ import annotations

from actors.container.actor import ContainerActor

__all__ = ["ContainerActor"]
