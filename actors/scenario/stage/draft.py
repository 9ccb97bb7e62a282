"""A scenario file that is being written from what was asked: its sandboxes, and a name for everything on the wire.

For `katrio record`: each step says how it would have asked the same (`recorded`), and names things by this. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actors.scenario.language.scalars import size_text

if TYPE_CHECKING:
    from actors.scenario.stage.recording import RecordedOutputs
    from actors.wire.spec import ContainerSpec, ProcessSpec

__all__ = ["Draft", "Tree", "container_tree", "process_tree", "written"]

Tree = dict[str, Any]


@dataclass
class Draft:
    """One file. `outputs` is what was read of outputs."""

    outputs: RecordedOutputs
    sandboxes: Tree = field(default_factory=dict[str, Any])
    # processes whose outputs are written down
    told: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    # of each container on the wire -> its name in the file; of each process there -> the same
    _names: dict[str, str] = field(default_factory=dict[str, str])
    _used: Counter[str] = field(default_factory=Counter[str])

    def containers(self, sandbox: str) -> Tree:
        """The containers that the file declares in the sandbox of this address, which it declares as well."""
        declared: Tree = self.sandboxes.setdefault(self.named(sandbox, sandbox), {"containers": {}})["containers"]
        return declared

    def named(self, key: str, wanted: str, *, again: bool = False) -> str:
        """A name of the file for something on the wire: the same each time, unless a process takes the id again."""
        if key not in self._names or again:
            stem = re.sub(r"[^A-Za-z0-9_-]", "-", wanted)[:36].strip("-_") or "it"
            stem = stem if len(stem) > 1 else f"{stem}-1"
            self._used[stem] += 1
            self._names[key] = stem if self._used[stem] == 1 else f"{stem}-{self._used[stem]}"
        return self._names[key]

    def has(self, key: str) -> bool:
        """Whether something on the wire has a name already."""
        return key in self._names

    def target(self, address: str) -> str:
        """The name of a sandbox or container."""
        return self.named(address, address.rpartition("/")[2])

    def process(self, address: str, process: str) -> str:
        """The name of a container's process; the empty one is its init, which goes by the container's name."""
        return self.named(f"{address} {process}", process) if process else self.target(address)


def container_tree(spec: ContainerSpec) -> Tree:
    """How a file declares such a container."""
    tree = process_tree(spec.process)
    if spec.image != "busybox":
        tree["image"] = written(spec.image)
    if spec.readonly:
        tree["readonly"] = True
    memory = spec.resources.memory_bytes
    if memory is not None and memory > 0:
        tree["memory"] = size_text(memory)
    if spec.resources.pids is not None:
        tree["pids"] = spec.resources.pids
    if spec.resources.cpu_quota_us is not None and spec.resources.cpu_period_us:
        tree["cpus"] = spec.resources.cpu_quota_us / spec.resources.cpu_period_us
    return tree


def process_tree(spec: ProcessSpec) -> Tree:
    """How a file has such a process run."""
    shell = spec.args[:2] == ("sh", "-c") and len(spec.args) == 3
    tree: Tree = {"command": written(spec.args[2]) if shell else [written(word) for word in spec.args]}
    if spec.env:
        tree["env"] = {name: written(value) for name, value in spec.env.items()}
    if spec.cwd != "/":
        tree["cwd"] = written(spec.cwd)
    if spec.user:
        tree["user"] = written(spec.user)
    if spec.tty:
        tree["tty"] = True
    if spec.size is not None:
        tree["size"] = {"rows": spec.size.rows, "columns": spec.size.columns}
    return tree


def written(value: Any) -> Any:
    """Texts as a file has them, in whatever holds them: `$${` for `${`."""
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]  # JSON
    if isinstance(value, list):
        return [written(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
    return value.replace("${", "$${") if isinstance(value, str) else value
