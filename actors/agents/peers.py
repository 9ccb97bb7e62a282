"""Who is expected at an agent's addresses, by its protocol: one table. Apart, as it is needed before an agent is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.node.protocols import GuestProtocol
from transports.recognise import Peer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PEERS"]

PEERS: Mapping[GuestProtocol, tuple[Peer, ...]] = {
    GuestProtocol.TTRPC: (Peer.TTRPC,),
    GuestProtocol.GRPC: (Peer.GRPC,),
    GuestProtocol.HYPERSTART: (Peer.CONTROL, Peer.STREAMS),
}
