"""The hyperstart agent: runv's and virtcontainers' old guest agent, over its control and stream channels."""

from __future__ import annotations

from actors.agents.hyperstart.agent import HyperstartAgent, connect_hyperstart
from actors.agents.hyperstart.config import HyperConfig
from actors.agents.hyperstart.link import HyperstartLink

__all__ = ["HyperConfig", "HyperstartAgent", "HyperstartLink", "connect_hyperstart"]
