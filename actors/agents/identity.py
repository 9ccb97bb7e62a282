"""Who an agent is: katrio's own guest or a real agent and of which kind, and whether it has a sandbox, found out by asking.

For whoever talks to an agent that somebody else started. Nothing asked here creates, ends or freezes anything, and a version's
text decides nothing. Our guest answers Version about a service of its own (`actors.schemas.guestwords`). The others are known
by the counters of a container that there is not: Kata's agents (Rust, 2 and later) answer INVALID_ARGUMENT; 1.x's (Go)
FAILED_PRECONDITION without a sandbox, NOT_FOUND with one; both list storage handlers in GetGuestDetails. Kata's have no call
that tells of the sandbox, but CreateSandbox alone mounts the file of its ipc namespace, of which GetVolumeStats tells (beside a
file that an earlier agent left, one can't make a sandbox either). Counters take the lock under which such an agent works: one
that hangs is found out. Not for liveness in the long run (`actors.sandbox.health`), nor for what an agent can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from actors.errors import (
    AgentError,
    AgentUnreachable,
    AlreadyExists,
    Expired,
    GuestDied,
    InvalidArgument,
    InvalidTransition,
    KatrioError,
    NotFound,
    OutcomeUnknown,
)
from actors.schemas import agent as api
from actors.schemas.guestwords import SERVICE, read_words
from actors.schemas.resources import VolumeStatsRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import msgspec

    from actors.agents.kata.client import KataClient

__all__ = ["ASKING_SECONDS", "AgentKind", "Identity", "has_unified_groups", "identify"]

# each question: Kata's own client gives its health check as long, and a guest may be emulated in software
ASKING_SECONDS = 30.0
# an id that an agent could have, and none has
_NOBODY = "katrio-who-are-you"
# where CreateSandbox of Kata's agents mounts the namespace that its containers share
_SANDBOX_FILE = "/var/run/sandbox-ns/ipc"
# of control groups v2 alone, where they are mounted as an agent of Kata's looks for them
_UNIFIED_FILE = "/sys/fs/cgroup/cgroup.controllers"
_MISSING = ("No such file or directory", "ENOENT", "NotFound")


class AgentKind(StrEnum):
    """Who answers."""

    KATRIO = "katrio's own guest"
    KATA = "a Kata agent"
    KATA_1X = "a Kata 1.x agent"
    HYPERSTART = "a hyperstart"
    OTHER = "an agent of another kind"


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of an agent.

    Attributes:
        version: its own words, for people alone.
        sandbox: whether it has one; None: it can't be asked, or would not say.
        engine: of katrio's own guest, what runs its containers.
    """

    kind: AgentKind
    version: str = ""
    sandbox: bool | None = None
    engine: str = ""

    @property
    def own(self) -> bool:
        """It is katrio's guest: it looks names of users up, keeps what was not read, and never writes into an image."""
        return self.kind is AgentKind.KATRIO

    @property
    def second_sandbox_destroys(self) -> bool:
        """A CreateSandbox beside a sandbox removes the files of running containers, on the disk that their roots come from."""
        return self.kind is AgentKind.KATA

    def check_no_sandbox(self) -> None:
        """Before CreateSandbox. Raises: AlreadyExists."""
        if self.sandbox:
            raise AlreadyExists(
                f"{self.kind} has a sandbox already, which somebody else made: end it first (whoever made it, or "
                "`katrio call --address URL DestroySandbox`), or name an agent without one",
                agent=str(self.kind),
            )


async def identify(client: KataClient, *, seconds: float = ASKING_SECONDS) -> Identity:
    """Ask a Kata agent, of either dialect, who it is; `seconds` bound each of at most four questions.

    Raises:
        Expired: it does not answer. After Version was answered: it hangs, and a health check would not tell.
        AgentUnreachable, AgentProtocolError: as any call.
    """
    client = client.within(seconds)
    told = await client.call(api.VersionRequest(service=SERVICE))
    words = read_words(told.grpc_version)
    if words is not None:
        return Identity(AgentKind.KATRIO, told.agent_version, words.sandbox, words.engine)
    try:
        return await _identify_other(client, told.agent_version)
    except Expired as error:
        raise Expired(f"the agent says its version and answers nothing else, it hangs: {error.message}") from error


async def _identify_other(client: KataClient, version: str) -> Identity:
    details = await _answer(client.call(api.GuestDetailsRequest()))
    listed = (
        isinstance(details, api.GuestDetailsResponse)
        and details.agent_details is not None
        and bool(details.agent_details.storage_handlers)
    )
    answer = await _answer(client.call(api.StatsContainerRequest(container_id=_NOBODY)))
    if isinstance(answer, InvalidTransition):
        return Identity(AgentKind.KATA_1X if listed else AgentKind.OTHER, version, sandbox=False)
    if listed and isinstance(answer, NotFound):
        return Identity(AgentKind.KATA_1X, version, sandbox=True)
    # one that lists its handlers and says neither (a policy may forbid it) is taken for the kind that a mistake harms most
    if listed or isinstance(answer, InvalidArgument):
        return Identity(AgentKind.KATA, version, await _has_file(client, _SANDBOX_FILE))
    return Identity(AgentKind.OTHER, version)


async def has_unified_groups(client: KataClient, *, seconds: float = ASKING_SECONDS) -> bool | None:
    """Whether a Kata agent's machine has control groups v2; None: it can't be asked, or would not say. Raises: as `identify`."""
    return await _has_file(client.within(seconds), _UNIFIED_FILE)


async def _has_file(client: KataClient, path: str) -> bool | None:
    answer = await _answer(client.call(VolumeStatsRequest(volume_guest_path=path)))
    if isinstance(answer, AgentError):
        return False if any(word in answer.message for word in _MISSING) else None
    # agents before 2.4 have no such call, and a policy may forbid it
    return None if isinstance(answer, KatrioError) else True


async def _answer(asked: Awaitable[msgspec.Struct]) -> msgspec.Struct | KatrioError:
    """The answer, or the refusal. Raises: KatrioError, when there is neither."""
    try:
        return await asked
    except (AgentUnreachable, Expired, GuestDied, OutcomeUnknown):
        raise
    except KatrioError as error:
        return error
