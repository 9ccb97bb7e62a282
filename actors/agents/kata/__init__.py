"""The kata agent: today's Kata Containers agent API, spoken over ttRPC."""

from __future__ import annotations

from actors.agents.kata.agent import KataAgent, connect_kata

__all__ = ["KataAgent", "connect_kata"]
