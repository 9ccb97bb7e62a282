"""Composition: the root actor, the agents table, and the worlds in which containers really run."""

from __future__ import annotations

from actors.system.actor import SystemActor
from actors.system.agents import AGENTS, AgentType

__all__ = ["AGENTS", "AgentType", "SystemActor"]
