"""The sandbox actor: one guest, the containers in it, and the order in which they end."""

from __future__ import annotations

from actors.sandbox.actor import SandboxActor
from actors.sandbox.guest import Guest, GuestLauncher, Images

__all__ = ["Guest", "GuestLauncher", "Images", "SandboxActor"]
