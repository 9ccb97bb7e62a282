"""Arguments that several commands have, each declared once: its name, how its text is read, its bounds and its help.

For the declarations of commands. Not for what makes sense together: `checks`.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from actors.limits import MOST_SLOW
from actors.words import AUTO, ENGINES, AgentType, Dialect

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AGENTS",
    "DIALECTS",
    "ENGINE_CHOICES",
    "MAX_REPEAT",
    "TESTED_AGENTS",
    "add_address",
    "add_agent",
    "add_dialect",
    "add_engine",
    "add_filter",
    "add_jobs",
    "add_json",
    "add_repeat",
    "add_report_files",
    "add_run_dir",
    "add_slow",
    "add_tested_agent",
    "file_path",
    "number",
]

# the default first; all but noop speak a protocol
AGENTS = tuple(str(agent) for agent in reversed(AgentType))
TESTED_AGENTS = tuple(agent for agent in AGENTS if agent != AgentType.NOOP)
DIALECTS = tuple(map(str, Dialect))
ENGINE_CHOICES = (AUTO, *ENGINES)
# worlds open at once: each has guests, threads and descriptors of its own
MAX_JOBS = 64
MAX_REPEAT = 100_000

N = TypeVar("N", int, float)


def number(
    read: Callable[[str], N], least: float = -math.inf, most: float = math.inf, *, what: str = ""
) -> Callable[[str], N]:
    """The `type` of an option: what `read` makes of its text, within both bounds; else it is told what was expected."""
    expected = what + (f"{least:g} to {most:g}" if most < math.inf else "")

    def bounded(text: str) -> N:
        try:
            found = read(text)
        except ValueError:
            found = None
        if found is None or not least <= found <= most:
            raise argparse.ArgumentTypeError(f"{text:.40}: expected {expected}")
        return found

    return bounded


def file_path(text: str) -> Path | None:
    """The `type` of an option that names a file: an empty text, as of an unset variable of a shell, names none."""
    return Path(text) if text else None


def _directory(text: str) -> Path | None:
    return Path(text).absolute() if text else None


def add_json(command: argparse.ArgumentParser, what: str) -> None:
    """`--json`: `what` is printed instead of lines for people."""
    command.add_argument("--json", action="store_true", help=f"print {what}, and nothing else")


def add_report_files(command: argparse.ArgumentParser, *, page: str) -> None:
    """`--junit` and `--html`, whose page has `page`."""
    command.add_argument("--junit", type=file_path, metavar="FILE", help="write JUnit XML")
    command.add_argument("--html", type=file_path, metavar="FILE", help=f"write one page with {page}")


def add_agent(command: argparse.ArgumentParser) -> None:
    """`--agent`, any, and `--dialect`."""
    command.add_argument("--agent", choices=AGENTS, default="kata", help="the agent to use (default: %(default)s)")
    add_dialect(command)


def add_tested_agent(command: argparse.ArgumentParser) -> None:
    """`--agent`, one that speaks a protocol, with `--dialect` and `--tty-address`."""
    command.add_argument(
        "--agent", choices=TESTED_AGENTS, default="kata", help="whose protocol it speaks (default: %(default)s)"
    )
    add_dialect(command)
    command.add_argument(
        "--tty-address", metavar="URL", help="of hyperstart's streams; known for .../hyper.sock and port 2718"
    )


def add_dialect(command: argparse.ArgumentParser) -> None:
    """`--dialect`."""
    command.add_argument("--dialect", choices=DIALECTS, help="of the kata agent (default: ttrpc; grpc is Kata 1.x's)")


def add_engine(command: argparse.ArgumentParser, what: str = "what runs the containers") -> None:
    """`--engine`."""
    command.add_argument("--engine", choices=ENGINE_CHOICES, default=AUTO, help=f"{what} (default: %(default)s)")


def add_address(command: argparse.ArgumentParser, what: str, *, required: bool = False) -> None:
    """`--address`."""
    command.add_argument("--address", required=required, metavar="URL", help=what)


def add_run_dir(command: argparse.ArgumentParser) -> None:
    """`--run-dir`, which becomes an absolute path."""
    command.add_argument(
        "--run-dir", type=_directory, metavar="DIR", help="where the run directories of sandboxes and guests are"
    )


def add_filter(command: argparse.ArgumentParser, which: str) -> None:
    """`--filter`; see `checks.filter_words`."""
    command.add_argument("--filter", metavar="WORDS", help=which)


def add_jobs(command: argparse.ArgumentParser, what: str, *, default: int | None = None) -> None:
    """`--jobs`."""
    command.add_argument("--jobs", type=number(int, 1, MAX_JOBS), default=default, metavar="N", help=what)


def add_repeat(command: argparse.ArgumentParser, what: str) -> None:
    """`--repeat`."""
    command.add_argument("--repeat", type=number(int, 1, MAX_REPEAT), default=1, metavar="N", help=what)


def add_slow(command: argparse.ArgumentParser, what: str) -> None:
    """`--slow`: a factor."""
    factor = number(float, 1, MOST_SLOW, what="how many times as slow, ")
    command.add_argument("--slow", type=factor, default=1.0, metavar="N", help=what)
