"""`scripts/mutants`: draw small faults by a seed, put each into a copy of the tree, and ask the tests.

A fault counts as caught when a test fails. What makes the tests hang counts as survived, though the time limits end it: nobody
reads a hang with pleasure. Equivalent ones, which no test can tell from the code, stand in `equivalent.toml` with the reason.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mutation.asking import Broken, Tests
from tests.mutation.operators import Mutant, mutants
from tests.mutation.plan import PACKAGES, Package

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def every(package: Package) -> Iterator[Mutant]:
    """All that could be drawn."""
    for name in package.sources:
        source = ROOT / name
        for path in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            yield from mutants(str(path.relative_to(ROOT)), path.read_bytes())


def drawn(package: Package, seed: int, count: int) -> list[Mutant]:
    """By the seed: files by their size, and no line twice.

    Each has its place by a hash of its own: a line added to a package moves no other's.
    """

    def place(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {package.name} {mutant.key}".encode()).digest()

    # one of a line, and of those with one key, which records could not tell apart
    taken: set[object] = set()
    chosen: list[Mutant] = []
    for mutant in sorted(every(package), key=place):
        line = mutant.path, mutant.line
        if len(chosen) < count and not taken & {line, mutant.key}:
            taken |= {line, mutant.key}
            chosen.append(mutant)
    return chosen


def _copy(tree: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    (tree / ".venv").symlink_to(ROOT / ".venv")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=32, metavar="N", help="of each package (default: 32)")
    parser.add_argument("--package", action="append", choices=[package.name for package in PACKAGES])
    parser.add_argument(
        "--json", metavar="FILE", help="a line for each mutant; those that stand there are not run again"
    )
    parser.add_argument("--quick", action="store_true", help="ask the unit tests of the package alone")
    parser.add_argument("--list", action="store_true", help="only say which")
    return parser.parse_args()


def _known(records: Path, *, quick: bool) -> dict[str, tuple[str, str]]:
    """What was said before, by key; what passed the quick tests alone is asked about again."""
    lines = map(json.loads, records.read_text().splitlines() if records.exists() else ())
    return {
        line["key"]: (line["verdict"], line["by"])
        for line in lines
        if quick or line["verdict"] == "caught" or not line["quick"]
    }


def main() -> int:
    """Run them; 0 when the score is reached."""
    options = _options()
    results: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="katrio-mutants-", dir="/var/tmp") as directory:
        tree = Path(directory)
        _copy(tree)
        for package in PACKAGES:
            if not options.package or package.name in options.package:
                try:
                    results[package.name] = _judged(package, tree, options)
                except Broken as error:
                    sys.exit(f"{package.name}: {error}")
    return 0 if options.list else _tell(results)


def _judged(package: Package, tree: Path, options: argparse.Namespace) -> Counter[str]:
    counts = Counter[str]()
    records = Path(options.json or os.devnull)
    known = _known(records, quick=options.quick)
    equivalent = tomllib.loads(EQUIVALENT.read_text())
    tests = Tests(tree, package, quick=options.quick)
    for mutant in drawn(package, options.seed, options.count):
        began = time.monotonic()
        if options.list:
            verdict, by = "", ""
        elif mutant.key in equivalent:
            verdict, by = "equivalent", equivalent[mutant.key]
        elif mutant.key in known:
            verdict, by = known[mutant.key]
        else:
            verdict, by = tests.ask(mutant)
            line = {"key": mutant.key, "package": package.name, "verdict": verdict, "by": by, "quick": options.quick}
            with records.open("a") as file:
                file.write(json.dumps({**mutant._asdict(), **line}) + "\n")
        counts[verdict] += 1
        was, now = (" ".join(text.split())[:50] for text in (mutant.was, mutant.now))
        took = f"{time.monotonic() - began:.0f} s"
        print(f"{verdict:10} {mutant.path}:{mutant.line} {mutant.kind}: {was} -> {now}  [{took}] {by}", flush=True)
    return counts


def _tell(results: dict[str, Counter[str]]) -> int:
    every = Counter[str]()
    low = False
    for name, counts in [*results.items(), ("all", every)]:
        judged = counts.total() - counts["equivalent"]
        score = counts["caught"] / judged if judged else 1.0
        low |= score < (0.90 if name == "all" else 0.85) or counts["equivalent"] > counts.total() / 10
        told = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
        print(f"{name:8} {score:6.1%}  {told}")
        every.update(counts)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
