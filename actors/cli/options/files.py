"""`katrio validate` and `katrio list`: their arguments, and what they become."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from actors.cli.commands import CommandLine, prepared
from actors.cli.options.arguments import add_filter, add_json
from actors.cli.options.checks import filter_words

if TYPE_CHECKING:
    import argparse

__all__ = ["LIST", "VALIDATE", "FileOptions"]


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Of commands that only read files; `words` are those of --filter."""

    files: tuple[Path, ...]
    json: bool
    words: tuple[str, ...] = ()

    @classmethod
    def parsed(cls, words: argparse.Namespace) -> FileOptions:
        """Take what argparse found."""
        return cls(tuple(Path(file) for file in words.files), words.json, filter_words(getattr(words, "filter", None)))


def _add_validate(validate: argparse.ArgumentParser) -> None:
    validate.add_argument("files", nargs="+", metavar="FILE")
    add_json(validate, "the faults as one JSON list")


def _add_list(listing: argparse.ArgumentParser) -> None:
    listing.add_argument("files", nargs="*", metavar="FILE", default=["scenarios"], help="default: scenarios")
    add_json(listing, "one JSON list")
    add_filter(listing, "only files with one of these words (one,other) in name, file, group or labels")


VALIDATE = CommandLine(prepared(FileOptions.parsed, "files:validate"), _add_validate)
LIST = CommandLine(prepared(FileOptions.parsed, "files:list_files"), _add_list)
