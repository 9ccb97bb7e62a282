"""Metrics in Prometheus text format, in families.

For GetMetrics. Pure. Names are those of kata's agent where the meaning is the same (`kata_agent_`, `kata_guest_`), and
`katrio_` otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Family", "Sample", "render"]

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Sample(NamedTuple):
    """One number of a family; its labels in order."""

    value: float
    labels: Mapping[str, str]


class Family(NamedTuple):
    """`kind` is `gauge` or `counter`."""

    name: str
    kind: str
    about: str
    samples: tuple[Sample, ...]


def render(families: Iterable[Family]) -> str:
    """The text format; families without samples are omitted."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += [f"# HELP {family.name} {family.about}", f"# TYPE {family.name} {family.kind}"]
            lines += [f"{family.name}{_labels(sample.labels)} {_number(sample.value)}" for sample in family.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
