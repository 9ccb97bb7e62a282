"""Log lines of a command: what a library warns of can't steer the terminal. Apart, as `logging` takes time to import."""

from __future__ import annotations

import logging
from typing import Any

from transports.plain import printable

__all__ = ["OneLine"]


class OneLine(logging.Formatter):
    """A log line can't steer the terminal, nor look like two; of a traceback each has a bar before it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return "\n".join(f"  | {printable(line)}" for line in super().formatException(ei).splitlines())
