"""HPACK blocks that are kept say what they would say without it, whatever the table went through."""

from __future__ import annotations

import hpack
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.grpc.compression import KEPT_BLOCKS, BlockDecoder, BlockEncoder, never_indexed

NAMES = st.sampled_from([b":status", b"content-type", b"grpc-timeout", b"x"])
VALUES = st.sampled_from([b"", b"200", b"application/grpc", b"a" * 30, b"b" * 90])
FIELD = st.builds(
    lambda name, value, never: never_indexed(name, value) if never else (name, value), NAMES, VALUES, st.booleans()
)
# a header list, or another size of the table: some hold one or two entries
STEPS = st.lists(st.lists(FIELD, max_size=4) | st.sampled_from([0, 40, 100, 160, 4096]), max_size=30)


@given(STEPS)
@settings(max_examples=200)
def test_what_is_sent_is_what_is_read(steps: list[list[tuple[bytes, bytes]] | int]) -> None:
    kept = BlockEncoder()
    ours, theirs = BlockDecoder(65536), hpack.Decoder(65536)
    for step in steps:
        if isinstance(step, int):
            # hpack forgets a new size when it is told of it twice
            if kept.header_table_size != step:
                kept.header_table_size = step
            continue
        # equal, whether or not they may be indexed
        sent = [tuple(field) for field in step]
        for block in (kept.encode(step), kept.encode(step)):
            assert [tuple(field) for field in theirs.decode(block, raw=True)] == sent
            assert [tuple(field) for field in ours.decode(block)] == sent
    assert list(ours.header_table.dynamic_entries) == list(theirs.header_table.dynamic_entries)


def test_a_block_that_repeats_is_decoded_once_and_few_are_kept() -> None:
    encoder, decoder = BlockEncoder(), BlockDecoder(65536)
    fields = [(b":status", b"200"), (b"content-type", b"application/grpc")]
    blocks = [encoder.encode(fields) for _ in range(3)]
    first, second, third = map(decoder.decode, blocks)
    assert first == second
    assert second is third
    for number in range(2 * KEPT_BLOCKS):
        decoder.decode(encoder.encode([never_indexed(b"grpc-timeout", b"%dm" % number)]))
    again = decoder.decode(blocks[2])
    assert again == third
    assert again is not third


def test_a_long_block_is_not_kept() -> None:
    decoder = BlockDecoder(65536)
    # ":status: 200" by the static table
    assert decoder.decode(b"\x88" * 64) is decoder.decode(b"\x88" * 64)
    assert decoder.decode(b"\x88" * 65) is not decoder.decode(b"\x88" * 65)
