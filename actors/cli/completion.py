"""`katrio completion`: a shell's completion script, which shtab makes of the parser, so that it never lags behind.

How the help names a value says what it is, and so what completes it. shtab is imported for this command alone.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, cast

import shtab

from actors.schemas.rpcs import RPCS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["VALUES", "completion", "every_action"]

_CALLS = " ".join(RPCS)
# a call may be named in any case, so it is no choice of the parser's; after @ there is a file, and for bash another word
_CALL: shtab.CompleteType = {
    "bash": "_katrio_call",
    "zsh": "_katrio_call",
    "fish": "(_katrio_call)",
    "preamble": {
        "bash": f"""\
_katrio_call() {{
  if [[ ${{COMP_WORDS[COMP_CWORD-1]}} == *@ ]]; then compgen -f -P @ -- "$1"; else compgen -W "{_CALLS}" -- "$1"; fi
}}""",
        "zsh": f"_katrio_call() {{ if compset -P '*@'; then _files; else compadd \"$@\" -- {_CALLS}; fi }}",
        "fish": f"""\
function _katrio_call
  set -l word (string split -m1 @ -- (commandline -ct))
  if set -q word[2]
    for path in (__fish_complete_path $word[2]); echo $word[1]@$path; end
  else
    printf '%s\\n' {_CALLS}
  end
end""",
    },
}
# what completes a value, by its name in the help
VALUES = {
    "CMD": shtab.FILE,
    "DIR": shtab.DIRECTORY,
    "FILE": shtab.FILE,
    "JOURNAL": shtab.FILE,
    "OUT.yaml": shtab.FILE,
    "PATH": shtab.DIRECTORY,
    "PROGRAM.py": shtab.FILE,
    "RPC": _CALL,
}


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for `bash`, `zsh` or `fish`; the parser is spent by it."""
    for action in every_action(parser):
        if isinstance(action.metavar, str):
            if action.metavar in VALUES:
                action.complete = VALUES[action.metavar]  # type: ignore[attr-defined]
            # it is written into a list that zsh divides by colons
            action.metavar = action.metavar.replace(":", r"\:")
    script = shtab.complete(parser, shell)
    if shell == "zsh":
        # of an argument that may come again shtab 1.13 completes the first alone
        return script.replace('"(*)::', '"*:').replace('"(*):', '"*:')
    # in bash the path of an address is a word of its own, and what completes nothing else is a file
    return f"{script}\ncomplete -o bashdefault -o default -F _shtab_katrio katrio\n" if shell == "bash" else script


def every_action(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Of the parser and of its commands."""
    for action in parser._actions:
        yield action
        if action.nargs == argparse.PARSER:
            for command in cast("dict[str, argparse.ArgumentParser]", action.choices).values():
                yield from every_action(command)
