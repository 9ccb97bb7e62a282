"""A run as one JSON object. For programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.reporting.texts import json_text

if TYPE_CHECKING:
    from actors.conformance.report.base import Told

__all__ = ["as_json"]


def as_json(told: Told) -> str:
    """`summary` has a count for each verdict; `cases` id, title, verdict, expected, seen and seconds of each; `known` the ids of
    those that fell short as was known, `known_that_hold` of those that were known to and hold by now;
    `notes` what all cases may suffer from."""
    document = {
        "agent": {"speaks": told.spoken, "address": told.address, "version": told.version},
        "seconds": round(told.seconds, 3),
        "summary": dict(told.counts),
        "notes": list(told.notes),
        "not_run": [case.id for case in told.not_run],
        "known": [result.case.id for result in told.expected],
        "known_that_hold": [result.case.id for result in told.mended],
        "cases": [
            {
                "id": result.case.id,
                "title": result.case.title,
                "verdict": str(result.verdict),
                "expected": result.expected,
                "seen": result.seen,
                "seconds": round(result.seconds, 3),
            }
            for result in told.results
        ],
    }
    return json_text(document)
