"""What can go wrong below the actors, named by whose fault it is.

For everything in `transports`; foreign exceptions (pynng's, the operating system's) are mapped
onto these at the port that meets them and are never seen above it. Not for verbs that fail:
those are `actors.errors`.
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
    """Root of this tree; never raised itself. As text it is one line that can't steer a terminal, whatever it quotes."""

    def __str__(self) -> str:
        return printable(super().__str__())


class AddressError(TransportError):
    """The caller gave an address that can't be used; the message shows the right form."""


class AddressInUse(TransportError):
    """Somebody answers on this address already; listening there would steal their messages."""


class Unreachable(TransportError):
    """Nobody answers on this address (yet). Safe to try again: nothing was sent."""


class Exhausted(TransportError):
    """This process or this machine has no descriptor left; nothing was sent."""


class Refused(Unreachable):
    """The kernel says at once that nobody is there: a path of this machine without a file, or without a listener."""


class NobodyListens(TransportError):
    """The same of an address that a person wrote: no waiting mends what is mistyped."""


class EndpointClosed(TransportError):
    """*We* closed this endpoint, or its peer said goodbye in an orderly way."""


class EndpointBroken(TransportError):
    """The world broke this endpoint: the peer died, fell silent, or the link was cut.

    What was sent and not answered has an unknown outcome.
    """


class EndpointSilent(EndpointBroken):
    """The peer said nothing for too long: frozen, partitioned, or its loop is held up by its own code."""


class EndpointBusy(TransportError):
    """The endpoint's bounded queue is full; nothing was sent."""


class MessageTooLarge(TransportError):
    """A message over the endpoint's limit; nothing was sent."""


class ProtocolError(TransportError):
    """Somebody broke a wire protocol; see the two subclasses for who."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; the connection can't be trusted and is closed."""


class WrongPeer(RemoteProtocolError):
    """Somebody else than expected listens there; the message says who, and what to write."""


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
    """The peer answered a call with a failure; the connection is as good as before.

    Attributes:
        code: what the peer sent: usually a `StatusCode`, but any int32 but 0 is possible.
        message: the peer's text, for people alone.
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
