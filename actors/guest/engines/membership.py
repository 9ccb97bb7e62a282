"""Which processes belong to a container that has no control group.

For the plain-process engine. A process belongs by its session, by its parent, by having belonged before, or by the
mark in its environment; one that changes all four between two looks (a daemon that forks twice, starts a session
and clears its environment at once) escapes: it runs on as long as its guest has any container, and goes with the last
of them. Not for containers of a runtime.
"""

from __future__ import annotations

from actors.node.marks import CONTAINER_VARIABLE, ProcessFact, every_process, has_mark

__all__ = ["Membership"]


class Membership:
    """The processes of one container; each look learns from the last."""

    def __init__(self, mark: str) -> None:
        """`mark` is the value of `CONTAINER_VARIABLE` that its processes were given."""
        self._mark = mark
        self._known: dict[int, int] = {}

    def add(self, pid: int) -> None:
        """A process that the engine has just spawned; its session is its own."""
        self._known[pid] = 0

    def look(self) -> list[ProcessFact]:
        """Its live processes now, by pid."""
        facts = every_process()
        sessions = {fact.session for fact in facts if self._is_known(fact)}
        found: dict[int, ProcessFact] = {}
        grew = True
        while grew:
            grew = False
            for fact in facts:
                if fact.pid in found or not self._belongs(fact, found, sessions):
                    continue
                found[fact.pid] = fact
                sessions.add(fact.session)
                grew = True
        self._known = {pid: fact.start for pid, fact in found.items()}
        return [fact for _, fact in sorted(found.items()) if fact.alive]

    def _is_known(self, fact: ProcessFact) -> bool:
        start = self._known.get(fact.pid)
        return start is not None and start in (0, fact.start)

    def _belongs(self, fact: ProcessFact, found: dict[int, ProcessFact], sessions: set[int]) -> bool:
        if self._is_known(fact) or fact.session in sessions or fact.parent in found:
            return True
        return fact.alive and has_mark(fact.pid, CONTAINER_VARIABLE, self._mark)
