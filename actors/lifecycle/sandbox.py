"""The sandbox's state machine.

Used by the sandbox actor. Containers have states of their own.
"""

from __future__ import annotations

from enum import StrEnum

from actors.lifecycle.states import SandboxState
from actors.lifecycle.table import Lifecycle, states_of
from actors.wire.sandbox_verbs import SANDBOX_VERBS

__all__ = ["SANDBOX", "SandboxEvent", "SandboxState"]


class SandboxEvent(StrEnum):
    START = "start"
    STARTED = "started"
    START_FAILED = "start_failed"
    STOP = "stop"
    STOPPED = "stopped"
    LOST = "lost"


_S, _E = SandboxState, SandboxEvent

_STOP = "stop it first, or delete it with force"

SANDBOX = Lifecycle(
    noun="sandbox",
    transitions={
        (_S.READY, _E.START): _S.STARTING,
        (_S.STARTING, _E.STARTED): _S.RUNNING,
        (_S.STARTING, _E.START_FAILED): _S.STOPPED,
        (_S.READY, _E.STOP): _S.STOPPING,
        (_S.STARTING, _E.STOP): _S.STOPPING,
        (_S.RUNNING, _E.STOP): _S.STOPPING,
        (_S.LOST, _E.STOP): _S.STOPPING,
        (_S.STOPPING, _E.STOPPED): _S.STOPPED,
        (_S.STARTING, _E.LOST): _S.LOST,
        (_S.RUNNING, _E.LOST): _S.LOST,
    },
    verbs=states_of(SANDBOX_VERBS, SandboxState),
    advice={
        _S.READY: "start it first",
        _S.STARTING: "wait for the answer to its start",
        _S.RUNNING: "stop it first",
        _S.STOPPING: "delete it and create it again",
        _S.STOPPED: "delete it and create it again",
        _S.LOST: "delete it and create it again",
    },
    instead={
        ("start", _S.STARTING): "it is being started already",
        ("start", _S.RUNNING): "it has been started already",
        ("delete", _S.STARTING): _STOP,
        ("delete", _S.RUNNING): _STOP,
        ("delete", _S.STOPPING): "wait for the answer to its stop",
    },
    lost=_S.LOST,
)
