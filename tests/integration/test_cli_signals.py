"""Signals that ask for the end, at any moment of a command and in any number: an exit code, and never a death by one.

A process for each moment, from the first on at which one of ours can be caught: what comes before is Python's own start.
Nine seconds alone.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import KATRIO, ROOT, written

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = """
name: short
why: so
sandboxes: {box: {containers: {one: {command: [sleep, "100"]}}}}
steps:
  - {state: one, expect: running}
"""
COMMANDS = {
    "run": ("run", "--engine", "processes", "{file}"),
    "run --world simulated": ("run", "--world", "simulated", "--seed", "1", "{file}"),
    "validate": ("validate", "{file}"),
    "guest": ("guest", "--engine", "processes", "--address", "unix://{dir}/a.sock"),
}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def _begin(argv: Sequence[str]) -> subprocess.Popen[str]:
    """Started, and listening to signals; or ended already."""
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), "0")
        if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
            break
    return process


@pytest.mark.parametrize("name", COMMANDS)
def test_signals_at_any_moment_end_by_an_exit_code(name: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    argv = [KATRIO, *(word.format(file=written(tmp_path, FILE), dir=tmp_path) for word in COMMANDS[name])]
    rng = random.Random(name)
    began = time.monotonic()
    if name == "guest":
        whole = 1.0
    else:
        assert subprocess.run(argv, cwd=ROOT, capture_output=True, check=False).returncode == 0
        whole = time.monotonic() - began
    for _ in range(6):
        gap = rng.choice([0, 0, 0.001, 0.05])
        asked = [rng.choice([signal.SIGINT, signal.SIGINT, *CODES]) for _ in range(3)]
        with _begin(argv) as process:
            time.sleep(rng.uniform(0, whole))
            for signum in asked:
                process.send_signal(signum)
                time.sleep(gap)
            _, err = process.communicate(timeout=60)
        assert process.returncode in {0, *(CODES[signum] for signum in asked)}, (asked, gap, err)
        assert "Traceback" not in err, (asked, gap)
