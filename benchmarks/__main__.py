"""Measures figures and prints them beside their goals: a table, or with `--json` one object.

For `scripts/bench`. Every module of this folder that has `FIGURES` brings some; a figure that fails is told and
the others still run. Exit code 1 when one failed to be measured, 0 otherwise: a missed goal is a result.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from rich.console import Console

from benchmarks.figure import Effort, Figure, Skipped
from benchmarks.report import busy, entry, machine, markdown, table

if TYPE_CHECKING:
    from collections.abc import Iterable


def all_figures() -> dict[str, tuple[str, Figure]]:
    """Every figure by name, with its module's, in the order in which they are measured.

    Raises ValueError when two have one name.
    """
    found: dict[str, tuple[str, Figure]] = {}
    for stem in sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")):
        figures: tuple[Figure, ...] = getattr(importlib.import_module(f"benchmarks.{stem}"), "FIGURES", ())
        for figure in figures:
            if figure.name in found:
                raise ValueError(f"benchmarks/{stem}.py: {figure.name!r} is also in {found[figure.name][0]}.py")
            found[figure.name] = (stem, figure)
    return found


def options(known: dict[str, tuple[str, Figure]], arguments: Iterable[str] | None = None) -> argparse.Namespace:
    """What was asked for; an unknown name ends the program with 2."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures katrio against its baselines.")
    parser.add_argument("name", nargs="*", help="a figure, or a file of benchmarks/ without its .py; none: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/performance.md has it")
    parser.add_argument("--list", action="store_true", help="print the figures and what they measure, and end")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look while tuning, not a result")
    asked = parser.parse_args(None if arguments is None else list(arguments))
    modules = {module for module, _ in known.values()}
    if unknown := sorted(set(asked.name) - set(known) - modules):
        parser.error(f"no figure {', '.join(unknown)}; --list prints them")
    return asked


def measure(figure: Figure, effort: Effort) -> dict[str, Any]:
    """One figure's entry, or why there is none."""
    began = time.perf_counter()
    print(f"bench: {figure.name} ...", end="", file=sys.stderr, flush=True)
    try:
        found = entry(figure, trio.run(figure.measure, effort))
    except Skipped as reason:
        print(f" skipped: {reason}", file=sys.stderr)
        return {"name": figure.name, "skipped": str(reason)}
    except Exception as error:
        print(" failed", file=sys.stderr)
        traceback.print_exc()
        return {"name": figure.name, "failed": f"{type(error).__name__}: {error}"}
    print(f" {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return found


def main() -> int:
    """Run what was asked for; 1 if a figure failed."""
    known = all_figures()
    asked = options(known)
    if asked.list:
        width = max(len(name) for name in known)
        for name, (module, figure) in known.items():
            print(f"{name:{width}}  {figure.about} ({module})")
        return 0
    about = machine()
    if busy(about):
        print(f"bench: the load is {about['load_1min']}: others work here, trust ratios alone", file=sys.stderr)
    effort = Effort(quick=asked.quick)
    chosen = [figure for name, (module, figure) in known.items() if not asked.name or {name, module} & set(asked.name)]
    entries = [measure(figure, effort) for figure in chosen]
    about["load_1min_after"] = round(os.getloadavg()[0], 2)
    about["quick"] = asked.quick
    if asked.json:
        print(json.dumps({"machine": about, "figures": entries}, indent=2))
    elif asked.markdown:
        print(markdown(entries), end="\n\n")
        print(", ".join(f"{key} {value}" for key, value in about.items()))
    else:
        console = Console(width=None if sys.stdout.isatty() else 150)
        console.print(table(entries))
        console.print(", ".join(f"{key} {value}" for key, value in about.items()), style="dim", highlight=False)
        judged = [shown["met"] for shown in entries if shown.get("met") is not None]
        console.print(f"{sum(judged)} of {len(judged)} goals met")
    return 1 if any("failed" in shown for shown in entries) else 0


if __name__ == "__main__":
    sys.exit(main())
