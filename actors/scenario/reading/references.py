"""Uses and introductions of names in a file, as the binder finds them and `names` checks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.scenario.language.kinds import Each, Kind

__all__ = ["Reference"]


@dataclass(frozen=True, slots=True)
class Reference:
    """One use or introduction of a name, in the order of the file."""

    kind: Kind
    text: str
    path: str
    file: str
    line: int
    column: int
    # what a `for_each` goes through
    each: Each | None = None
