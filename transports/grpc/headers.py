"""HTTP/2 header lists: their size, and what makes them malformed.

Sans-I/O; checks RFC 9113, 8.2 and 8.3, as far as malformed headers could harm a reader. Deliberately lenient, as every
gRPC library is: a request without `:authority` is valid, and so is a value with leading or trailing blanks.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hpack import HeaderTuple

__all__ = ["REQUEST", "RESPONSE", "TRAILERS", "Header", "HeaderList", "fault_of"]

Header = tuple[bytes, bytes]

# pseudo headers of each kind of list -> whether they are required
REQUEST = {b":method": True, b":scheme": True, b":path": True, b":authority": False}
RESPONSE = {b":status": True}
TRAILERS: dict[bytes, bool] = {}

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_NO_VALUE = re.compile(rb"[\0\r\n]")
_STATUS = re.compile(rb"[1-9][0-9]{2}")
# HTTP/1 connection headers: HTTP/2 has frames for them
_OF_A_CONNECTION = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
FIELD_BYTES = 32


class HeaderList(tuple["HeaderTuple", ...]):
    """A header list as it was received; what is found out about it is found out once, as one list may come with many calls."""

    _judged: dict[bytes, bool] | None = None
    _fault: str | None = None

    @cached_property
    def size(self) -> int:
        """In bytes, as SETTINGS_MAX_HEADER_LIST_SIZE counts."""
        return sum(len(name) + len(value) + FIELD_BYTES for name, value in self)

    def fault(self, kind: dict[bytes, bool]) -> str | None:
        """See `fault_of`."""
        if self._judged is not kind:
            self._judged, self._fault = kind, fault_of(self, kind)
        return self._fault


def fault_of(fields: Iterable[Header], pseudo: dict[bytes, bool]) -> str | None:
    """Why the list is malformed, or None. `pseudo`: the pseudo headers of its kind."""
    seen: set[bytes] = set()
    plain = False
    for name, value in fields:
        if _NO_VALUE.search(value):
            return f"header {name[:40]!r} has a value that breaks its line"
        if name.startswith(b":"):
            if name not in pseudo or name in seen or plain:
                return f"pseudo header {name[:40]!r} is unknown here, comes twice, or comes after plain headers"
            seen.add(name)
        else:
            plain = True
            if not _NAME.fullmatch(name):
                return f"{name[:40]!r} can't be the name of a header"
            if name in _OF_A_CONNECTION or (name == b"te" and value.lower() != b"trailers"):
                return f"header {name!r} is not for HTTP/2"
        if name == b":status" and not _STATUS.fullmatch(value):
            return f"{value[:40]!r} can't be an HTTP status"
    missing = [name.decode() for name, needed in pseudo.items() if needed and name not in seen]
    return f"there is no {missing[0]}" if missing else None
