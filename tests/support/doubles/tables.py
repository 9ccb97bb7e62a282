"""All doubles' tables."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from tests.support.doubles import rows_hyperstart, rows_kata1x, rows_today

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.doubles.rows import Row

__all__ = ["TABLES", "Table"]


class Table(NamedTuple):
    """What one of them does, and what the real one does that its double does not, with the reason."""

    rows: tuple[Row, ...]
    not_shown: Mapping[str, str]


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        "today": Table(tuple(rows_today.ROWS), rows_today.NOT_SHOWN),
        "kata1x": Table(tuple(rows_kata1x.ROWS), rows_kata1x.NOT_SHOWN),
        "hyperstart": Table(tuple(rows_hyperstart.ROWS), rows_hyperstart.NOT_SHOWN),
    }
)
