"""Ways out of a step that are neither an answer nor an error: skipped, or stopped.

For steps, which raise them, and the runner, which records them in the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import (
    AgentProtocolError,
    AgentUnreachable,
    GuestDied,
    InternalError,
    PermissionDenied,
    ResourceExhausted,
)

if TYPE_CHECKING:
    from actors.scenario.stage.events import Failure, Outcome

__all__ = ["INFRASTRUCTURE", "NeverStarted", "StepStopped", "Undeterminable"]

# trouble that is nobody's expectation: the run ends as an error, not as a failure
INFRASTRUCTURE = frozenset(
    error.code
    for error in (AgentUnreachable, AgentProtocolError, GuestDied, InternalError, PermissionDenied, ResourceExhausted)
)


class Undeterminable(Exception):
    """The world has no answer to a probe: the step is not for it, and neither is one that uses what it would have saved."""


class NeverStarted(Exception):
    """The step is about what never came to be, or uses a value that a skipped step was to save; the message says why."""


class StepStopped(Exception):
    """A step did not hold, and the scenario stops; it is in the journal."""

    def __init__(self, outcome: Outcome, path: str, failure: Failure) -> None:
        super().__init__(path)
        self.outcome = outcome
        self.path = path
        self.failure = failure
