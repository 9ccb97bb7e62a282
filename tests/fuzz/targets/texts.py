"""What people and files write: addresses. Any text is parsed or refused by name, and what was parsed reads the same again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.layout import Body, Frames, Layout
from tests.fuzz.target import Target, expect
from transports.address import parse_address, parse_agent_address, parse_mailbox_address
from transports.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transports.address import Address

__all__ = ["TARGETS"]

TEXTS = Layout(
    Body.TEXT,
    tokens=(
        b"unix", b"://", b"@", b"\0", b":", b"/", b"//", b"..", b"x" * 108, b"\xff", b"\xc3\xa9" * 60, b"[::1]", b"-1",
        b"@", b"\xed\xa0\x80", b"65536", b"4294967295", b"4294967296", b"99999999999999999999", b" ", b"%00", b"\n", b"0x10", b"\xd9\xa3",
    ),
)  # fmt: skip
_PLAIN = (
    b"unix:///run/katrio/a.sock", b"/run/a.sock", b"unix://@name", b"unix:/run/a.sock", b"vsock://3:1024", b"vsock://-1:1",
    b"hvsock:///run/vm.sock:1024", b"remote:/run/proxy.sock", b"serial:/dev/ttyS1", b"serial:///run/x.sock",
    b"ipc:///tmp/x", b"inproc://name", b"tcp://127.0.0.1:1",
)  # fmt: skip


def _addresses() -> Sequence[Frames]:
    return [_PLAIN, *((one,) for one in _PLAIN)]


def _check_addresses(pieces: Frames) -> None:
    for piece in pieces:
        # as Python hands over arguments of a command line, and as a JSON text may have it
        for errors in ("surrogateescape", "surrogatepass"):
            try:
                text = piece.decode(errors=errors)
            except UnicodeDecodeError:
                continue
            _check_address(text)


def _check_address(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError as error:
        expect(str(error), "a refusal without a word")
        for parse in (parse_agent_address, parse_mailbox_address):
            expect(not _parses(parse, text), f"{text!r} is no address, and {parse.__name__} takes it")
        return
    expect(parse_address(str(address)) == address, f"{text!r} reads as {address!r}, and that as another")
    taken = [parse.__name__ for parse in (parse_agent_address, parse_mailbox_address) if _parses(parse, text)]
    expect(len(taken) == 1, f"{text!r} is taken by {taken}: an agent's address or a mailbox's, never both")


def _parses(parse: Callable[[str], Address], text: str) -> bool:
    try:
        parse(text)
    except AddressError:
        return False
    return True


TARGETS = (Target("addresses", "addresses as people write them", TEXTS, _addresses, _check_addresses, stream=False),)
