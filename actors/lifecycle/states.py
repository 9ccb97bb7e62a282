"""The states of a sandbox and of a container.

Used by the transition tables beside this file, and by the verbs' declarations (`actors.wire.verbs`), which list the
states in which each verb is allowed.
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
