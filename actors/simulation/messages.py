"""The simulation's message transport: in memory, with every message in the trace.

It injects no faults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transports.memory import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

    from transports.base import Endpoint, Listener, Receiver
    from transports.errors import TransportError

__all__ = ["TracedTransport"]


class TracedTransport:
    """See `transports.base.Transport`. `note` is called with every message as it is received, and its sender."""

    def __init__(self, note: Callable[[str, bytes], None]) -> None:
        self._inner = MemoryTransport()
        self._note = note

    async def serve(
        self, address: str, accept: Callable[[Endpoint], Receiver], *, task_status: trio.TaskStatus[Listener]
    ) -> None:
        """See `transports.base.Transport`."""

        def traced(endpoint: Endpoint) -> Receiver:
            return _TracedReceiver(accept(endpoint), endpoint.peer, self._note)

        await self._inner.serve(address, traced, task_status=task_status)

    async def connect(self, address: str, receiver: Receiver, *, task_status: trio.TaskStatus[Endpoint]) -> None:
        """See `transports.base.Transport`."""
        await self._inner.connect(address, _TracedReceiver(receiver, address, self._note), task_status=task_status)


class _TracedReceiver:
    def __init__(self, inner: Receiver, peer: str, note: Callable[[str, bytes], None]) -> None:
        self._inner = inner
        self._name = f"envelope from {peer}"
        self._note = note

    def received(self, message: bytes) -> None:
        self._note(self._name, message)
        self._inner.received(message)

    def gone(self, cause: TransportError | None) -> None:
        self._note(f"{self._name}: gone", b"")
        self._inner.gone(cause)
