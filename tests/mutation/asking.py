"""Ask the tests about a tree with a fault in it.

Each stage is asked once without any fault: it must pass, and says which test enters which function (`chosen`). Of a stage whose tests
run in this process only those that enter the function are asked. Not for what is drawn, nor for what is made of the verdicts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.mutation.operators import Mutant
    from tests.mutation.plan import Package

__all__ = ["Broken", "Tests"]

# of one test, and of one stage, in seconds; on two quiet cores a stage without a fault takes a minute
TEST_SECONDS, STAGE_SECONDS = 60, 600
# what the time limits of tests/conftest.py and of pytest-timeout say; a test in virtual time that waits for what never comes is
# told so at once, with the place, and fails as any other
_HANG = re.compile(r"conftest\.Hang\b|\bHang: |Timeout( |:|>)")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


class Broken(Exception):
    """The tests do not pass without a fault."""


class Tests:
    """Those of one package, in a copy of the tree."""

    def __init__(self, tree: Path, package: Package, *, quick: bool) -> None:
        self._tree = tree
        self._stages = package.stages[:1] if quick else package.stages
        # the last has other processes, where nothing sees what a test enters
        self._real = package.stages[-1]
        # of a stage, by function: the tests that enter it, the quickest first
        self._entering: dict[Sequence[str], Mapping[str, Sequence[str]]] = {}
        # what Python compiled is taken for a text's by its time, in whole seconds; each text has a time of its own
        self._time = 0

    def ask(self, mutant: Mutant) -> tuple[str, str]:
        """`caught`, `hang` or `survived`, and by which test.

        Raises:
            Broken: a test fails without it.
        """
        for stage in self._stages:
            if stage not in self._entering:
                self._entering[stage] = self._measured(stage)
            file = self._tree / mutant.path
            source = file.read_bytes()
            self._write(file, mutant.applied(source))
            try:
                verdict = self._asked(stage, mutant)
            finally:
                self._write(file, source)
            if verdict[0] != "survived":
                return verdict
        return "survived", ""

    def _asked(self, stage: Sequence[str], mutant: Mutant) -> tuple[str, str]:
        if stage == self._real:
            return self._run(stage)
        tests = self._entering[stage].get(f"{mutant.path}: {mutant.function}", ())
        if not tests:
            return "survived", ""
        chosen = self._tree / "chosen.json"
        chosen.write_text(json.dumps(tests))
        return self._run(_files(tests), KATRIO_MUTATION_CHOSEN=str(chosen))

    def _measured(self, stage: Sequence[str]) -> Mapping[str, Sequence[str]]:
        touches = self._tree / "touches.json"
        verdict, by = self._run(stage, KATRIO_MUTATION_TOUCHES=str(touches))
        if verdict != "survived":
            raise Broken(f"without any fault: {verdict}, {by}")
        entering: dict[str, list[str]] = {}
        for test, (_, places) in sorted(json.loads(touches.read_text()).items(), key=lambda item: item[1][0]):
            for place in places:
                entering.setdefault(place, []).append(test)
        return entering

    def _write(self, file: Path, source: bytes) -> None:
        file.write_bytes(source)
        self._time += 1
        os.utime(file, (self._time, self._time))

    def _run(self, arguments: Iterable[str], **environment: str) -> tuple[str, str]:
        process = subprocess.Popen(
            [
                str(self._tree / "tests/support/isolated-python"), "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
                "-p", "tests.mutation.chosen", "--timeout", str(2 * TEST_SECONDS), "--hypothesis-seed=0", *arguments,
            ],
            cwd=self._tree,
            env={
                **os.environ,
                "PYTHONPATH": str(self._tree),
                "KATRIO_TEST_SECONDS": str(TEST_SECONDS),
                **environment,
            },
            # its own session: what hangs is killed with all that it started
            text=True, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        with process:
            try:
                said, _ = process.communicate(timeout=STAGE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                return "hang", "the whole stage"
        if process.returncode == 0:
            return "survived", ""
        where = _FAILED.search(said)
        return ("hang" if _HANG.search(said) else "caught"), where[1] if where else said[-300:]


def _files(tests: Sequence[str]) -> list[str]:
    """Each once, in the order of their first."""
    return list(dict.fromkeys(test.partition("::")[0] for test in tests))
