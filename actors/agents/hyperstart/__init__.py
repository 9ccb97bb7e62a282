"""The hyperstart agent: the old guest agent of runv and virtcontainers, over its control and stream channels."""

from __future__ import annotations

from actors.agents.hyperstart.agent import HyperstartAgent, connect_hyperstart
from actors.agents.hyperstart.config import HyperConfig
from actors.agents.hyperstart.link import HyperstartLink

__all__ = ["HyperConfig", "HyperstartAgent", "HyperstartLink", "connect_hyperstart"]
