"""The two dialects of the kata agent API: today's, spoken over ttRPC, and Kata 1.x's, spoken over gRPC.

For host and guest, and for every configuration that names one. Not for what a dialect's bytes are.
"""

from __future__ import annotations

from enum import StrEnum

from actors.errors import InvalidArgument

__all__ = ["Dialect"]


class Dialect(StrEnum):
    """The words, case-sensitive, nothing trimmed."""

    TTRPC = "ttrpc"
    GRPC = "grpc"

    @classmethod
    def parse(cls, word: str) -> Dialect:
        """Raises: InvalidArgument."""
        try:
            return cls(word)
        except ValueError:
            known = " or ".join(cls)
            raise InvalidArgument(
                f"unknown dialect {word!r}: expected {known} (grpc is Kata 1.x's)", field="dialect"
            ) from None
