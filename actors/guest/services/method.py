"""What answers one call of the kata agent API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

__all__ = ["Method"]

# from the call's own request, of which only the table of calls knows the type, to its own response
Method: TypeAlias = Callable[[Any], Awaitable[msgspec.Struct]]
