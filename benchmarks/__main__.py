"""Measures figures and prints them beside their goals: a table, or with `--json` one object.

For `scripts/bench`. Every module of this folder that has `FIGURES` brings some; a figure that fails is told and
the others still run. Exit code 1 when one failed to be measured, 0 otherwise: a missed goal is a result, and so is a
figure that got worse.
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

import msgspec
import trio
from rich.console import Console

from benchmarks.compare import BASELINE, Run, compare, comparison_table, read_run, summary, with_noise
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
    parser.add_argument(
        "--compare",
        metavar="OLD.json",
        help="print which figures got worse than in that run of --json, by more than the noise",
    )
    parser.add_argument(
        "--measured", metavar="NEW.json", help="with --compare: measure nothing, compare that run of --json"
    )
    parser.add_argument(
        "--ci",
        action="store_true",
        help=f"--quick --compare {BASELINE}, of the figures in it; nothing when there is no such file",
    )
    asked = parser.parse_args(None if arguments is None else list(arguments))
    modules = {module for module, _ in known.values()}
    if asked.ci:
        if asked.name or asked.compare or asked.measured:
            parser.error("--ci names figures and the file by itself")
        asked.quick, asked.compare = True, str(baseline) if (baseline := Path(BASELINE).absolute()).exists() else None
    if asked.measured and not asked.compare:
        parser.error("--measured goes with --compare OLD.json")
    if asked.markdown and asked.compare:
        parser.error("--compare prints a table of its own, or with --json one object")
    asked.before, asked.now = (_run(parser, file) for file in (asked.compare, asked.measured))
    if asked.ci and asked.before is not None:
        asked.name = [entry.name for entry in asked.before.figures if entry.name in known]
    if unknown := sorted(set(asked.name) - set(known) - modules):
        parser.error(f"no figure {', '.join(unknown)}; --list prints them")
    return asked


def _run(parser: argparse.ArgumentParser, file: str | None) -> Run | None:
    """What an earlier run wrote; a file that is none ends the program with 2."""
    if file is None:
        return None
    try:
        # as whoever called scripts/bench named it
        return read_run(Path(os.environ.get("BENCH_FROM", ""), file).read_bytes())
    except OSError as error:
        parser.error(f"{file}: {error.strerror}")
    except ValueError as error:
        parser.error(f"{file}: expected what scripts/bench --json writes: {error}")


def measure(figure: Figure, effort: Effort) -> dict[str, Any]:
    """One figure's entry, or why there is none."""
    began = time.perf_counter()
    print(f"bench: {figure.name} ...", end="", file=sys.stderr, flush=True)
    try:
        measured = trio.run(figure.measure, effort)
        found = with_noise(entry(figure, measured), measured)
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
    if asked.ci and asked.before is None:
        print(f"bench: no {BASELINE} to compare with")
        return 0
    if asked.now is not None:
        return _tell_comparison(asked, asked.now, None, {})
    about = machine()
    if busy(about):
        print(f"bench: the load is {about['load_1min']}: others work here, trust ratios alone", file=sys.stderr)
    effort = Effort(quick=asked.quick)
    chosen = [figure for name, (module, figure) in known.items() if not asked.name or {name, module} & set(asked.name)]
    entries = [measure(figure, effort) for figure in chosen]
    about["load_1min_after"] = round(os.getloadavg()[0], 2)
    about["quick"] = asked.quick
    document = {"machine": about, "figures": entries}
    failed = any("failed" in shown for shown in entries)
    if asked.before is not None:
        now = msgspec.convert(document, Run, strict=False)
        return _tell_comparison(asked, now, [figure.name for figure in chosen], document) or int(failed)
    if asked.json:
        print(json.dumps(document, indent=2))
    elif asked.markdown:
        print(markdown(entries), end="\n\n")
        print(", ".join(f"{key} {value}" for key, value in about.items()))
    else:
        console = Console(width=None if sys.stdout.isatty() else 150)
        console.print(table(entries))
        console.print(", ".join(f"{key} {value}" for key, value in about.items()), style="dim", highlight=False)
        judged = [shown["met"] for shown in entries if shown.get("met") is not None]
        console.print(f"{sum(judged)} of {len(judged)} goals met")
    return int(failed)


def _tell_comparison(asked: argparse.Namespace, now: Run, chosen: list[str] | None, document: dict[str, Any]) -> int:
    """Print it; 0, as a figure that got worse is a result. With --json beside the figures that were measured."""
    found = compare(asked.before, now, chosen=chosen)
    if asked.json:
        print(json.dumps({**document, "compared": msgspec.to_builtins(found)}, indent=2))
        return 0
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(comparison_table(found))
    console.print(f"beside {asked.compare}: {summary(found)}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
