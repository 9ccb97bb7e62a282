"""What was asked of a system, as a scenario file: topology, steps in order, and what came of them as expectations.

For `katrio record`. Pure: recorded asks in, YAML out. A wait stands where it ended, every other ask where it began, so that
what went on at once stands one after the other. What was read of a process's outputs to their end is expected where its end is first
waited for: as text, or by size and digest. An ask that was given up is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from actors.scenario.asks import ASK_WORDS
from actors.scenario.recording import HEARD_BYTES, Heard
from actors.scenario.scalars import SIGNALS, size_text
from actors.wire.sandbox_verbs import Checked, CreateContainer
from actors.wire.spec import ContainerSpec, ExitStatus, ProcessSpec, Stopped
from actors.wire.verbs import CreateSandbox, Exec, Info, ProcessRef, Signal, Signalled, Stop, Winsize, WriteStdin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.scenario.recording import Asked, HeardOutput

__all__ = ["transcript"]

Tree = dict[str, Any]
_SIGNAL_NAMES = {number: name for name, number in SIGNALS.items()}
# asks of a target alone, which a step of the same name repeats
_PLAIN = frozenset({"start", "pause", "resume", "delete", "disconnect"})


def transcript(asks: Sequence[Asked], *, name: str, why: str, heard: Heard | None = None) -> str:
    """The file."""
    known = [ask for ask in asks if ask.code != "cancelled"]
    writer = _Writer(heard or Heard())
    for ask in sorted(known, key=lambda ask: ask.ended if ask.verb == "wait" else ask.began):
        writer.add(ask)
    tree: Tree = {"name": name, "why": why, "sandboxes": writer.sandboxes, "steps": writer.steps}
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)


@dataclass
class _Writer:
    heard: Heard
    sandboxes: Tree = field(default_factory=dict[str, Any])
    steps: list[Tree] = field(default_factory=list[Tree])
    # of each container on the wire -> its name in the file; of each process there -> the same
    _names: dict[str, str] = field(default_factory=dict[str, str])
    _used: Counter[str] = field(default_factory=Counter[str])
    # processes whose outputs are written down
    _told: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def add(self, ask: Asked) -> None:
        """Write one ask down."""
        step = self._step(ask)
        if step is None:
            return
        if ask.code:
            step["expect"] = {"error": ask.code}
        self.steps.append(step)
        if ask.verb == "wait" and isinstance(ask.args, ProcessRef) and isinstance(ask.answer, ExitStatus):
            self._outputs(ask.to, ask.args.process, step)

    def _outputs(self, to: str, process: str, wait: Tree) -> None:
        """Expect what was read of them: of the wait, or, when it is no text for a file, in steps of its own."""
        if (to, process) in self._told:
            return
        self._told.add((to, process))
        for stream in ("stdout", "stderr"):
            output = self.heard.find(to, process, f"read_{stream}")
            if output is None:
                continue
            text = _plain(output)
            if text is not None:
                wait["expect"][stream] = _text(text)
            elif stream == "stdout":
                self.steps.append({"bytes": wait["wait"], "expect": output.size})
                self.steps.append({"sha256": wait["wait"], "expect": output.sha256})

    def _step(self, ask: Asked) -> Tree | None:
        match ask.args:
            case CreateSandbox(id=name):
                self.sandboxes.setdefault(self._named(name, name), {"containers": {}})
                return {"create": self._named(name, name)}
            case CreateContainer(id=name, spec=spec):
                address = f"{ask.to}/{name}"
                declared = self.sandboxes.setdefault(self._named(ask.to, ask.to), {"containers": {}})["containers"]
                declared.setdefault(self._named(address, name), _container(spec))
                return {"create": self._target(address)}
            case Exec(id=name, process=process):
                named = self._named(f"{ask.to} {name}", name, again=not ask.code)
                return {"exec": self._target(ask.to), **_process(process), "as": named}
            case _ if ask.verb in _PLAIN:
                return {ask.verb: self._target(ask.to)}
            case _:
                return self._of_process(ask) or self._other(ask)

    def _of_process(self, ask: Asked) -> Tree | None:
        match ask.args:
            case Stop(signal=signum, grace_seconds=grace):
                step: Tree = {"stop": self._target(ask.to)}
                if signum != SIGNALS["TERM"]:
                    step["with"] = _SIGNAL_NAMES.get(signum, signum)
                if grace is not None:
                    step["grace"] = f"{round(grace * 1000)}ms"
                if isinstance(ask.answer, Stopped) and ask.answer.code is not None:
                    step["expect"] = {"exit": ask.answer.code}
                return step
            case Signal(signal=signum, process=process, all=to_all):
                step = {"signal": self._process(ask.to, process), "with": _SIGNAL_NAMES.get(signum, signum)}
                if to_all:
                    step["all"] = True
                if isinstance(ask.answer, Signalled):
                    step["expect"] = ask.answer.processes
                return step
            case Winsize(size=size, process=process):
                return {"winsize": self._process(ask.to, process), "rows": size.rows, "columns": size.columns}
            case WriteStdin(data=data, process=process):
                return {"stdin": self._process(ask.to, process), "text": _text(data.decode(errors="replace"))}
            case ProcessRef(process=process) if ask.verb == "close_stdin":
                return {"close_stdin": self._process(ask.to, process)}
            case ProcessRef(process=process) if ask.verb == "wait":
                step = {"wait": self._process(ask.to, process)}
                if isinstance(ask.answer, ExitStatus):
                    step["expect"] = {"exit": ask.answer.code}
                return step
            case _:
                return None

    def _other(self, ask: Asked) -> Tree | None:
        if not ask.to:
            return None  # of the system itself: the file has no name for it
        if ask.verb == "info":
            expect = {"expect": ask.answer.state} if isinstance(ask.answer, Info) else {}
            return {"state": self._target(ask.to), **expect}
        if ask.verb == "check":
            serving = isinstance(ask.answer, Checked) and ask.answer.serving
            return {"check": self._target(ask.to), "expect": "serving" if serving else "not serving"}
        fields: Tree = msgspec.to_builtins(ask.args)
        if ask.verb in ASK_WORDS and not fields:
            return {ask.verb: self._target(ask.to)}
        return {"call": self._target(ask.to), "verb": ask.verb, **({"args": _texts(fields)} if fields else {})}

    def _named(self, key: str, wanted: str, *, again: bool = False) -> str:
        """A name of the file for something on the wire: the same each time, unless a process takes the id again."""
        if key not in self._names or again:
            stem = re.sub(r"[^A-Za-z0-9_-]", "-", wanted)[:36].strip("-_") or "it"
            stem = stem if len(stem) > 1 else f"{stem}-1"
            self._used[stem] += 1
            self._names[key] = stem if self._used[stem] == 1 else f"{stem}-{self._used[stem]}"
        return self._names[key]

    def _target(self, address: str) -> str:
        return self._named(address, address.rpartition("/")[2])

    def _process(self, address: str, process: str) -> str:
        return self._named(f"{address} {process}", process) if process else self._target(address)


def _container(spec: ContainerSpec) -> Tree:
    tree = _process(spec.process)
    if spec.image != "busybox":
        tree["image"] = _text(spec.image)
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


def _process(spec: ProcessSpec) -> Tree:
    shell = spec.args[:2] == ("sh", "-c") and len(spec.args) == 3
    tree: Tree = {"command": _text(spec.args[2]) if shell else [_text(word) for word in spec.args]}
    if spec.env:
        tree["env"] = {name: _text(value) for name, value in spec.env.items()}
    if spec.cwd != "/":
        tree["cwd"] = _text(spec.cwd)
    if spec.user:
        tree["user"] = _text(spec.user)
    if spec.tty:
        tree["tty"] = True
    if spec.size is not None:
        tree["size"] = {"rows": spec.size.rows, "columns": spec.size.columns}
    return tree


def _plain(output: HeardOutput) -> str | None:
    """An output as a scenario sees it; None when it is too long to be read, or no text."""
    if output.size > HEARD_BYTES:
        return None
    try:
        text = output.data.decode().replace("\r\n", "\n").rstrip("\n")
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char in "\n\t" for char in text) else None


def _text(text: str) -> str:
    return text.replace("${", "$${")


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]  # JSON
    if isinstance(value, list):
        return [_texts(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
    return _text(value) if isinstance(value, str) else value
