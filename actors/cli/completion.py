"""`katrio completion`: a shell's completion script, generated from the parser so that it never lags behind.

Completes commands, options and their choices; files are left to the shell.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["completion"]

_BASH = """\
_katrio() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "{top}" -- "$word"))
        return
    fi
    case "$command $previous" in
{choices}
    esac
    case "$command" in
{options}
    esac
    [[ $word == -* ]] && COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _katrio katrio
"""


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for `bash`, `zsh` or `fish`."""
    if shell == "fish":
        return "\n".join(_fish(parser)) + "\n"
    script = _bash(parser)
    return f"autoload -U +X bashcompinit && bashcompinit\n{script}" if shell == "zsh" else script


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = next(action.choices for action in parser._actions if action.nargs == argparse.PARSER)
    return cast("dict[str, argparse.ArgumentParser]", found)


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.option_strings]


def _values(command: str, action: argparse.Action) -> str:
    """The words that may stand there. A call may be named in any case, so it is no choice; its names are known all the same."""
    if command == "call" and action.dest == "words":
        from actors.schemas.rpcs import RPCS

        return " ".join(RPCS)
    return " ".join(map(str, action.choices or ()))


def _bash(parser: argparse.ArgumentParser) -> str:
    choices: list[str] = []
    options: list[str] = []
    for name, command in _commands(parser).items():
        words: list[str] = []
        for action in command._actions:
            values = _values(name, action)
            words += action.option_strings or values.split()
            if values:
                line = f'COMPREPLY=($(compgen -W "{values}" -- "$word")); return ;;'
                choices += [f'        "{name} {option}") {line}' for option in action.option_strings]
            if not action.option_strings and values:
                options.append(
                    f'        {name}) [[ $word == -* ]] || {{ COMPREPLY=($(compgen -W "{values}" -- "$word")); return; }} ;;&'
                )
        options.append(f'        {name}) local words="{" ".join(words)}" ;;')
    top = [*_commands(parser), *(option for action in _options(parser) for option in action.option_strings)]
    return _BASH.format(top=" ".join(top), choices="\n".join(choices), options="\n".join(options))


def _fish(parser: argparse.ArgumentParser) -> Iterator[str]:
    for name, command in _commands(parser).items():
        yield f"complete -c katrio -n __fish_use_subcommand -a {name}"
        for action in command._actions:
            values = _values(name, action)
            given = f" -x -a '{values}'" if values else ""
            condition = f"-n '__fish_seen_subcommand_from {name}'"
            for option in action.option_strings:
                form = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
                yield f"complete -c katrio {condition} {form}{given}"
            if not action.option_strings and values:
                yield f"complete -c katrio {condition}{given}"
