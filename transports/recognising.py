"""Report within a second who really listens at an address, so that callers neither hang nor parse nonsense.

For addresses that a user typed. The first bytes of a connection identify a peer that speaks first. If a connection
stays silent or ends, separate connections are opened to probe, where several are possible: a serial port and
hyperstart's channels allow only one. A VMM holds back a second connection, and delivers its data to the guest once the
first has closed: there only the first connection's own bytes count, however slow the guest is. An agent that is merely
slow is left alone. Patterns are in `recognise`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from transports.base import NowaitStream
from transports.errors import RemoteProtocolError, TransportError, Unreachable, WrongPeer
from transports.recognise import PROBES, Peer, advice, recognise

if TYPE_CHECKING:
    from transports.base import Dialer

__all__ = ["ask_who_is_there", "recognising_dialer"]

# a peer that answers has done so by then, else it is probed: both together stay within a second
SILENCE_SECONDS = 0.35
ASKING_SECONDS = 0.5
# lets a host that takes a single connection answer the first probe before the others are refused
HEAD_START_SECONDS = 0.05
FIRST_BYTES = 64
# their listeners accept any number of connections
_WITH_SEVERAL = frozenset({Peer.TTRPC, Peer.GRPC})


def recognising_dialer(dial: Dialer, expected: Peer, *, several: bool = True, beneath: Dialer | None = None) -> Dialer:
    """`dial`, whose streams and errors report a peer other than `expected`.

    Args:
        several: the address accepts concurrent connections; only believed for a Kata agent.
        beneath: dials the unix socket below a hybrid one: its listener may be no VMM.

    Besides what `dial` raises, the dialer raises: WrongPeer: another kind of peer is there. A stream raises
    BrokenResourceError caused by it.
    """

    asks = several and expected in _WITH_SEVERAL
    # a VMM whose VM is not up yet refuses many times, and is probed only once
    doubted = asks and beneath is not None

    async def dial_recognised() -> trio.abc.Stream:
        nonlocal doubted
        if beneath is not None and doubted:
            doubted = False
            stream = await _dial_hybrid(dial, beneath)
        else:
            stream = await dial()
        return _Recognised(stream, dial if asks else None, expected)

    return dial_recognised


async def ask_who_is_there(dial: Dialer, expected: Peer) -> Peer | None:
    """Probe on separate connections; None: no known peer answered within half a second.

    `expected` wins if it is among those that may have answered.
    """
    found: list[Peer] = []
    with trio.move_on_after(ASKING_SECONDS):
        async with trio.open_nursery() as nursery:
            for probe in PROBES:
                nursery.start_soon(_ask, dial, probe, expected, found, nursery.cancel_scope)
                await trio.sleep(HEAD_START_SECONDS)
    if expected in found:
        return expected
    return found[0] if found else None


async def _ask(dial: Dialer, probe: bytes, expected: Peer, found: list[Peer], scope: trio.CancelScope) -> None:
    try:
        stream = await dial()
    except TransportError:
        return
    first = b""
    try:
        await stream.send_all(probe)
        while len(first) < FIRST_BYTES:
            data = await stream.receive_some(FIRST_BYTES)
            first += data
            peer = recognise(first, expected=expected)
            if peer is not None:
                found.append(peer)
                scope.cancel()
            if peer is not None or not data:
                return
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
    finally:
        await trio.aclose_forcefully(stream)


async def _dial_hybrid(dial: Dialer, beneath: Dialer) -> trio.abc.Stream:
    """Dial through a VMM. A peer that does not answer OK is probed: it may be an agent itself."""
    with trio.move_on_after(SILENCE_SECONDS):
        try:
            return await dial()
        except (RemoteProtocolError, Unreachable) as error:
            await _refuse_another(beneath, error)
            raise
    await _refuse_another(beneath, None)
    return await dial()


async def _refuse_another(beneath: Dialer, cause: TransportError | None) -> None:
    found = await ask_who_is_there(beneath, Peer.HYBRID)
    if found is not None and found is not Peer.HYBRID:
        raise WrongPeer(advice(found, Peer.HYBRID)) from cause


class _Recognised(NowaitStream):
    """A stream whose first bytes are checked; after them it only forwards."""

    def __init__(self, stream: trio.abc.Stream, dial: Dialer | None, expected: Peer) -> None:
        """`dial`: opens connections to probe; None: don't probe."""
        self._stream = stream
        self._nowait = stream if isinstance(stream, NowaitStream) else None
        self._dial = dial
        self._expected = expected
        self._known = False
        # infinite until something is sent: only a peer that was asked and stays silent is probed
        self._since = math.inf
        self._asked = trio.Event()

    def send_nowait(self, data: bytes) -> int:
        """See `NowaitStream`."""
        self._note_asked()
        return self._nowait.send_nowait(data) if self._nowait is not None else 0

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        self._note_asked()
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            if not self._known:
                await self._refuse_another()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`; BrokenResourceError caused by WrongPeer once that is known."""
        if self._known:
            return bytes(await self._stream.receive_some(max_bytes))
        try:
            data = await self._first(max_bytes)
        except trio.BrokenResourceError:
            await self._refuse_another()
            raise
        if not data:
            await self._refuse_another()
        found = recognise(data, expected=self._expected)
        if found is not None and found is not self._expected:
            self._refuse(found)
        self._known = True
        return data

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()

    def _note_asked(self) -> None:
        if not self._asked.is_set():
            self._since = trio.current_time()
            self._asked.set()

    async def _first(self, max_bytes: int | None) -> bytes:
        """The first bytes; probes on other connections meanwhile if they take too long."""
        data = b""
        wrong: list[Peer] = []
        dial = self._dial
        if dial is None:
            return bytes(await self._stream.receive_some(max_bytes))

        async def ask_on_a_new_link(scope: trio.CancelScope) -> None:
            await self._asked.wait()
            await trio.sleep_until(self._since + SILENCE_SECONDS)
            found = await ask_who_is_there(dial, self._expected)
            if found is not None and found is not self._expected:
                wrong.append(found)
                scope.cancel()

        failure: list[trio.BrokenResourceError | trio.ClosedResourceError] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_on_a_new_link, nursery.cancel_scope)
            try:
                data = bytes(await self._stream.receive_some(max_bytes))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                failure.append(error)  # raised below, outside the nursery
            nursery.cancel_scope.cancel()
        if wrong:
            self._refuse(wrong[0])
        if failure:
            raise failure[0]
        return data

    async def _refuse_another(self) -> None:
        """The stream ended without data: some peers do that for an unknown request."""
        if self._dial is None:
            return
        found = await ask_who_is_there(self._dial, self._expected)
        if found is not None and found is not self._expected:
            self._refuse(found)

    def _refuse(self, found: Peer) -> None:
        wrong = WrongPeer(advice(found, self._expected))
        raise trio.BrokenResourceError(str(wrong)) from wrong
