"""docs/protocol.md says what the code does: its bytes, its numbers, and its lists of envelopes, kinds and codes."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import cast

import pytest

from actors.errors import KatrioError
from actors.limits import DEFAULT_LIMITS
from actors.mailbox.session import MIN_WINDOW
from actors.wire.bounds import MAX_DEPTH, MAX_ITEMS
from actors.wire.codec import decode_envelope, encode
from actors.wire.envelope import CHUNK_COST, VERSIONS, Envelope
from tests.support import verbs_page
from tests.support.foreign import packb, unpackb
from transports.nng.frames import FRAME_BYTES, MAGIC, MAX_MESSAGES, Kind, decode_frame, encode_frame
from transports.nng.sockets import RECV_MAX_BYTES
from transports.nng.window import CREDIT

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "protocol.md").read_text("utf-8")
ROWS = re.findall(r"^\| `(\[.*\])` \| `([0-9a-f ]+)` \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("value", "octets"), ROWS, ids=[value[:24] for value, _ in ROWS])
def test_the_bytes_are_those_of_the_code_and_of_another_msgpack(value: str, octets: str) -> None:
    expected = cast("list[object]", ast.literal_eval(value))
    data = bytes.fromhex(octets)
    assert unpackb(data) == expected
    assert packb(expected) == data
    if isinstance(expected[0], str):
        assert encode(decode_envelope(data)) == data
    else:
        assert encode_frame(*decode_frame(data)) == data


def test_every_envelope_and_every_kind_of_frame_has_an_example() -> None:
    first = {cast("list[object]", ast.literal_eval(value))[0] for value, _ in ROWS}
    names = {kind.__name__.lower() for kind in Envelope.__args__}
    assert names <= first
    assert {Kind.HELLO, Kind.DATA, Kind.PING, Kind.BYE} <= first
    for name in names:
        assert f'| `["{name}", ' in TEXT, f"{name} is not in the tables of envelopes"


def test_its_numbers_are_those_of_the_code() -> None:
    assert VERSIONS == (1,)
    assert MAGIC.decode() in TEXT
    for number, where in (
        (FRAME_BYTES, "A frame has at most {:,} bytes"),
        (RECV_MAX_BYTES // 1024, "over {} KiB"),
        (CREDIT, "At most {} DATA frames"),
        (MAX_MESSAGES, "| DATA | 0 to {} |"),
        (MIN_WINDOW, "at least {} to open a stream"),
        (CHUNK_COST, "the encoded `value`) and\n  {} more"),
        (MAX_DEPTH, "At most {} deep"),
        (MAX_ITEMS, "at most {} items"),
        (DEFAULT_LIMITS.message_bytes // 1024, "have at most {} KiB each"),
        (DEFAULT_LIMITS.event_backlog_bytes // 1024, "up to {} KiB"),
    ):
        assert where.format(number) in TEXT, where


def test_the_page_of_verbs_is_that_of_the_tables() -> None:
    assert verbs_page.PAGE.read_text("utf-8") == verbs_page.page(), "run: .venv/bin/python -m tests.support.verbs_page"


def test_its_list_of_codes_is_that_of_the_code() -> None:
    listed = re.findall(r"^\| `([a-z_]+)` \| ", TEXT, re.MULTILINE)
    assert sorted(listed) == sorted({cls.code for cls in KatrioError.__subclasses__()})
