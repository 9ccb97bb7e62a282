"""The state machine of one process: a container's init or an exec.

Used by the guest's model and the container actor.
"""

from __future__ import annotations

from enum import StrEnum

from actors.lifecycle.table import Lifecycle

__all__ = ["PROCESS", "ProcessEvent", "ProcessState"]


class ProcessState(StrEnum):
    CREATING = "creating"
    READY = "ready"
    RUNNING = "running"
    EXITED = "exited"


class ProcessEvent(StrEnum):
    CREATED = "created"
    STARTED = "started"
    EXITED = "exited"


_S, _E = ProcessState, ProcessEvent
_THERE = frozenset({_S.READY, _S.RUNNING, _S.EXITED})

PROCESS = Lifecycle(
    noun="process",
    transitions={
        # an init waits for its start; an exec runs at once
        (_S.CREATING, _E.CREATED): _S.READY,
        (_S.CREATING, _E.STARTED): _S.RUNNING,
        (_S.READY, _E.STARTED): _S.RUNNING,
        (_S.READY, _E.EXITED): _S.EXITED,
        (_S.RUNNING, _E.EXITED): _S.EXITED,
    },
    verbs={
        "signal": _THERE,
        "wait": _THERE,
        "winsize": frozenset({_S.READY, _S.RUNNING}),
        "write_stdin": _THERE,
        "close_stdin": _THERE,
        "read_output": _THERE,
    },
    advice={
        _S.CREATING: "wait for the answer to its create or exec",
        _S.READY: "start its container first",
        _S.RUNNING: "it runs already",
        _S.EXITED: "it has ended; its exit status and output can still be read",
    },
    instead={},
)
