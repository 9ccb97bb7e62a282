"""Who an agent is and whether it has a sandbox, against katrio's own guest and doubles of the real ones; nothing is harmed by it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.agents.base import Channels
from actors.agents.identity import identify
from actors.agents.kata.agent import connect_kata
from actors.agents.kata.client import KataClient
from actors.agents.kata.config import KataAgentConfig
from actors.agents.kata.link import open_rpc_link
from actors.agents.kinds import AgentKind, Identity
from actors.errors import AlreadyExists, Expired, InvalidArgument, Unsupported
from actors.limits import DEFAULT_LIMITS
from actors.node.protocols import GuestProtocol
from actors.schemas.agent import CreateSandboxRequest, DestroySandboxRequest, VersionRequest
from actors.schemas.guestwords import GuestWords, read_words, say_words
from actors.schemas.oci import User
from actors.wire.spec import ContainerSpec, ProcessSpec, SandboxSpec
from actors.words import Dialect
from tests.support.conformance import open_simulated_kata
from tests.support.doubles.opening import open_double
from tests.support.realagents import KINDS, RealAgent, open_agent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from trio.testing import MockClock

    from actors.agents.kata.agent import KataAgent
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
        yield KataClient(link, timeout=60)
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


@pytest.mark.parametrize(("double", "name"), [("today", "today"), ("kata1x", "1.x")])
async def test_the_doubles_that_run_containers_are_known_alike(
    double: str, name: str, autojump_clock: MockClock
) -> None:
    kind, without, beside = KNOWN[name]
    async with (
        open_double(double) as running,
        client_of(running.channels.agent, KINDS[name].dialect) as client,
    ):
        assert await identify(client) == Identity(kind, KINDS[name].version, without)
        await client.call(CreateSandboxRequest(sandbox_id="box"))
        assert await identify(client) == Identity(kind, KINDS[name].version, beside)


@pytest.mark.parametrize("protocol", [GuestProtocol.TTRPC, GuestProtocol.GRPC])
async def test_katrio_s_own_guest_says_so_in_either_dialect(protocol: GuestProtocol, autojump_clock: MockClock) -> None:
    dialect = Dialect(protocol.value)
    async with open_simulated_kata(protocol) as target, client_of(target.dialer, dialect) as client:
        version = (await client.call(VersionRequest())).agent_version
        assert await identify(client) == Identity(AgentKind.KATRIO, version, sandbox=False, engine="simulated")
        await client.call(CreateSandboxRequest(sandbox_id="box"))
        assert (await identify(client)).sandbox is True
        await client.call(DestroySandboxRequest())
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


PASSWD = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\nanna:x:1000:1001::/:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:50:anna,bob\nanna:x:1001:\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "etc" / "group").write_text(GROUP)
    return tmp_path


USERS = {
    "": User(uid=0, gid=0),
    "nobody": User(uid=65534, gid=65533),
    "65534": User(uid=65534, gid=65533),
    "anna": User(uid=1000, gid=1001, additional_gids=(50,)),
    "anna:staff": User(uid=1000, gid=50),
    "1000:staff": User(uid=1000, gid=50),
    "7:8": User(uid=7, gid=8),
    "77": User(uid=77, gid=0),
}


@pytest.mark.parametrize("kind", ["today", "says it is katrio", "1.x", "small"])
async def test_this_host_looks_names_up_for_agents_that_do_not(
    kind: str, root: Path, autojump_clock: MockClock
) -> None:
    real = RealAgent(KINDS[kind])
    async with agent_of(real) as agent:
        for number, (user, expected) in enumerate(USERS.items()):
            await agent.create_container(
                f"c{number}", ContainerSpec(process=ProcessSpec(args=("sh",), user=user)), str(root)
            )
            assert real.users[f"c{number}"] == expected
        # of what the image had: the container may write what it likes meanwhile
        (root / "etc" / "passwd").write_text("nobody:x:0:0::/:/bin/sh\n")
        for number, (user, expected) in enumerate(USERS.items()):
            await agent.exec_process("c0", f"e{number}", ProcessSpec(args=("id",), user=user))
            assert real.users[f"c0/e{number}"] == expected


@pytest.mark.parametrize(
    "user", ["nosuch", "nobody:nosuch", "nosuch:1", "root ", "4294967295", "99999999999", ":0", "-1"]
)
async def test_an_unknown_user_is_refused_and_nothing_is_sent(user: str, root: Path, autojump_clock: MockClock) -> None:
    real = RealAgent(KINDS["today"])
    async with agent_of(real) as agent:
        await agent.create_container("one", ContainerSpec(process=ProcessSpec(args=("sh",))), str(root))
        del real.asked[:]
        with pytest.raises(InvalidArgument) as caught:
            await agent.create_container("two", ContainerSpec(process=ProcessSpec(args=("sh",), user=user)), str(root))
        assert caught.value.details["field"] == "process.user"
        with pytest.raises(InvalidArgument) as caught:
            await agent.exec_process("one", "e1", ProcessSpec(args=("sh",), user=user))
        assert caught.value.details["field"] == "process.user"
    assert real.asked == []


async def test_a_root_that_this_host_can_t_see_has_numbers_and_no_names(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    real = RealAgent(KINDS["today"])
    nowhere = str(tmp_path / "nowhere")
    async with agent_of(real) as agent:
        await agent.create_container("one", ContainerSpec(process=ProcessSpec(args=("sh",), user="7:8")), nowhere)
        assert real.users["one"] == User(uid=7, gid=8)
        for user in ("nobody", "7:staff"):
            with pytest.raises(InvalidArgument, match=r"this host can.t: .*nowhere.*write uid:gid"):
                await agent.exec_process("one", "e1", ProcessSpec(args=("sh",), user=user))
        with pytest.raises(InvalidArgument, match="made over another link"):
            await agent.exec_process("elsewhere", "e1", ProcessSpec(args=("sh",), user="nobody"))
