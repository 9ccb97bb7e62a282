"""The one error tree of katrio: every failure of a verb, with a code that crosses the wire.

For everything above the transports. A code says what a caller may do next, the message says what
was asked, in which state, and what to do; nothing is ever told apart by message text. Not for
broken links and frames: `transports.errors` names those, and the layer that owns the link maps them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from transports.plain import printable

__all__ = [
    "AgentError",
    "AgentProtocolError",
    "AgentUnreachable",
    "AlreadyExists",
    "Busy",
    "CallerCancelled",
    "Expired",
    "GuestDied",
    "InternalError",
    "InvalidArgument",
    "InvalidTransition",
    "KatrioError",
    "NotFound",
    "OutcomeUnknown",
    "PermissionDenied",
    "ResourceExhausted",
    "Unsupported",
    "error_from_code",
]


class KatrioError(Exception):
    """Root of the tree; never raised itself. As text, in a log, a traceback or on a terminal, it is one line in which
    nothing that it quotes can steer the terminal or look like a line of its own; `message` is as it came.

    Attributes:
        code: stable, lower-case, crosses the wire.
        message: for people: what was asked, in which state, what to do.
        details: for programs: plain msgpack values (str, int, float, bool, None, list, dict).
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details

    def __str__(self) -> str:
        return printable(self.message)


class InvalidArgument(KatrioError):
    """The caller's fault: a field is wrong; `details["field"]` names it."""

    code = "invalid_argument"


class NotFound(KatrioError):
    """No such sandbox, container, process or actor."""

    code = "not_found"


class AlreadyExists(KatrioError):
    """The id is taken."""

    code = "already_exists"


class InvalidTransition(KatrioError):
    """The verb is not allowed in the present state; `details` has `state` and `verb`."""

    code = "invalid_transition"


class Unsupported(KatrioError):
    """The agent, the engine or this machine can't do it, ever."""

    code = "unsupported"


class Busy(KatrioError):
    """A bounded queue stayed full up to the deadline; nothing was done."""

    code = "busy"


class Expired(KatrioError):
    """The deadline had passed before anything was done."""

    code = "expired"


class CallerCancelled(KatrioError):
    """The caller gave up; work that changes nothing was stopped."""

    code = "cancelled"


class OutcomeUnknown(KatrioError):
    """It was sent, and whether it happened is not known. Never retried on its own."""

    code = "unknown"


class AgentUnreachable(KatrioError):
    """The actor's agent connection is down and could not be brought back in time; nothing was done."""

    code = "agent_unreachable"


class GuestDied(KatrioError):
    """The guest is gone, and with it every container of the sandbox."""

    code = "guest_died"


class AgentError(KatrioError):
    """The agent answered with a failure that has no code of ours; `details` has its own `status` and text."""

    code = "agent_error"


class AgentProtocolError(KatrioError):
    """The agent broke its protocol; its connection was closed."""

    code = "protocol_error"


class PermissionDenied(KatrioError):
    """A policy, or the operating system, forbids it."""

    code = "permission_denied"


class ResourceExhausted(KatrioError):
    """Memory, descriptors, disk, or one of our own bounds ran out; `details` may have `limit`."""

    code = "resource_exhausted"


class InternalError(KatrioError):
    """A bug of ours; please report it."""

    code = "internal"


_BY_CODE: dict[str, type[KatrioError]] = {cls.code: cls for cls in KatrioError.__subclasses__()}


def error_from_code(code: str, message: str, details: dict[str, Any] | None = None) -> KatrioError:
    """The exception for a code that came over the wire; an unknown code becomes `AgentError`."""
    cls = _BY_CODE.get(code)
    if cls is None:
        return AgentError(message, status=code, **(details or {}))
    error = cls(message)
    error.details.update(details or {})
    return error
