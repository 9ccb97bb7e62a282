"""Tell a caller who really listens at an address, within a second, instead of leaving it to wait or to parse nonsense.

For addresses that a person wrote; a guest of our own is known. The first bytes of a connection name who speaks first. A
connection that says nothing, or ends, is asked about on others, which carry nothing else, where there can be others: a serial
port and a hyperstart's channels have one in all. A VMM keeps a second one waiting, and gives what was said on it to the guest
once the first has closed: there the first connection's own bytes decide, however slow the guest is. An agent that is only
slow is let be. Not for patterns: `recognise`.
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

# a peer that answers at all has done so by then, or is asked about: both together stay within a second
SILENCE_SECONDS = 0.35
ASKING_SECONDS = 0.5
# a host whose only connection the first one is answers that before the others are refused
HEAD_START_SECONDS = 0.05
FIRST_BYTES = 64
# whose listeners take any number of connections
_WITH_SEVERAL = frozenset({Peer.TTRPC, Peer.GRPC})


def recognising_dialer(dial: Dialer, expected: Peer, *, several: bool = True, beneath: Dialer | None = None) -> Dialer:
    """`dial`, whose streams and failures say who else than `expected` is there.

    Args:
        several: the address takes connections side by side; of a Kata agent's alone that is believed.
        beneath: of a hybrid socket, the socket itself: it may be no VMM's.

    The dialer raises, beside what `dial` does:
        WrongPeer: somebody else is there. A stream raises BrokenResourceError from it.
    """

    asks = several and expected in _WITH_SEVERAL
    # a VMM whose VM is not up yet refuses many times, and is asked about once
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
    """Who answers on connections of their own; None: nobody that is known, within half a second.

    `expected` wins when it is among those that may have answered.
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
    """Dial through a VMM. What does not say OK is asked about: it may be an agent itself."""
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
    """A stream whose first bytes are looked at; after them it only passes on."""

    def __init__(self, stream: trio.abc.Stream, dial: Dialer | None, expected: Peer) -> None:
        """`dial`: where else to ask; None: nowhere."""
        self._stream = stream
        self._nowait = stream if isinstance(stream, NowaitStream) else None
        self._dial = dial
        self._expected = expected
        self._known = False
        # nobody that is asked about elsewhere has to speak first
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
        """See `trio.abc.ReceiveStream`; BrokenResourceError from WrongPeer once that is known."""
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
        """The first bytes; meanwhile, who is there is asked elsewhere once these take too long."""
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
                failure.append(error)  # raised below, bare
            nursery.cancel_scope.cancel()
        if wrong:
            self._refuse(wrong[0])
        if failure:
            raise failure[0]
        return data

    async def _refuse_another(self) -> None:
        """It ended without a word: a peer that was asked what it does not know may."""
        if self._dial is None:
            return
        found = await ask_who_is_there(self._dial, self._expected)
        if found is not None and found is not self._expected:
            self._refuse(found)

    def _refuse(self, found: Peer) -> None:
        wrong = WrongPeer(advice(found, self._expected))
        raise trio.BrokenResourceError(str(wrong)) from wrong
