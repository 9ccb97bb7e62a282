"""Libraries that cost a start are imported by who uses them, and by nobody else."""

from __future__ import annotations

import subprocess
import sys

import pytest

# of the standard library and of all else that commands need, what `katrio --help` does without
UNASKED = (
    *("dataclasses", "logging", "msgspec", "pathlib", "trio", "transports.address"),
    "actors.limits",
    "actors.words",
)
# h2 for gRPC, rich for a live view, PyYAML for scenario files, shtab for the completion script
HEAVY = ("h2", "hpack", "rich", "shtab", "yaml")


@pytest.mark.parametrize("module", ["actors.guest.serve", "katrio", "actors.cli.main"])
def test_it_starts_without(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & {set(HEAVY)!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


@pytest.mark.parametrize("words", [["--help"], ["help"]])
def test_the_command_starts_with_the_table_of_commands_alone(words: list[str]) -> None:
    program = f"""
import sys, actors.cli.start
sys.argv[1:] = {words}
code = actors.cli.start.main()
print(code, sorted(set(sys.modules) & {set(UNASKED)!r}), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == "0 []\n"
