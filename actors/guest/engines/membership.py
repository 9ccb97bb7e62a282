"""Which processes belong to a container without a cgroup.

For the plain-process engine. A process belongs by its session, its parent, by having belonged before, or by the marker
in its environment; one that changes all four between two scans (a double-forking daemon that starts a session and
clears its environment at once) escapes: it runs until the guest's last container is gone, and is killed then.
"""

from __future__ import annotations

from actors.node.marks import CONTAINER_VARIABLE, ProcessFact, every_process, has_mark

__all__ = ["Membership"]


class Membership:
    """The processes of one container; each scan builds on the last."""

    def __init__(self, mark: str) -> None:
        """`mark` is the value of `CONTAINER_VARIABLE` in its processes' environment."""
        self._mark = mark
        self._known: dict[int, int] = {}

    def add(self, pid: int) -> None:
        """Add a process just spawned by the engine, a session leader."""
        self._known[pid] = 0

    def look(self) -> list[ProcessFact]:
        """Scan for its live processes, by pid."""
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
