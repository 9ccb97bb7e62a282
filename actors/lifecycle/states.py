"""The states of a sandbox and of a container.

For the transition tables beside this file, and for the table of verbs (`actors.wire.verbs`), which says in which of them each
verb is allowed. Not for how one state becomes another.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ContainerState", "SandboxState"]


class SandboxState(StrEnum):
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOST = "lost"


class ContainerState(StrEnum):
    CREATING = "creating"
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOST = "lost"
