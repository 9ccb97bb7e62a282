"""The agent's configuration as the command line gives it: a file of TOML, YAML or JSON, and `--dialect`.

For `katrio run` and the pytest plugin. Not for what its keys mean: `actors.agents.choice`.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import yaml

from actors.errors import InvalidArgument
from actors.node.named_files import read_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["agent_settings"]

# a configuration has a handful of keys
_FILE_BYTES = 64 * 1024
_READERS: Mapping[str, Callable[[str], Any]] = {
    ".toml": tomllib.loads,
    ".yaml": yaml.safe_load,
    ".yml": yaml.safe_load,
    ".json": json.loads,
}


def agent_settings(path: Path | None, dialect: str | None = None) -> dict[str, Any] | None:
    """What was given, as a mapping; None: nothing. Raises: InvalidArgument."""
    given: dict[str, Any] = {} if path is None else _read(path)
    if dialect is not None:
        if any(str(key).lower() == "dialect" for key in given):
            raise InvalidArgument(f"--dialect and the Dialect of {path}: write one of them", field="Dialect")
        given["Dialect"] = dialect
    return given or None


def _read(path: Path) -> dict[str, Any]:
    read = _READERS.get(path.suffix)
    if read is None:
        raise InvalidArgument(f"{path}: expected a name that ends in {', '.join(_READERS)}", field="config")
    try:
        data = read_named(path, _FILE_BYTES)
    except OSError as error:
        raise InvalidArgument(f"{path}: {error.strerror}", field="config") from None
    if len(data) > _FILE_BYTES:
        raise InvalidArgument(f"{path}: a configuration has at most {_FILE_BYTES} bytes", field="config")
    try:
        found = read(data.decode())
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidArgument(f"{path}: {error}", field="config") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidArgument(f"{path}: expected keys and values, found {type(found).__name__}", field="config")
    return {str(key): value for key, value in found.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]  # of YAML
