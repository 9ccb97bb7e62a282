"""`katrio doctor` and `katrio sweep`: their arguments."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from actors.cli.commands import CommandLine, work
from actors.cli.options.arguments import add_json, add_run_dir

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["DOCTOR", "SWEEP"]


def _add_doctor(doctor: argparse.ArgumentParser) -> None:
    add_run_dir(doctor)
    add_json(doctor, "one JSON object")


def _doctor(words: argparse.Namespace) -> Callable[[], int]:
    return partial(work("doctor:doctor"), as_json=words.json, run_dir=words.run_dir)


def _sweep(words: argparse.Namespace) -> Callable[[], int]:
    return partial(work("sweep:sweep"), words.run_dir)


DOCTOR = CommandLine(_doctor, _add_doctor)
SWEEP = CommandLine(_sweep, add_run_dir)
