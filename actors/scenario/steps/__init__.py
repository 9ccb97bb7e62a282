"""Every step of the scenario language, by its word in a file.

A new one is a class in one of the modules here, named in that module's `STEPS`; nothing else knows it by name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from actors.scenario.steps import asks, blocks, calls, lifecycle, looks, processes, watching, world

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.scenario.steps.base import Step

__all__ = ["STEPS"]

# in the order of the reference
_MODULES = (lifecycle, processes, looks, asks, world, calls, watching, blocks)
STEPS: Mapping[str, type[Step]] = MappingProxyType({step.word: step for module in _MODULES for step in module.STEPS})
