"""What never came to be, because its start was refused as a step expected: what steps about it mean then.

For the stage, which keeps one table a run, and for steps. One that expects an error of its own is performed as it stands, and so
is what can be asked of a container that was created and not started. The rest is skipped with the reason, and the run goes on:
the file allowed it. Not for starts that failed unexpectedly: those are failures.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Refusal", "Refusals"]

# what makes it, and may be tried again
_MAKING = frozenset({"create", "start"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not there. `created`: it is, and only its start was refused."""

    why: str
    created: bool = False

    def forbids(self, verb: str, *, of_init: bool) -> bool:
        """Whether a step has nothing to act on; what else is tried may still be refused for the same reason.

        `of_init`: it is asked of a container's first process alone, and nothing would ever come of it.
        """
        return of_init if self.created else verb != "create"


@dataclass(slots=True)
class Refusals:
    """Sandboxes and containers, by their addresses."""

    _done: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _refused: dict[str, Refusal] = field(default_factory=dict[str, Refusal])

    def done(self, verb: str, address: str) -> None:
        """A create, start or delete went well."""
        if verb == "delete":
            # and a sandbox's containers with it
            self._done = {one for one in self._done if one[1] != address and not one[1].startswith(f"{address}/")}
        elif verb in _MAKING:
            self._done.add((verb, address))
            self._refused.pop(address, None)

    def refused(self, verb: str, address: str, why: str) -> None:
        """A create or start was refused. One more of what is there already says nothing."""
        if verb in _MAKING and (verb, address) not in self._done:
            self._refused.setdefault(address, Refusal(why, created=verb == "start"))

    def find(self, address: str) -> Refusal | None:
        """Why it, or the sandbox that it would be in, is not there."""
        sandbox, _, container = address.partition("/")
        own = self._refused.get(address)
        if own is not None or not container:
            return own
        above = self._refused.get(sandbox)
        return Refusal(above.why) if above is not None else None
