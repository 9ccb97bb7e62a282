"""Identifies an agent by harmless requests: katrio's own guest or a real agent, of which kind, and whether it has a sandbox.

For agents that somebody else started. No request creates, ends or freezes anything, and version texts are not relied
on. Our guest answers Version for a service of its own (`actors.schemas.guestwords`). Others are told apart by asking
for the counters of a container that does not exist: Kata's agents (Rust, 2 and later) answer INVALID_ARGUMENT; 1.x's
(Go) FAILED_PRECONDITION without a sandbox, NOT_FOUND with one; both list storage handlers in GetGuestDetails. Kata's
have no call for the sandbox, but only CreateSandbox mounts its IPC namespace's file, which GetVolumeStats can see
(beside a file left by an earlier agent, none can create a sandbox either). Counters need the lock under which such an
agent works, so a hung one is detected. Monitoring is in `actors.sandbox.health`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.agents.kinds import AgentKind, Identity
from actors.errors import (
    AgentError,
    AgentUnreachable,
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

__all__ = ["ASKING_SECONDS", "has_unified_groups", "identify"]

# per request: Kata's own client allows as much for its health check, and a guest may be emulated in software
ASKING_SECONDS = 30.0
# a valid id that no container has
_NOBODY = "katrio-who-are-you"
# where CreateSandbox of Kata's agents mounts the IPC namespace shared by its containers
_SANDBOX_FILE = "/var/run/sandbox-ns/ipc"
# exists only with cgroup v2, mounted where Kata's agents look for it
_UNIFIED_FILE = "/sys/fs/cgroup/cgroup.controllers"
_MISSING = ("No such file or directory", "ENOENT", "NotFound")


async def identify(client: KataClient, *, seconds: float = ASKING_SECONDS) -> Identity:
    """Identify a Kata agent, of either dialect; `seconds` bound each of at most four requests.

    Raises:
        Expired: it does not answer. If Version was answered: it hangs, and a health check would not show it.
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
    # one that lists its handlers but answers neither (a policy may forbid it) counts as the kind for which a mistake is worst
    if listed or isinstance(answer, InvalidArgument):
        return Identity(AgentKind.KATA, version, await _has_file(client, _SANDBOX_FILE))
    return Identity(AgentKind.OTHER, version)


async def has_unified_groups(client: KataClient, *, seconds: float = ASKING_SECONDS) -> bool | None:
    """Whether a Kata agent's machine has cgroup v2; None: unknown. Raises: as `identify`."""
    return await _has_file(client.within(seconds), _UNIFIED_FILE)


async def _has_file(client: KataClient, path: str) -> bool | None:
    answer = await _answer(client.call(VolumeStatsRequest(volume_guest_path=path)))
    if isinstance(answer, AgentError):
        return False if any(word in answer.message for word in _MISSING) else None
    # agents before 2.4 lack the call, and a policy may forbid it
    return None if isinstance(answer, KatrioError) else True


async def _answer(asked: Awaitable[msgspec.Struct]) -> msgspec.Struct | KatrioError:
    """The response, or the agent's refusal as a value. Raises: KatrioError, when there is neither."""
    try:
        return await asked
    except (AgentUnreachable, Expired, GuestDied, OutcomeUnknown):
        raise
    except KatrioError as error:
        return error
