"""What people and files write: addresses. Any text is parsed or refused by name, and what was parsed reads the same again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.layout import Body, Frames, Layout
from tests.fuzz.target import Target, expect
from transports.address import parse_address
from transports.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TARGETS"]

TEXTS = Layout(
    Body.TEXT,
    tokens=(
        b"unix", b"://", b"@", b"\0", b":", b"/", b"//", b"..", b"x" * 108, b"\xff", b"\xc3\xa9" * 60, b"[::1]", b"-1",
        b"65536", b"4294967295", b"4294967296", b"99999999999999999999", b" ", b"%00", b"\n", b"0x10", b"\xd9\xa3",
    ),
)  # fmt: skip
_PLAIN = (b"unix:///run/katrio/a.sock", b"/run/a.sock", b"ipc:///tmp/x", b"inproc://name")


def _addresses() -> Sequence[Frames]:
    return [_PLAIN, *((one,) for one in _PLAIN)]


def _check_addresses(pieces: Frames) -> None:
    for piece in pieces:
        # as Python hands over arguments of a command line
        text = piece.decode(errors="surrogateescape")
        try:
            address = parse_address(text)
        except AddressError as error:
            expect(str(error), "a refusal without a word")
            continue
        expect(parse_address(str(address)) == address, f"{text!r} reads as {address!r}, and that as another")


TARGETS = (Target("addresses", "addresses as people write them", TEXTS, _addresses, _check_addresses, stream=False),)
