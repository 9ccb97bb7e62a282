"""Raw nng sockets: nng calls that pynng does not wrap, or wraps slowly.

The only code that touches pynng. Raw REP listens and raw REQ dials, non-blocking, with one kernel descriptor to wait
on; direct calls cost a quarter of pynng's own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import pynng

from transports.errors import AddressError, AddressInUse, TransportError, Unreachable
from transports.socket_files import no_socket

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RawRep", "RawReq", "limit_threads"]

# pynng carries no types
_pynng = cast("Any", pynng)
_ffi = _pynng.ffi
_lib = _pynng.nng.lib

# nng silently closes the pipe on a larger message; our own limit is lower and gives a reason.
# inproc ignores this one
RECV_MAX_BYTES = 128 * 1024
# the request id that raw REQ and REP require before a message; its top bit ends the hop list
_REQUEST = 0x80000000
_PREFIX = _REQUEST.to_bytes(4)
_NONBLOCK = _lib.NNG_FLAG_NONBLOCK

_log = logging.getLogger("katrio")


def limit_threads() -> None:
    """Limit nng to 6 threads instead of 12: no slower on 2 cores. No effect after the first socket."""
    for parameter, threads in (
        (_lib.NNG_INIT_NUM_TASK_THREADS, 2),
        (_lib.NNG_INIT_NUM_EXPIRE_THREADS, 1),
        (_lib.NNG_INIT_NUM_POLLER_THREADS, 1),
        (_lib.NNG_INIT_NUM_RESOLVER_THREADS, 1),
    ):
        _lib.nng_init_set_parameter(parameter, threads)


class _Raw:
    """Common to both kinds."""

    def __init__(self, opener: Any, options: dict[str, int]) -> None:
        # pynng closes the socket when this is garbage-collected
        self._socket: Any = _pynng.Socket(opener=opener)
        self._raw: Any = self._socket.socket
        self._message: Any = _ffi.new("nng_msg **")
        self._closed = False
        for name, value in options.items():
            setattr(self._socket, name, value)
            if self.option(name) != value:
                self.close()
                raise AddressError(f"nng did not take {name}={value}")
        self.recv_fd: int = self._socket.recv_fd

    def option(self, name: str) -> int:
        """The option's value as nng reports it."""
        value: int = getattr(self._socket, name)
        return value

    def on_pipe_removed(self, callback: Callable[[int], None]) -> None:
        """Call `callback(pipe)` on an nng thread whenever a peer is gone. Set before dial or listen."""

        def removed(pipe: Any) -> None:
            callback(int(pipe.id))

        self._socket.add_post_pipe_remove_cb(removed)

    def on_pipe_added(self, callback: Callable[[int], None]) -> None:
        """The same whenever a peer connects; its first message may arrive before the callback."""

        def added(pipe: Any) -> None:
            callback(int(pipe.id))

        self._socket.add_post_pipe_connect_cb(added)

    def receive(self) -> tuple[int, bytes] | None:
        """The next message's pipe and body; None if there is none now.

        Raises:
            TransportError: the socket is unusable.
        """
        status = _lib.nng_recvmsg(self._raw, self._message, _NONBLOCK)
        if status:
            if status == _lib.NNG_EAGAIN:
                return None
            raise TransportError(f"nng_recvmsg: {_text(status)}")
        message = self._message[0]
        pipe: int = _lib.nng_pipe_id(_lib.nng_msg_get_pipe(message))
        body: bytes = _ffi.buffer(_lib.nng_msg_body(message), _lib.nng_msg_len(message))[:]
        _lib.nng_msg_free(message)
        return pipe, body

    def close(self) -> None:
        """Close; blocks for up to a third of a second with thousands of pipes. Idempotent."""
        if not self._closed:
            self._closed = True
            self._socket.close()


class RawRep(_Raw):
    """A listening socket; peers are identified by pipe number."""

    def __init__(self) -> None:
        # a send buffer of 0 would refuse at random; 1024 is nng's queue shared by all pipes
        options = {"recv_buffer_size": 256, "send_buffer_size": 1024, "recv_max_size": RECV_MAX_BYTES}
        super().__init__(_lib.nng_rep0_open_raw, options)

    def listen(self, address: str) -> None:
        """Bind and listen.

        Raises:
            AddressInUse, AddressError.
        """
        try:
            self._socket.listen(address)
        except pynng.AddressInUse as error:
            raise AddressInUse(f"somebody listens on {address} already") from error
        except pynng.NNGException as error:
            raise AddressError(f"can't listen on {address}: {error}") from error

    def send(self, pipe: int, body: bytes) -> bool:
        """Send to one peer; False when nng's queue is full. For a lost peer: dropped, and True."""
        slot = self._message
        if _lib.nng_msg_alloc(slot, 0):
            return False
        message = slot[0]
        if (
            _lib.nng_msg_append(message, body, len(body))
            or _lib.nng_msg_header_append_u32(message, pipe)
            or _lib.nng_msg_header_append_u32(message, _REQUEST)
            or _lib.nng_sendmsg(self._raw, message, _NONBLOCK)
        ):
            _lib.nng_msg_free(message)
            return False
        return True

    def close_pipe(self, pipe: int) -> None:
        """Disconnect one peer."""
        slot = _ffi.new("nng_pipe *")
        slot[0].id = pipe
        _lib.nng_pipe_close(slot[0])


class RawReq(_Raw):
    """A dialling socket with one peer, for one connection only."""

    def __init__(self) -> None:
        options = {
            "recv_buffer_size": 64,
            "send_buffer_size": 64,
            "recv_max_size": RECV_MAX_BYTES,
            # never reconnect: queued messages would go to the next server
            "reconnect_time_min": 3_600_000,
        }
        super().__init__(_lib.nng_req0_open_raw, options)

    def dial(self, address: str) -> None:
        """Dial, blocking.

        Raises:
            Unreachable, AddressError.
        """
        try:
            self._socket.dial(address, block=True)
        except (pynng.AddressInvalid, pynng.NotSupported, pynng.InvalidOperation) as error:
            raise AddressError(f"can't dial {address}: {error}") from error
        except pynng.NNGException as error:
            why = no_socket(address.removeprefix("ipc://")) or error
            raise Unreachable(f"nobody answers on {address}: {why}") from error

    def send(self, body: bytes) -> bool:
        """Send to the peer; False when nng's queue is full."""
        return not _lib.nng_send(self._raw, _PREFIX + body, len(body) + 4, _NONBLOCK)


def _text(status: int) -> str:
    text: bytes = _ffi.string(_lib.nng_strerror(status))
    return text.decode()
