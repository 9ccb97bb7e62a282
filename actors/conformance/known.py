"""A file of an agent's known failures: anything else is reported as new.

One case per line: its id, the known verdict (none: any), and the reason after `#`. Exceptions of our own guest are
in the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from actors.conformance.case import GREEN, Verdict
from actors.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Collection

    from actors.conformance.case import Result

__all__ = ["Known", "is_known", "read_known"]

# by case id
Known: TypeAlias = Mapping[str, Verdict | None]
_FAULTS = tuple(verdict for verdict in Verdict if verdict not in GREEN)


def read_known(text: str, name: str, cases: Collection[str]) -> Known:
    """Parse the file.

    Args:
        name: of the file, for messages.
        cases: all case ids, for agents of any kind.

    Raises: InvalidArgument.
    """
    known: dict[str, Verdict | None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        case, _, verdict = line.partition("#")[0].strip().partition(" ")
        if not case:
            continue
        where = f"{name}:{number}"
        if case not in cases:
            raise InvalidArgument(f"{where}: there is no case {case!r}; katrio conformance --list", field="known")
        if case in known:
            raise InvalidArgument(f"{where}: {case} stands there twice", field="known")
        known[case] = _verdict(verdict.strip(), where)
    return known


def _verdict(word: str, where: str) -> Verdict | None:
    if not word:
        return None
    if word not in _FAULTS:
        raise InvalidArgument(f"{where}: {word!r} is none of {', '.join(_FAULTS)}", field="known")
    return Verdict(word)


def is_known(result: Result, known: Known) -> bool:
    """Whether the result was expected. A case that was not asked is known only if the file says so, as nothing was learnt."""
    if result.case.id not in known or result.verdict not in _FAULTS:
        return False
    verdict = known[result.case.id]
    return result.verdict is verdict or (verdict is None and result.verdict is not Verdict.NOT_ASKED)
