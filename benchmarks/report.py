"""Figures as a table for people and as one object for programs, with the machine they were measured on.

For `scripts/bench`. A figure's verdict is its goals': met, missed, or none where it has no goal. Not for measuring.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.figure import Figure, Measured

__all__ = ["busy", "entry", "machine", "markdown", "table"]

# above it somebody else works on this machine: figures that are not ratios mean little
BUSY_LOAD = 1.0


def machine() -> dict[str, Any]:
    """What the figures were measured on; the load counts runnable tasks, other people's too."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_1min": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "root": os.geteuid() == 0,
    }


def busy(about: Mapping[str, Any]) -> bool:
    """Whether somebody else was at work when it began."""
    return bool(about["load_1min"] > BUSY_LOAD)


def entry(figure: Figure, measured: Measured) -> dict[str, Any]:
    """One figure for programs. `met` is None where nothing is asked of it."""
    verdicts: list[bool] = []
    value = measured.value
    compared: list[dict[str, Any]] = []
    if figure.goal is not None:
        verdicts.append(figure.goal.met(value, None))
    for peer in measured.peers:
        ratio = peer.ratio(measured.ours)
        met = None if peer.goal is None else peer.goal.met(value, ratio)
        if met is not None:
            verdicts.append(met)
        compared.append(
            {
                "peer": peer.peer,
                "value": rounded(peer.value),
                "ratio": round(ratio, 3),
                "goal": None if peer.goal is None else str(peer.goal),
                "met": met,
            }
        )
    first: dict[str, Any] = compared[0] if compared else {"peer": None, "ratio": None, "goal": None}
    return {
        "name": figure.name,
        "value": rounded(value),
        "unit": figure.unit,
        "spread": [rounded(bound) for bound in measured.spread],
        "peer": first["peer"],
        "peer_value": first.get("value"),
        "ratio": first["ratio"],
        "goal": first["goal"] if figure.goal is None else str(figure.goal),
        "met": all(verdicts) if verdicts else None,
        "also": compared[1:],
        "processor_us": None if measured.processor is None else [_maybe(us) for us in measured.processor],
        "notes": measured.notes,
    }


def _maybe(value: float | None) -> float | None:
    return None if value is None else rounded(value)


def rounded(value: float) -> float:
    """Three digits, all of them when there are more before the point."""
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")


def table(entries: list[dict[str, Any]]) -> Table:
    """All figures, one a row, and one for each further peer."""
    made = Table(box=None, pad_edge=False)
    for column, justify in (
        ("figure", "left"), ("ours", "right"), ("spread", "right"), ("unit", "left"), ("peer", "left"),
        ("theirs", "right"), ("ratio", "right"), ("goal", "right"), ("", "left"),
    ):  # fmt: skip
        made.add_column(column, justify="right" if justify == "right" else "left", no_wrap=column != "peer")
    for shown in entries:
        if "skipped" in shown or "failed" in shown:
            word = "skipped" if "skipped" in shown else "failed"
            made.add_row(shown["name"], "", "", "", str(shown[word]), "", "", "", f"[yellow]{word}")
            continue
        low, high = shown["spread"]
        several = bool(shown["also"])
        made.add_row(
            shown["name"], f"{shown['value']:,}", f"{low:,}-{high:,}", shown["unit"], shown["peer"] or "",
            "" if shown["peer_value"] is None else f"{shown['peer_value']:,}", _ratio(shown["ratio"]), shown["goal"] or "",
            "" if several else _verdict(shown["met"]),
        )  # fmt: skip
        for other in shown["also"]:
            made.add_row(
                "", "", "", "", other["peer"], f"{other['value']:,}", _ratio(other["ratio"]), other["goal"] or "",
                _verdict(shown["met"]) if other is shown["also"][-1] else "",
            )  # fmt: skip
        for name, value in {**_processor(shown), **shown["notes"]}.items():
            made.add_row("", "", "", "", f"[dim]{name}: {value}", "", "", "", "")
    return made


def markdown(entries: list[dict[str, Any]]) -> str:
    """The same for a document; figures that were not measured are left out."""
    lines = ["| figure | ours | quartiles | beside | theirs | ratio | goal | |", "|---|---|---|---|---|---|---|---|"]
    for shown in entries:
        if "value" not in shown:
            continue
        low, high = shown["spread"]
        theirs = "" if shown["peer_value"] is None else f"{shown['peer_value']:,}"
        lines.append(
            f"| `{shown['name']}` | {shown['value']:,} {shown['unit']} | {low:,} to {high:,} | {shown['peer'] or ''} | {theirs} "
            f"| {_ratio(shown['ratio'])} | {shown['goal'] or ''} | {_WORDS[shown['met']]} |"
        )
        lines += [
            f"| | | | {other['peer']} | {other['value']:,} | {_ratio(other['ratio'])} | {other['goal'] or ''} | |"
            for other in shown["also"]
        ]
        lines += [f"| | | | {name}: {value} | | | | |" for name, value in _processor(shown).items()]
    return "\n".join(lines)


def _processor(shown: Mapping[str, Any]) -> dict[str, str]:
    if shown["processor_us"] is None:
        return {}
    ours, theirs = shown["processor_us"]
    return {"processor time": f"{ours:,} us" + ("" if theirs is None else f", beside {theirs:,} us")}


_WORDS = {True: "met", False: "**missed**", None: ""}


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:,.2f} x"


def _verdict(met: bool | None) -> str:
    return "" if met is None else "[green]met" if met else "[red]missed"
