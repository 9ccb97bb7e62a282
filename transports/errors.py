"""Errors below the actors, classified by whose fault they are.

Foreign exceptions (pynng's, the operating system's) are mapped to these where they are met, and never escape
above that. Errors of verbs are in `actors.errors`.
"""

from __future__ import annotations

from enum import IntEnum

from transports.plain import printable

__all__ = [
    "AddressError",
    "AddressInUse",
    "EndpointBroken",
    "EndpointBusy",
    "EndpointClosed",
    "EndpointSilent",
    "Exhausted",
    "LocalProtocolError",
    "MessageTooLarge",
    "NobodyListens",
    "ProtocolError",
    "Refused",
    "RemoteProtocolError",
    "RpcStatusError",
    "StatusCode",
    "TransportError",
    "Unreachable",
    "WrongPeer",
]


class TransportError(Exception):
    """Root of this tree; never raised itself. Its text is one line, escaped so that quoted input can't control a terminal."""

    def __str__(self) -> str:
        return printable(super().__str__())


class AddressError(TransportError):
    """The caller gave an unusable address; the message shows the right form."""


class AddressInUse(TransportError):
    """Somebody already listens on this address; listening there would steal their messages."""


class Unreachable(TransportError):
    """Nobody answers on this address (yet). Safe to retry: nothing was sent."""


class Exhausted(TransportError):
    """This process or machine is out of file descriptors; nothing was sent."""


class Refused(Unreachable):
    """The kernel refuses at once: a local path without a file, or without a listener."""


class NobodyListens(TransportError):
    """Like Refused, for an address that a user typed: retrying won't fix a typo."""


class EndpointClosed(TransportError):
    """*We* closed this endpoint, or its peer said goodbye in an orderly way."""


class EndpointBroken(TransportError):
    """This endpoint broke: the peer died, fell silent, or the link was cut.

    The outcome of requests in flight is unknown.
    """


class EndpointSilent(EndpointBroken):
    """The peer was silent for too long: frozen, partitioned, or its event loop is blocked."""


class EndpointBusy(TransportError):
    """The endpoint's bounded queue is full; nothing was sent."""


class MessageTooLarge(TransportError):
    """A message over the endpoint's limit; nothing was sent."""


class ProtocolError(TransportError):
    """A wire protocol violation; the two subclasses say whose."""


class LocalProtocolError(ProtocolError):
    """We were about to violate the protocol; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer violated the protocol; the connection can't be trusted and is closed."""


class WrongPeer(RemoteProtocolError):
    """A peer of another kind listens there; the message says which, and how to fix the address or options."""


class StatusCode(IntEnum):
    """The gRPC codes, which ttRPC shares; the names are gRPC's own."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcStatusError(TransportError):
    """The peer answered a call with an error; the connection stays usable.

    Attributes:
        code: as the peer sent it: usually a `StatusCode`, but any int32 except 0 is possible.
        message: the peer's text, for humans only.
        details: for programs: each an encoded google.protobuf.Any; most agents send none.
    """

    def __init__(self, code: int, message: str, details: tuple[bytes, ...] = ()) -> None:
        if code == StatusCode.OK:
            raise ValueError("a failure can't have code 0 (OK)")
        super().__init__(code, message, details)
        self.code = code
        self.message = message
        self.details = details

    def __str__(self) -> str:
        try:
            name = StatusCode(self.code).name
        except ValueError:
            name = f"code {self.code}"
        return printable(f"{name}: {self.message}")
