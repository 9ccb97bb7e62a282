"""The container's state machine.

Used by the host's container actor and the guest's model. The rules are virtcontainers' state checks, plus the transient
states that concurrent callers need.
"""

from __future__ import annotations

from enum import StrEnum

from actors.lifecycle.states import ContainerState
from actors.lifecycle.table import Lifecycle, states_of
from actors.wire.verbs import CONTAINER_VERBS

__all__ = ["CONTAINER", "ContainerEvent", "ContainerState"]


class ContainerEvent(StrEnum):
    CREATED = "created"
    START = "start"
    STARTED = "started"
    START_FAILED = "start_failed"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOP = "stop"
    EXITED = "exited"
    LOST = "lost"


_S, _E = ContainerState, ContainerEvent

_STOP = "stop it first, or delete it with force"
_NOT_PAUSED = "it is not paused, so there is nothing to do"

CONTAINER = Lifecycle(
    noun="container",
    transitions={
        (_S.CREATING, _E.CREATED): _S.READY,
        (_S.READY, _E.START): _S.STARTING,
        (_S.STARTING, _E.STARTED): _S.RUNNING,
        (_S.STARTING, _E.START_FAILED): _S.READY,
        (_S.RUNNING, _E.PAUSED): _S.PAUSED,
        (_S.PAUSED, _E.RESUMED): _S.RUNNING,
        (_S.READY, _E.STOP): _S.STOPPING,
        (_S.STARTING, _E.STOP): _S.STOPPING,
        (_S.RUNNING, _E.STOP): _S.STOPPING,
        (_S.PAUSED, _E.STOP): _S.STOPPING,
        # the init may end in any state in which it exists, even a frozen one, by SIGKILL
        (_S.READY, _E.EXITED): _S.STOPPED,
        (_S.STARTING, _E.EXITED): _S.STOPPED,
        (_S.RUNNING, _E.EXITED): _S.STOPPED,
        (_S.PAUSED, _E.EXITED): _S.STOPPED,
        (_S.STOPPING, _E.EXITED): _S.STOPPED,
        (_S.CREATING, _E.LOST): _S.LOST,
        (_S.READY, _E.LOST): _S.LOST,
        (_S.STARTING, _E.LOST): _S.LOST,
        (_S.RUNNING, _E.LOST): _S.LOST,
        (_S.PAUSED, _E.LOST): _S.LOST,
        (_S.STOPPING, _E.LOST): _S.LOST,
    },
    verbs=states_of(CONTAINER_VERBS, ContainerState),
    advice={
        _S.CREATING: "wait for the answer to its create",
        _S.READY: "start it first",
        _S.STARTING: "wait for the answer to its start",
        _S.RUNNING: "stop it first",
        _S.PAUSED: "resume it first",
        _S.STOPPING: "delete it and create it again",
        _S.STOPPED: "delete it and create it again",
        _S.LOST: "delete it and create it in a new sandbox",
    },
    instead={
        ("start", _S.STARTING): "it is being started already",
        ("start", _S.RUNNING): "it has been started already",
        ("start", _S.PAUSED): "it has been started already; resume lets it run on",
        ("resume", _S.READY): _NOT_PAUSED,
        ("resume", _S.STARTING): _NOT_PAUSED,
        ("resume", _S.RUNNING): _NOT_PAUSED,
        ("pause", _S.PAUSED): "it is paused already",
        ("delete", _S.READY): _STOP,
        ("delete", _S.STARTING): _STOP,
        ("delete", _S.RUNNING): _STOP,
        ("delete", _S.PAUSED): _STOP,
        ("delete", _S.STOPPING): "wait for the answer to its stop",
    },
    lost=_S.LOST,
)
