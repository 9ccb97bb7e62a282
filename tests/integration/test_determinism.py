"""200 seeds twice, in two processes with other hash seeds and other noise on the heap: no difference."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 200
MOST_EQUAL = 5
SCENARIO = str(ROOT / "scenarios" / "exec-exit-codes.yaml")


def played(
    directory: Path, file: str, first: int, end: int, *, noises: Sequence[int], change: str = "none"
) -> list[list[str]]:
    """What a process for each noise says of these seeds; they run side by side."""
    with ExitStack() as stack:
        processes: list[tuple[subprocess.Popen[str], Path]] = []
        for noise in noises:
            errors = directory / f"errors-{noise}-{change}"
            argv = [sys.executable, "-m", "tests.support.seeds_program", file, str(first), str(end), str(noise), change]
            process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": str(noise)},
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(errors.open("w")),
                text=True,
            )
            processes.append((stack.enter_context(process), errors))
        told: list[list[str]] = []
        for process, errors in processes:
            out, _ = process.communicate(timeout=300)
            assert process.returncode == 0, errors.read_text()
            told.append(out.splitlines())
        return told


def digests(told: list[str]) -> list[str]:
    return [line.split()[1] for line in told]


def test_two_hundred_seeds_twice_and_no_difference(tmp_path: Path) -> None:
    first, second = played(tmp_path, SCENARIO, 0, SEEDS, noises=(1, 4711))
    assert len(first) == SEEDS
    assert first == second
    assert len(set(digests(first))) >= SEEDS - MOST_EQUAL
    assert all(line.endswith("held") for line in first)


def test_cancels_and_a_death_make_no_difference_either(tmp_path: Path) -> None:
    first, second = played(tmp_path, "busy", 0, 5, noises=(2, 4712))
    assert first == second
    assert len(set(digests(first))) == 5


def test_the_noise_is_loud_enough_to_give_a_leak_away(tmp_path: Path) -> None:
    first, second = map(digests, played(tmp_path, SCENARIO, 0, 3, noises=(3, 4713), change="leak"))
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_one_checkpoint_more_in_the_product_is_another_digest(tmp_path: Path) -> None:
    (plain,) = map(digests, played(tmp_path, SCENARIO, 0, 3, noises=(4,)))
    (changed,) = map(digests, played(tmp_path, SCENARIO, 0, 3, noises=(4,), change="checkpoint"))
    assert all(one != other for one, other in zip(plain, changed, strict=True))
