"""The sandbox's state machine.

For the sandbox actor. Not for its containers: their states are their own.
"""

from __future__ import annotations

from enum import StrEnum

from actors.lifecycle.table import Lifecycle

__all__ = ["SANDBOX", "SandboxEvent", "SandboxState"]


class SandboxState(StrEnum):
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOST = "lost"


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
    verbs={
        "start": frozenset({_S.READY}),
        "create_container": frozenset({_S.RUNNING}),
        # what asks its guest, or changes it
        "check": frozenset({_S.RUNNING}),
        "capabilities": frozenset({_S.RUNNING}),
        "get_guest_details": frozenset({_S.RUNNING}),
        "online_cpu_mem": frozenset({_S.RUNNING}),
        "set_guest_time": frozenset({_S.RUNNING}),
        "reseed_random": frozenset({_S.RUNNING}),
        "copy_file": frozenset({_S.RUNNING}),
        "list_interfaces": frozenset({_S.RUNNING}),
        "update_interface": frozenset({_S.RUNNING}),
        "list_routes": frozenset({_S.RUNNING}),
        "update_routes": frozenset({_S.RUNNING}),
        # what is not connected is disconnected already
        "disconnect": frozenset(_S),
        "stop": frozenset(_S),
        "delete": frozenset({_S.READY, _S.STOPPED, _S.LOST}),
    },
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
