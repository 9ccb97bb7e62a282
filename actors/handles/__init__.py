"""Typed handles: what a program holds to drive a system, its sandboxes, containers and processes.

For every caller: scenario steps, the command line, embedding code. A handle is a client and an address,
no state: it may be copied, kept, and used by any number of tasks at once. Not for owning anything: a
sandbox lives until somebody stops it, whatever happens to its handles.

Every verb may raise a `KatrioError`; `timeout` is the seconds that the caller is ready to wait, None is for ever. The
default is the limits' `ask_seconds`, but for `wait`, `collect`, outputs and events, which end with what they are about:
those wait for ever unless they are told. A stop's grace comes on top of it. An ask ends up to `answer_grace_seconds` (0.25) after its timeout, as the
answer at that moment says whether anything was done.
"""

from __future__ import annotations

from actors.handles.base import SeenEvent
from actors.handles.container import ContainerHandle
from actors.handles.process import Completed, ProcessHandle
from actors.handles.sandbox import SandboxHandle
from actors.handles.system import SystemHandle
from actors.wire.events import ActorEvent

__all__ = [
    "ActorEvent",
    "Completed",
    "ContainerHandle",
    "ProcessHandle",
    "SandboxHandle",
    "SeenEvent",
    "SystemHandle",
]
