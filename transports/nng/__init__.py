"""Messages over nng: raw REP listens, raw REQ dials, with our own framing, credit and heartbeat.

The only package that imports pynng. See docs/protocol.md for the frames.
"""

from __future__ import annotations

from transports.nng.endpoint import Heartbeat
from transports.nng.transport import NngTransport

__all__ = ["Heartbeat", "NngTransport"]
