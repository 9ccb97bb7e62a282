"""A process's rlimits, in the kernel's form.

For engines that set them themselves (`processes`), or check what a runtime would get wrong. Cgroup limits are in
`resources`.
"""

from __future__ import annotations

import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from actors.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.guest.engines.oci_config import Document

__all__ = ["check_rlimits", "numbered_rlimits", "refuse_raising"]

# has no name in Python: unused since Linux 2.4
_LOCKS = 10
_SCORE = Path("/proc/self/oom_score_adj")


def check_rlimits(process: Document) -> None:
    """Raises: InvalidArgument."""
    for limit in process.get("rlimits") or ():
        if limit.get("soft", 0) > limit.get("hard", 0):
            raise InvalidArgument(f"{limit['type']}: the soft limit is above the hard one", field="process.rlimits")


def numbered_rlimits(process: Document) -> list[tuple[int, int, int]]:
    """(resource, soft, hard) as for `resource.setrlimit`, -1 for unlimited."""
    return [
        (_number(limit["type"]), _signed(limit.get("soft", 0)), _signed(limit.get("hard", 0)))
        for limit in process.get("rlimits") or ()
    ]


def _number(name: str) -> int:
    return int(getattr(resource, name, _LOCKS))


def _signed(value: int) -> int:
    return value if value < 2**63 else resource.RLIM_INFINITY


def refuse_raising(process: Document) -> None:
    """Check that the kernel permits them to this process and its children: sets them on itself, and restores them at once.

    Raises: InvalidArgument (`process.rlimits`, `process.oomScoreAdj`).
    """
    for number, _, hard in numbered_rlimits(process):
        soft, own = resource.getrlimit(number)
        if own == resource.RLIM_INFINITY or 0 <= hard <= own:
            continue
        with _told("process.rlimits", f"a hard limit of {'infinity' if hard < 0 else hard}"):
            resource.setrlimit(number, (soft, hard))
            resource.setrlimit(number, (soft, own))
    score = process.get("oomScoreAdj") or 0
    before = _SCORE.read_text()
    if score < int(before):
        with _told("process.oomScoreAdj", f"a score of {score}"):
            _SCORE.write_text(str(score))
            _SCORE.write_text(before)


@contextmanager
def _told(field: str, what: str) -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise InvalidArgument(
            f"{field}: {what} is more than the kernel gives this guest: {error}", field=field
        ) from None
