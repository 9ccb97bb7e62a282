"""The fuzzer itself: defects that are planted in a codec are found, told, made small, and shown again by the command printed."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest

from tests.fuzz.__main__ import main
from tests.fuzz.engine import Hung, attempt, measure, run
from tests.fuzz.layout import Body, Field, Frames, Layout, frames_of
from tests.fuzz.target import Target, Wrong, claims_of, expect

# | length u32 | kind u8 | body |
LENGTH = Field("length", 0, 4, (100,))
LAYOUT = Layout(Body.BYTES, header=5, fields=(LENGTH, Field("kind", 4, 1)), length=LENGTH)
SESSION = tuple(struct.pack(">IB", size, 1) + b"x" * size for size in (0, 3, 20))


class Right:
    """A decoder as it should be; each below has one thing wrong."""

    most = 100

    def __init__(self) -> None:
        self.held = b""
        self.found: list[bytes] = []
        self.failed = False

    def feed(self, piece: bytes) -> None:
        self.held += piece
        while not self.failed and len(self.held) >= 5:
            length, _ = struct.unpack_from(">IB", self.held)
            if length > self.most:
                self.refuse()
            elif len(self.held) - 5 >= length:
                self.take(length)
            else:
                break

    def refuse(self) -> None:
        self.failed = True
        self.held = b""

    def take(self, length: int) -> None:
        self.found.append(self.held[5 : 5 + length])
        self.held = self.held[5 + length :]


class ForgetsWhatWasCut(Right):
    def feed(self, piece: bytes) -> None:
        self.held = b""
        super().feed(piece)


class RaisesOnKindNine(Right):
    def take(self, length: int) -> None:
        if self.held[4] == 9:
            raise KeyError(9)
        super().take(length)


class BelievesALength(Right):
    most = 2**32

    def feed(self, piece: bytes) -> None:
        if len(piece) >= 5:
            room = bytearray(min(struct.unpack_from(">I", piece)[0], 16 * 1024 * 1024))
            del room
        super().feed(piece)


class NeverEnds(Right):
    def refuse(self) -> None:
        while True:
            pass


class LooksAtEveryByteAgain(Right):
    def feed(self, piece: bytes) -> None:
        super().feed(piece)
        for start in range(len(self.held)):
            for byte in self.held[start:]:
                self.found += [bytes((byte,))] * bool(len(self.held) > 10**9)


def target_of(decoder: type[Right]) -> Target:
    def check(pieces: Frames) -> None:
        cut, whole = decoder(), decoder()
        for piece in pieces:
            cut.feed(piece)
        whole.feed(b"".join(pieces))
        expect(cut.found == whole.found, "other frames at another chunking")

    return Target(decoder.__name__, "a planted defect", LAYOUT, lambda: [SESSION], check, calls=(200, 20))


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    target = target_of(Right)
    report = run(target, seed=1, frames=3000)
    assert report.failures == []
    assert report.frames >= 3000
    for pieces in claims_of(target):
        measure(target, pieces, memory=1024 * 1024)


@pytest.mark.parametrize(
    ("decoder", "told", "most"),
    # what is left of it is one frame, as short as it may be
    [(ForgetsWhatWasCut, "another chunking", 5), (RaisesOnKindNine, "KeyError: 9", 5)],
)
def test_a_defect_is_found_and_made_small(decoder: type[Right], told: str, most: int) -> None:
    report = run(target_of(decoder), seed=1, frames=20_000)
    assert report.failures, "the planted defect was not found"
    for failure in report.failures:
        assert told in failure.error
        assert sum(map(len, failure.pieces)) <= most
        assert failure.whole >= most


def test_what_never_ends_is_ended() -> None:
    target = target_of(NeverEnds)
    assert isinstance(attempt(target, (b"\xff" * 5,), seconds=0.1), Hung)
    assert attempt(target, SESSION, seconds=0.1) is None


def test_a_length_that_is_believed_is_too_much_memory() -> None:
    target = target_of(BelievesALength)
    for pieces in claims_of(target):
        with pytest.raises(Wrong, match="bytes were allocated"):
            measure(target, pieces, memory=1024 * 1024)


def test_work_that_grows_faster_than_the_bytes_is_too_much() -> None:
    target = target_of(LooksAtEveryByteAgain)
    header = struct.pack(">IB", 90, 1)
    with pytest.raises(Wrong, match="calls for"):
        measure(target, (header, *(b"x" for _ in range(89))))


def test_sessions_are_cut_where_their_frames_end() -> None:
    assert frames_of(LAYOUT, b"".join(SESSION)) == SESSION
    assert frames_of(LAYOUT, b"".join(SESSION) + b"\0\0") == (*SESSION, b"\0\0")


def test_the_command_that_is_printed_shows_the_failure_again(capsys: pytest.CaptureFixture[str]) -> None:
    known = {"broken": replace(target_of(RaisesOnKindNine), name="broken")}
    assert main(["--frames", "20000", "--seed", "1"], known) == 1
    printed = capsys.readouterr().out
    commands = [line.split()[1:] for line in printed.splitlines() if line.strip().startswith("scripts/fuzz --target")]
    assert {command[2] for command in commands} == {"--seed", "--replay"}
    for command in commands:
        assert main(command, known) == 1
        assert "KeyError: 9" in capsys.readouterr().out
    assert main(["--target", "broken", "--replay", "0000000008"], known) == 0


def test_the_result_as_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    known: dict[str, Target] = {name: replace(target_of(Right), name=name) for name in ("one", "two")}
    assert main(["--frames", "400", "--seed", "5", "--json"], known) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert (told["seed"], [one["target"] for one in told["targets"]]) == (5, ["one", "two"])
    assert told["frames"] == sum(one["frames"] for one in told["targets"]) >= 400
    assert "seed 5" in printed.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--case", "1", "--seed", "1"], "need one --target"),
        (["--target", "one", "--case", "1"], "needs the --seed"),
        (["--target", "one", "--replay", "0g"], "hexadecimal"),
        (["--target", "three"], "invalid choice"),
        (["--frames", "0"], "at least 1"),
    ],
)
def test_a_usage_that_makes_no_sense_is_told(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {name: replace(target_of(Right), name=name) for name in ("one", "two")}
    with pytest.raises(SystemExit) as ended:
        main(arguments, known)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err
