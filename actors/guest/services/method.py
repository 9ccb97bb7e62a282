"""The type of a handler of one kata agent API call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

__all__ = ["Method"]

# takes the call's request, whose type only the table of calls knows, and returns its response
Method: TypeAlias = Callable[[Any], Awaitable[msgspec.Struct]]
