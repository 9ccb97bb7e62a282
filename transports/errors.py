"""What can go wrong below the actors, named by whose fault it is.

For everything in `transports`; foreign exceptions (pynng's, the operating system's) are mapped
onto these at the port that meets them and are never seen above it. Not for verbs that fail:
those are `actors.errors`.
"""

from __future__ import annotations

__all__ = [
    "AddressError",
    "AddressInUse",
    "EndpointBroken",
    "EndpointBusy",
    "EndpointClosed",
    "LocalProtocolError",
    "MessageTooLarge",
    "ProtocolError",
    "RemoteProtocolError",
    "TransportError",
    "Unreachable",
]


class TransportError(Exception):
    """Root of this tree; never raised itself."""


class AddressError(TransportError):
    """The caller gave an address that can't be used; the message shows the right form."""


class AddressInUse(TransportError):
    """Somebody answers on this address already; listening there would steal their mail."""


class Unreachable(TransportError):
    """Nobody answers on this address (yet). Safe to try again: nothing was sent."""


class EndpointClosed(TransportError):
    """*We* closed this endpoint, or its peer said goodbye in an orderly way."""


class EndpointBroken(TransportError):
    """The world broke this endpoint: the peer died, fell silent, or the link was cut.

    What was sent and not answered has an unknown outcome.
    """


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
