"""The words of a command line as frozen, validated options.

For `main`, which parses, and the commands, which get nothing else. Not for what the files contain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["AGENTS", "ENGINES", "WORLDS", "FileOptions", "RunOptions", "UsageError"]

WORLDS = ("embedded", "simulated", "attached")
AGENTS = ("kata", "noop")
ENGINES = ("auto", "runc", "processes")


class UsageError(Exception):
    """The words are fine each by itself and make no sense together; the message says what to write."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Of commands that only read files."""

    files: tuple[Path, ...]
    json: bool

    @classmethod
    def parsed(cls, words: argparse.Namespace) -> FileOptions:
        """Validate what argparse found."""
        return cls(tuple(Path(file) for file in words.files), words.json)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Of `katrio run`. `run_dir` None: the default of this user on this host."""

    files: tuple[Path, ...]
    world: str
    agent: str
    engine: str
    seed: int | None
    json: bool
    run_dir: Path | None
    keep_going: bool

    @classmethod
    def parsed(cls, words: argparse.Namespace) -> RunOptions:
        """Validate what argparse found. Raises: UsageError."""
        if words.seed is not None and words.world != "simulated":
            raise UsageError(f"--seed is for --world simulated; the {words.world} world has none")
        if words.engine != "auto" and words.world != "embedded":
            raise UsageError(f"--engine is for --world embedded; the {words.world} world brings its own")
        if words.engine != "auto" and words.agent == "noop":
            raise UsageError("--engine has no effect with --agent noop, which runs nothing")
        return cls(
            files=tuple(Path(file) for file in words.files),
            world=words.world,
            agent=words.agent,
            engine=words.engine,
            seed=words.seed,
            json=words.json,
            run_dir=Path(words.run_dir).absolute() if words.run_dir else None,
            keep_going=words.keep_going,
        )
