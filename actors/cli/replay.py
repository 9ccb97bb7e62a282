"""The command that shows one simulated run again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.cli.options.run import RunOptions

__all__ = ["replay_command"]


def replay_command(options: RunOptions, file: str, seed: int) -> str:
    """What to type to see this very run again."""
    words = ["katrio", "run", "--world", "simulated", "--seed", str(seed)]
    if options.agent != "kata":
        words += ["--agent", options.agent]
    if options.agent_config is not None:
        words += ["--agent-config", str(options.agent_config)]
    if options.dialect is not None:
        words += ["--dialect", options.dialect]
    for name, text in options.given:
        words += ["--var", f"{name}={text}"]
    if options.keep_going:
        words.append("--keep-going")
    return shlex.join([*words, file])
