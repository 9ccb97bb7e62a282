"""A file whose text outlives it."""

from __future__ import annotations

import io

__all__ = ["Kept"]


class Kept(io.StringIO):
    """What was written is in `text` once it is closed."""

    text = ""

    def close(self) -> None:
        if not self.closed:
            self.text = self.getvalue()
        super().close()
