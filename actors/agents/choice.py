"""virtcontainers' agent names and configurations, and the agent for each.

An unknown name raises; virtcontainers fell back to noop there, with which everything seems to work. An agent is imported
when it is chosen, with the protocols that it speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from actors.agents.hyperstart.config import HyperConfig
from actors.agents.kata.config import NOT_HERE, KataAgentConfig
from actors.agents.peers import PEERS
from actors.agents.settings import decode_settings, keys_of, plain_key
from actors.errors import InvalidArgument
from actors.node.protocols import GuestProtocol
from actors.words import AgentType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.agents.base import AgentFactory, Channels
    from actors.agents.kinds import Identity
    from actors.limits import Limits
    from transports.address import Address
    from transports.recognise import Peer

__all__ = ["AgentConfig", "ChosenAgent", "at_address", "choose_agent"]

S = TypeVar("S", bound=Struct)


class ChosenAgent(NamedTuple):
    """An agent and its validated configuration.

    Attributes:
        connect: the factory of a sandbox's agent.
        protocol: what our guest must speak to it; None for noop.
        addresses: for a guest that already runs: its agent's, or hyperstart's two channels'. Empty: start our own guests.
        peers: the expected peer at each address.
        patience: seconds within which a guest must answer, if configured.
        identify: finds out who answers there, and whether its machine has cgroup v2; None: not possible.
        share: for a guest that already runs, the directory below which it sees its containers' roots.
    """

    type: AgentType
    connect: AgentFactory
    protocol: GuestProtocol | None
    addresses: tuple[Address, ...] = ()
    peers: tuple[Peer, ...] = ()
    share: str = "/"
    patience: int = 0
    identify: Callable[[Channels, Limits], Awaitable[tuple[Identity, bool | None]]] | None = None


AgentConfig: TypeAlias = "Mapping[str, Any] | HyperConfig | KataAgentConfig"


def choose_agent(word: str, config: AgentConfig | None = None) -> ChosenAgent:
    """The agent of that name, configured; a mapping is decoded as `HyperConfig` or `KataAgentConfig`.

    Raises:
        InvalidArgument: unknown agent, another agent's configuration, or an invalid value (`field`).
        Unsupported: a virtcontainers key that has no meaning here.
    """
    agent = AgentType.parse(word)
    nothing: Mapping[str, Any] = {}
    given = nothing if config is None else config
    if agent is AgentType.NOOP:
        if given != {}:
            raise InvalidArgument("the noop agent takes no configuration: leave it out", field="config")
        from actors.agents.noop import connect_noop

        return ChosenAgent(agent, connect_noop, None)
    _refuse_others(agent, given)
    if agent is AgentType.HYPERSTART:
        from actors.agents.hyperstart.agent import connect_hyperstart

        hyper = given if isinstance(given, HyperConfig) else _decoded(given, HyperConfig, agent, {})
        connect = partial(connect_hyperstart, config=hyper)
        protocol = GuestProtocol.HYPERSTART
        return ChosenAgent(agent, connect, protocol, hyper.addresses() or (), PEERS[protocol], hyper.share_dir)
    from actors.agents.kata.agent import connect_kata, identify_kata

    kata = given if isinstance(given, KataAgentConfig) else _decoded(given, KataAgentConfig, agent, NOT_HERE)
    address = kata.agent_address()
    protocol = GuestProtocol.of(agent, kata.dialect)
    addresses = () if address is None else (address,)
    connect_to = partial(connect_kata, config=kata)
    identify = partial(identify_kata, config=kata)
    return ChosenAgent(
        agent, connect_to, protocol, addresses, PEERS[protocol], patience=kata.dial_timeout, identify=identify
    )


def at_address(word: str, config: AgentConfig | None, address: str) -> AgentConfig:
    """The configuration for an agent that already runs at `address`. Raises: InvalidArgument."""
    agent = AgentType.parse(word)
    if agent is AgentType.NOOP:
        raise InvalidArgument(f"the noop agent contacts nobody, and nobody at {address}", field="address")
    key = "SockCtlName" if agent is AgentType.HYPERSTART else "Address"
    if config is None:
        return {key: address}
    if isinstance(config, Mapping):
        if any(plain_key(str(given)) == plain_key(key) for given in config):
            raise InvalidArgument(f"{key}: the address is given twice", field=key)
        return {**config, key: address}
    return replace(config, **{_ADDRESS_FIELDS[agent]: address})


_ADDRESS_FIELDS = {AgentType.HYPERSTART: "sock_ctl_name", AgentType.KATA: "address"}
_CONFIGS: Mapping[AgentType, type[Struct]] = {AgentType.HYPERSTART: HyperConfig, AgentType.KATA: KataAgentConfig}


def _refuse_others(agent: AgentType, given: Mapping[str, Any] | Struct) -> None:
    """Reject another agent's configuration, as an object or by its keys."""
    own = {plain_key(key) for key in keys_of(_CONFIGS[agent])}
    for other, kind in _CONFIGS.items():
        if other is agent:
            continue
        if isinstance(given, kind):
            raise InvalidArgument(f"a {kind.__name__} is the {other} agent's, and the agent is {agent}", field="config")
        if isinstance(given, Mapping):
            for key in keys_of(kind):
                if plain_key(key) not in own and any(plain_key(str(word)) == plain_key(key) for word in given):
                    raise InvalidArgument(
                        f"configuration: {key} is the {other} agent's, and the agent is {agent}", field=key
                    )


def _decoded(given: object, kind: type[S], agent: AgentType, elsewhere: Mapping[str, str]) -> S:
    if not isinstance(given, Mapping):
        raise InvalidArgument(
            f"configuration of the {agent} agent: expected a mapping or a {kind.__name__}, found {type(given).__name__}",
            field="config",
        )
    return decode_settings(cast("Mapping[str, Any]", given), kind, agent=agent, elsewhere=elsewhere)
