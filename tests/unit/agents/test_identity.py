"""Who an agent is and whether it has a sandbox, against katrio's own guest and doubles of the real ones; nothing is harmed by it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.agents.base import Channels
from actors.agents.identity import AgentKind, Identity, identify
from actors.agents.kata import KataAgentConfig, connect_kata
from actors.agents.kata.client import KataClient
from actors.agents.kata.dialects import open_rpc_link
from actors.conformance.case import Spoken
from actors.errors import AlreadyExists, Expired, Unsupported
from actors.limits import DEFAULT_LIMITS
from actors.schemas.agent import CreateSandboxRequest
from actors.schemas.dialect import Dialect
from actors.schemas.guestwords import GuestWords, read_words, say_words
from actors.wire.spec import SandboxSpec
from tests.support.conformance import open_simulated_kata
from tests.support.realagents import KINDS, RealAgent, open_agent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from actors.agents.kata import KataAgent
    from transports.base import Dialer

# kind; what is known of the sandbox when there is none, and when there is one
KNOWN = {
    "today": (AgentKind.KATA, False, True),
    "before 2.4": (AgentKind.KATA, None, None),
    "with a policy": (AgentKind.KATA, None, None),
    "says it is katrio": (AgentKind.KATA, False, True),
    "1.x": (AgentKind.KATA_1X, False, True),
    "small": (AgentKind.OTHER, None, None),
}
HARMLESS = {"Version", "GetGuestDetails", "StatsContainer", "GetVolumeStats"}


@asynccontextmanager
async def client_of(dial: Dialer, dialect: Dialect) -> AsyncGenerator[KataClient]:
    async with trio.open_nursery() as nursery:
        link = open_rpc_link(dial, DEFAULT_LIMITS, dialect)
        await nursery.start(link.run)
        yield KataClient(link, seconds=60)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def agent_of(real: RealAgent) -> AsyncGenerator[KataAgent]:
    async with open_agent(real) as dial, trio.open_nursery() as nursery:
        agent = connect_kata(Channels(dial), DEFAULT_LIMITS, KataAgentConfig(dialect=real.kind.dialect))
        await nursery.start(agent.run)
        yield agent
        nursery.cancel_scope.cancel()


def test_every_kind_has_a_row() -> None:
    assert KNOWN.keys() == KINDS.keys()


@pytest.mark.parametrize("sandbox", [False, True])
@pytest.mark.parametrize("name", KINDS)
async def test_a_real_agent_is_known_by_what_it_does(name: str, *, sandbox: bool, autojump_clock: MockClock) -> None:
    kind, without, beside = KNOWN[name]
    real = RealAgent(KINDS[name], sandbox=sandbox)
    async with open_agent(real) as dial, client_of(dial, real.kind.dialect) as client:
        found = await identify(client)
        assert found == Identity(kind, real.kind.version, beside if sandbox else without)
        assert not found.own
    assert set(real.asked) <= HARMLESS
    assert real.sandbox is sandbox


@pytest.mark.parametrize("spoken", [Spoken.TTRPC, Spoken.GRPC])
async def test_katrio_s_own_guest_says_so_in_either_dialect(spoken: Spoken, autojump_clock: MockClock) -> None:
    dialect = Dialect.GRPC if spoken is Spoken.GRPC else Dialect.TTRPC
    async with open_simulated_kata(spoken) as target, client_of(target.dialer, dialect) as client:
        version = (await client.version()).agent_version
        assert await identify(client) == Identity(AgentKind.KATRIO, version, sandbox=False, engine="simulated")
        await client.create_sandbox(CreateSandboxRequest(sandbox_id="box"))
        assert (await identify(client)).sandbox is True
        await client.destroy_sandbox()
        found = await identify(client)
        assert found.own
        assert found.sandbox is False


async def test_one_that_hangs_under_its_lock_is_told_though_it_says_its_version(autojump_clock: MockClock) -> None:
    real = RealAgent(KINDS["today"], sandbox=True, stuck=True)
    async with open_agent(real) as dial, client_of(dial, Dialect.TTRPC) as client:
        with pytest.raises(Expired, match="says its version and answers nothing else, it hangs"):
            await identify(client, seconds=5)
        assert trio.current_time() == pytest.approx(5)


@pytest.mark.parametrize("name", ["today", "says it is katrio", "1.x"])
async def test_an_agent_that_has_a_sandbox_is_never_asked_for_another(name: str, autojump_clock: MockClock) -> None:
    real = RealAgent(KINDS[name], sandbox=True)
    async with agent_of(real) as agent:
        with pytest.raises(AlreadyExists, match="has a sandbox already, which somebody else made"):
            await agent.create_sandbox("box", SandboxSpec())
        await agent.destroy_sandbox()
    assert not {"CreateSandbox", "DestroySandbox"} & set(real.asked), "nor is it ended for them"
    assert real.sandbox


@pytest.mark.parametrize("name", ["today", "says it is katrio", "1.x", "small"])
async def test_one_without_gets_one_and_it_is_ended(name: str, autojump_clock: MockClock) -> None:
    real = RealAgent(KINDS[name])
    async with agent_of(real) as agent:
        await agent.create_sandbox("box", SandboxSpec())
        assert real.sandbox
        await agent.destroy_sandbox()
        assert not real.sandbox


@pytest.mark.parametrize("name", ["before 2.4", "with a policy"])
async def test_where_nobody_can_tell_nothing_is_made_and_nothing_ended(name: str, autojump_clock: MockClock) -> None:
    real = RealAgent(KINDS[name], sandbox=True)
    async with agent_of(real) as agent:
        with pytest.raises(Unsupported) as caught:
            await agent.create_sandbox("box", SandboxSpec(hostname="mine"))
        assert caught.value.details["field"] == "spec.hostname"
        await agent.create_sandbox("box", SandboxSpec())
        await agent.destroy_sandbox()
    assert not {"CreateSandbox", "DestroySandbox"} & set(real.asked)


async def test_one_that_refuses_by_itself_keeps_its_sandbox(autojump_clock: MockClock) -> None:
    real = RealAgent(KINDS["small"], sandbox=True)
    async with agent_of(real) as agent:
        with pytest.raises(AlreadyExists):
            await agent.create_sandbox("box", SandboxSpec())
        await agent.destroy_sandbox()
    assert real.sandbox


@given(st.text())
def test_any_text_but_the_answer_is_no_guest_of_ours(text: str) -> None:
    found = read_words(text)
    assert found is None or say_words(found).split(" ")[0] == text.split(" ")[0]


@given(st.sampled_from(["runc", "crun", "processes", "simulated"]), st.booleans())
def test_the_answer_is_read_as_it_was_said(engine: str, sandbox: bool) -> None:
    words = GuestWords(engine, sandbox)
    assert read_words(say_words(words)) == words
