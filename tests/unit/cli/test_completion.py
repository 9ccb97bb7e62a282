"""The completion script: what it offers, asked of a bash; and that no kind of value was forgotten."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from actors.cli.completion import VALUES, completion, every_action
from actors.cli.options.printed import SHELLS
from actors.cli.parser import build_parser
from actors.schemas.rpcs import RPCS

if TYPE_CHECKING:
    from pathlib import Path

# what nobody can guess
FREE = {"A:B", "N", "NAME=TEXT", "SECONDS", "URL", "WORDS"}
# a line up to where Tab is pressed, as bash divides it into words, and what it offers
OFFERED = {
    "co": "conformance completion",
    "help re": "record",
    "completion ": "bash zsh fish",
    "run --wo": "--world",
    "run --world ": "embedded simulated attached",
    "run --world s": "simulated",
    "run --world simulated one": "one.yaml",
    "run one.yaml t": "two.yaml",
    "run one.yaml --engine r": "runc",
    "run one.yaml --engine runc t": "two.yaml",
    "run --run-dir ": "dir",
    "run --diff one.yaml t": "two.yaml",
    "record one.yaml t": "two.yaml",
    "conformance --lacks tty --lacks ": "cgroups isolation tty",
    "conformance --address unix : ///run --ag": "--agent --agent-command",
    "conformance --known o": "one.yaml",
    "call GetO": "GetOOMEvent",
    "call --address unix : ///run GetO": "GetOOMEvent",
    "call GetOOMEvent --no": "--no-defaults",
    "call WriteStdin data =@ t": "@two.yaml",
}
ASK = """\
ask() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _shtab_katrio 2>/dev/null
    echo "${COMPREPLY[*]}"
}
"""


def test_it_offers_what_may_stand_there(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "dir").mkdir()
    # after a space an empty word is begun
    asked = "".join(f"ask katrio {line}{chr(39) * 2 if line.endswith(' ') else ''}\n" for line in OFFERED)
    done = subprocess.run(
        ["bash", "--norc", "-c", completion(build_parser(), "bash") + ASK + asked],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert dict(zip(OFFERED, done.stdout.splitlines(), strict=True)) == OFFERED


def test_each_kind_of_value_is_completed_or_free() -> None:
    for action in every_action(build_parser()):
        if action.metavar is not None and not action.choices:
            assert action.metavar in VALUES or action.metavar in FREE, action


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_knows_calls_and_options(shell: str) -> None:
    script = completion(build_parser(), shell)
    assert all(name in script for name in (*RPCS, "validate", "no-defaults", "isolation"))


def test_in_zsh_an_argument_may_come_again_and_a_name_have_a_colon() -> None:
    script = completion(build_parser(), "zsh")
    assert '"*:scenario files (.yaml, .py), directories of them, - for stdin:_files"' in script
    assert r":A\:B:" in script
