"""The container's state machine.

For the container actor on the host and the machine of the guest. Not for the processes inside: see `process`.
Source of the rules: virtcontainers' state checks, with the transient states that concurrent callers need.
"""

from __future__ import annotations

from enum import StrEnum

from actors.lifecycle.table import Lifecycle

__all__ = ["CONTAINER", "ContainerEvent", "ContainerState"]


class ContainerState(StrEnum):
    CREATING = "creating"
    READY = "ready"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOST = "lost"


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
_LIVE = frozenset({_S.READY, _S.RUNNING, _S.PAUSED})

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
        # init may end in any state in which it exists, a frozen one by SIGKILL
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
    verbs={
        "start": frozenset({_S.READY}),
        "pause": frozenset({_S.RUNNING}),
        "resume": frozenset({_S.PAUSED}),
        # OCI allows an exec in a created container; in a paused one the child would be born frozen
        "exec": frozenset({_S.READY, _S.RUNNING}),
        # the guest forgets a stopped container, and a frozen one's control group can be read and written
        "update": _LIVE,
        "list_processes": _LIVE | {_S.STARTING, _S.STOPPING},
        "stats": _LIVE | {_S.STARTING, _S.STOPPING},
        "signal": _LIVE | {_S.STARTING, _S.STOPPING},
        "winsize": _LIVE | {_S.STARTING},
        "write_stdin": _LIVE | {_S.STARTING, _S.STOPPING},
        "close_stdin": frozenset(_S) - {_S.CREATING, _S.LOST},
        "stop": _LIVE | {_S.STARTING, _S.STOPPING, _S.STOPPED},
        "delete": frozenset({_S.STOPPED, _S.LOST}),
        # what is not connected is disconnected already
        "disconnect": frozenset(_S),
    },
    advice={
        _S.PAUSED: "resume it first",
        _S.STOPPED: "create it again",
        _S.LOST: "the guest is gone: delete it and create it in a new sandbox",
        _S.READY: "start it first",
        _S.RUNNING: "stop it first",
    },
)
