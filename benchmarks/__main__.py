"""Runs the figures of this folder and prints them: a table, or with `--json` one object.

For `scripts/bench`. Every other module here has `async def measure() -> dict[name, {value, unit, against, ratio}]`
that measures both sides of its ratios itself, in one run. A module that fails is told, the others still run.
Not for goals: whether a figure is good enough is not judged here.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import trio
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIGURE_KEYS = {"value", "unit", "against", "ratio"}


def module_names() -> list[str]:
    """The modules of this folder that measure something, by file name."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def machine() -> dict[str, Any]:
    """What the figures were measured on; `load_1min` counts runnable tasks, other people's too."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load_1min": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "root": os.geteuid() == 0,
    }


def measure(name: str) -> dict[str, dict[str, Any]]:
    """The figures of one module.

    Raises ValueError when one of them has not the agreed keys; whatever the module raises passes through.
    """
    figures: dict[str, dict[str, Any]] = trio.run(importlib.import_module(f"benchmarks.{name}").measure)
    for figure, fields in figures.items():
        if missing := FIGURE_KEYS - fields.keys():
            raise ValueError(f"benchmarks/{name}.py: figure {figure!r} lacks {', '.join(sorted(missing))}")
    return figures


def shown(value: object) -> str:
    """One cell of the table: a number shortened, a named baseline as `number (name)`."""
    if isinstance(value, dict):
        named = cast("Mapping[str, object]", value)
        rest = ", ".join(str(part) for key, part in named.items() if key != "value")
        return f"{shown(named.get('value'))} ({rest})"
    if isinstance(value, float):
        return f"{value:,.2f}" if value < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(figures: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]) -> Table:
    """All figures, one a row, with the machine below."""
    made = Table(caption=", ".join(f"{key} {value}" for key, value in about.items()))
    made.add_column("figure", no_wrap=True)
    for column in ("value", "unit", "against", "ratio"):
        made.add_column(column, justify="left" if column in {"unit", "against"} else "right")
    for name, fields in figures.items():
        made.add_row(
            name,
            *(shown(fields[column]) for column in ("value", "unit", "against", "ratio")),
        )
    return made


def options(arguments: Iterable[str] | None = None) -> argparse.Namespace:
    """What was asked for; an unknown name ends the program with 2."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures katrio against its baselines.")
    parser.add_argument("name", nargs="*", help="a file of benchmarks/ without its .py; none: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    asked = parser.parse_args(None if arguments is None else list(arguments))
    if unknown := sorted(set(asked.name) - set(module_names())):
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(module_names())}")
    return asked


def main() -> int:
    """Run what was asked for; 1 if a module failed."""
    asked = options()
    names = asked.name or module_names()
    if asked.list:
        print("\n".join(names))
        return 0
    about, figures, failed = machine(), dict[str, dict[str, Any]](), list[str]()
    for name in names:
        began = time.perf_counter()
        print(f"bench: {name} ...", end="", file=sys.stderr, flush=True)
        try:
            figures |= measure(name)
        except Exception:
            failed.append(name)
            print(" failed", file=sys.stderr)
            traceback.print_exc()
        else:
            print(f" {time.perf_counter() - began:.1f} s", file=sys.stderr)
    about["load_1min_after"] = round(os.getloadavg()[0], 2)
    if asked.json:
        print(json.dumps({"_machine": about, **figures}, indent=2))
    else:
        Console().print(table(figures, about))
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
