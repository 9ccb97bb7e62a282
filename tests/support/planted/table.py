"""All planted defects."""

from __future__ import annotations

from tests.support.planted import lifecycle, pods, processes, streams, wire

__all__ = ["DEFECTS"]

DEFECTS = tuple(defect for module in (lifecycle, processes, streams, wire, pods) for defect in module.DEFECTS)
