"""The one table between the gRPC codes of an agent's failures and katrio's errors.

For the host, which reads codes, and the guest, which writes them; every other agent's codes read the same. An error's
details travel as the status's own: one google.protobuf.Struct, over ttRPC only to a caller that says that it takes them
(`TAKES_DETAILS`). Not for broken connections: whoever owns the connection knows what those mean.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from actors import errors
from actors.schemas.descriptors import detail_messages
from actors.schemas.text import plain_text
from transports.errors import StatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["END_OF_STREAM_1X", "TAKES_DETAILS", "error_from_status", "status_from_error"]

# an agent's chain of causes is shorter; an error has to fit into a mailbox's message many times over
TEXT_LENGTH = 4096
# the code and the text by which an agent of 1.x answers a read at a stream's end: the words of Go's io.EOF
END_OF_STREAM_1X = (StatusCode.UNKNOWN, "EOF")
# what a ttRPC caller says in its request's metadata, that a failure may carry details: Kata's Go clients up to 3.2 decode an
# Any with a library that has no registry for it, and panic. gRPC has its details in a trailer, which nobody has to read
TAKES_DETAILS = ("katrio-details", "struct")
# what a program may find in an error's details, if a guest says it; all else of a guest's details is dropped
_WORDS = ("field", "state", "verb", "container", "process")
_NUMBERS = ("limit", "lost")
_WORD_LENGTH = 256
_DETAILS_BYTES = 4096
# where a backtrace begins, as Rust (its standard library's and anyhow's), Go and Python print it; at the start of a line, or of
# what a debugging print made of one
_BACKTRACE = re.compile(
    r"(?:^|\s|\\n)(?:[Ss]tack backtrace:|goroutine \d+ \[[^\]\n]*\]:|Traceback \(most recent call last\):)"
)

# An outcome is in doubt only if the call changes something.
_IN_DOUBT: Mapping[int, type[errors.KatrioError]] = {
    StatusCode.DEADLINE_EXCEEDED: errors.Expired,
    StatusCode.CANCELLED: errors.CallerCancelled,
}

# Each error of ours that a guest may answer with has a code for itself, so that it is the same error on the host. All
# codes that are missing here are `AgentError`.
_PLAIN: Mapping[int, type[errors.KatrioError]] = {
    StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    StatusCode.NOT_FOUND: errors.NotFound,
    StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    StatusCode.FAILED_PRECONDITION: errors.InvalidTransition,
    StatusCode.UNIMPLEMENTED: errors.Unsupported,
    StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    StatusCode.ABORTED: errors.Busy,
    StatusCode.UNAVAILABLE: errors.AgentUnreachable,
}

# read alone: no error of ours is written as one of these
_ALSO: Mapping[int, type[errors.KatrioError]] = {
    StatusCode.OUT_OF_RANGE: errors.InvalidArgument,
    StatusCode.UNAUTHENTICATED: errors.PermissionDenied,
}

_CODES: Mapping[type[errors.KatrioError], StatusCode] = {
    **{error: StatusCode(code) for code, error in (*_PLAIN.items(), *_IN_DOUBT.items())},
    errors.OutcomeUnknown: StatusCode.DEADLINE_EXCEEDED,
    errors.AgentError: StatusCode.UNKNOWN,
}


def error_from_status(
    code: int, message: str, details: tuple[bytes, ...] = (), *, changes_state: bool, answered: bool = False
) -> errors.KatrioError:
    """What an agent's failure means to us; `message` is its text, kept as far as it is one, without a backtrace.

    Args:
        code: as on the wire; codes that gRPC does not have are `AgentError`s too.
        details: the status's own, each an Any; what can't be read is passed over, for a failure must not hide behind another.
        changes_state: of the RPC. A deadline or a cancel leaves the outcome of such a call unknown.
        answered: nobody but the agent can have said so, as over ttRPC: its UNAVAILABLE is a refusal then. Over gRPC proxies and
            libraries say that of an agent which is not there.
    """
    message = plain_text(_without_backtrace(message), TEXT_LENGTH)
    if code in _IN_DOUBT:
        return errors.OutcomeUnknown(message) if changes_state else _IN_DOUBT[code](message)
    told = _told_details(details)
    refusal = answered and code == StatusCode.UNAVAILABLE
    found = None if refusal else _PLAIN.get(code) or _ALSO.get(code)
    return found(message, **told) if found is not None else errors.AgentError(message, **told, status=_name(code))


def status_from_error(error: errors.KatrioError) -> tuple[StatusCode, str, tuple[bytes, ...]]:
    """The code, the text and the details with which a guest answers `error`; what the table lacks is INTERNAL."""
    return _CODES.get(type(error), StatusCode.INTERNAL), error.message, _details_to_tell(error)


def _details_to_tell(error: errors.KatrioError) -> tuple[bytes, ...]:
    told = {
        name: error.details[name] for name in (*_WORDS, *_NUMBERS) if isinstance(error.details.get(name), str | int)
    }
    if not told:
        return ()
    packed, struct = detail_messages()
    struct.update(told)
    packed.Pack(struct, deterministic=True)
    return (packed.SerializeToString(deterministic=True),)


def _told_details(details: tuple[bytes, ...]) -> dict[str, str | int]:
    """Of untrusted bytes: known names alone, their words plain and short, their numbers whole."""
    if not details:
        return {}
    told: dict[str, str | int] = {}
    packed, struct = detail_messages()
    for detail in details:
        try:
            if len(detail) > _DETAILS_BYTES or not (packed.ParseFromString(detail) and packed.Unpack(struct)):
                continue
        except DecodeError:
            continue
        for name in _WORDS:
            if struct.fields[name].HasField("string_value"):
                told[name] = plain_text(struct.fields[name].string_value, _WORD_LENGTH)
        for name in _NUMBERS:
            number = struct.fields[name].number_value
            if 0 < number < 2**53 and number.is_integer():
                told[name] = int(number)
    return told


def _without_backtrace(message: str) -> str:
    """An agent's causes are kept, the addresses in its program are not: up to 13 KB of them, where it runs with RUST_BACKTRACE."""
    # what stands behind is cut in any case
    found = _BACKTRACE.search(message, 0, TEXT_LENGTH)
    if found is None:
        return message
    kept = message[: found.start()]
    while (shorter := kept.rstrip().removesuffix("\\n")) != kept:
        kept = shorter
    return kept


def _name(code: int) -> str:
    try:
        return StatusCode(code).name
    except ValueError:
        return str(code)
