"""`katrio record`: its arguments."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from actors.cli.commands import CommandLine, work
from actors.cli.options.arguments import add_engine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["RECORD"]


def _add_arguments(record: argparse.ArgumentParser) -> None:
    record.add_argument("out", type=Path, metavar="OUT.yaml", help="the scenario file to write")
    record.add_argument("program", type=Path, metavar="PROGRAM.py", help="a file with an async def scenario(world)")
    add_engine(record)
    record.add_argument("--force", action="store_true", help="write over OUT.yaml when it is there")


def _prepare(words: argparse.Namespace) -> Callable[[], int]:
    return partial(work("record:record"), words.out, words.program, engine=words.engine, force=words.force)


RECORD = CommandLine(_prepare, _add_arguments)
