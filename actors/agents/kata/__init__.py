"""The kata agent: today's Kata Containers agent API, spoken over ttRPC; and its calls by themselves (`client`)."""

from __future__ import annotations

from actors.agents.kata.agent import KataAgent, connect_kata
from actors.agents.kata.client import KataClient, open_kata_client

__all__ = ["KataAgent", "KataClient", "connect_kata", "open_kata_client"]
