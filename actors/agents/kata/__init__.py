"""The kata agent: the Kata Containers agent API, today's over ttRPC or 1.x's over gRPC; `client` has its raw calls."""

from __future__ import annotations

from actors.agents.kata.agent import KataAgent, connect_kata, identify_kata
from actors.agents.kata.client import KataClient, open_kata_client
from actors.agents.kata.config import KataAgentConfig

__all__ = ["KataAgent", "KataAgentConfig", "KataClient", "connect_kata", "identify_kata", "open_kata_client"]
