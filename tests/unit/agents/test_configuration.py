"""Agents' words and configurations: three words, virtcontainers' keys, and every fault told at once by its key."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import yaml
from hypothesis import given
from hypothesis import strategies as st

from actors.agents.base import Channels
from actors.agents.choice import at_address, choose_agent
from actors.agents.hyperstart.agent import SHARE, HyperstartAgent
from actors.agents.hyperstart.config import HyperConfig
from actors.agents.kata.agent import connect_kata
from actors.agents.kata.config import KataAgentConfig
from actors.agents.settings import plain_key
from actors.cli.agent_settings import agent_settings
from actors.errors import AgentUnreachable, InvalidArgument, KatrioError, Unsupported
from actors.limits import DEFAULT_LIMITS
from actors.nurseries import open_collapsing_nursery
from actors.schemas import agent as api
from actors.schemas.rpcs import RPCS, decode_request, encode_response
from actors.wire.spec import ContainerSpec, ProcessSpec, SandboxSpec
from actors.words import AgentType
from transports.errors import Unreachable
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from transports.calls.server import CallContext

FIXED = ("noop", "hyperstart", "kata")


# words


def test_the_three_words_and_no_other_are_agents() -> None:
    assert [str(word) for word in AgentType] == list(FIXED)
    for word in FIXED:
        assert str(AgentType.parse(word)) == word


@given(st.text() | st.sampled_from(["Kata", "kata ", " noop", "HYPERSTART", "hyper", "cc", ""]))
def test_any_other_word_raises_and_names_the_right_ones(word: str) -> None:
    if word in FIXED:
        return
    with pytest.raises(InvalidArgument, match="expected one of noop, hyperstart, kata") as caught:
        choose_agent(word)
    assert caught.value.details["field"] == "agent"


def test_a_slip_is_told_what_was_perhaps_meant() -> None:
    with pytest.raises(InvalidArgument, match="did you mean hyperstart"):
        AgentType.parse("hyperstat")


# keys and values


@pytest.mark.parametrize("key", ["LongLiveConn", "long_live_conn", "longliveconn", "LONG-LIVE-CONN"])
def test_every_spelling_of_a_key_is_the_same_from_toml_yaml_and_a_mapping(key: str) -> None:
    def connects(given: Any) -> bool:
        return bool(choose_agent("kata", given).connect.keywords["config"].long_live_conn)  # type: ignore[attr-defined]  # a partial

    assert connects({})
    assert not connects({key: False})
    assert not connects(tomllib.loads(f"{key} = false"))
    assert not connects(yaml.safe_load(f"{key}: false"))


@pytest.mark.parametrize(
    ("agent", "config", "field", "says"),
    [
        ("kata", {"LongLivConn": True}, "LongLivConn", "did you mean LongLiveConn"),
        ("kata", {"zzz": 1}, "zzz", "it has LongLiveConn, UseVSock"),
        ("kata", {3: 1}, "3", "unknown key 3"),
        ("kata", {"LongLiveConn": "yes"}, "LongLiveConn", "LongLiveConn: Expected `bool`"),
        ("kata", {"LongLiveConn": True, "long_live_conn": True}, "LongLiveConn", "twice"),
        ("kata", {"DialTimeout": True}, "DialTimeout", "DialTimeout"),
        ("kata", {"DialTimeout": -1}, "DialTimeout", "0 to 3600"),
        ("kata", {"Dialect": "http"}, "Dialect", "Dialect"),
        ("kata", {"Address": "tcp://1.2.3.4:5"}, "Address", "Address"),
        ("kata", {"Address": "ipc:///run/katrio/server"}, "Address", "takes requests"),
        ("kata", {"UseVSock": True}, "UseVSock", "vsock://3:1024"),
        ("kata", {"UseVSock": True, "Address": "unix:///run/a.sock"}, "UseVSock", "one of them is wrong"),
        ("kata", {"UseVSock": False, "Address": "vsock://3:1024"}, "UseVSock", "one of them is wrong"),
        ("kata", {"KernelModules": ["", "a"]}, "KernelModules", "no name"),
        ("kata", {"KernelModules": "a b"}, "KernelModules", "Expected `array`"),
        ("kata", {"Debug": True}, "Debug", "kernel"),
        ("kata", {"SockCtlName": "/run/x/hyper.sock"}, "SockCtlName", "the hyperstart agent's, and the agent is kata"),
        ("hyperstart", {"use_vsock": True}, "UseVSock", "the kata agent's, and the agent is hyperstart"),
        ("hyperstart", {"SockCtlNam": "x"}, "SockCtlNam", "did you mean SockCtlName"),
        ("hyperstart", {"SockTtyName": "/run/x/tty.sock"}, "SockCtlName", "name both"),
        ("hyperstart", {"SockCtlName": "/run/x/other.sock"}, "SockTtyName", "SockTtyName is missing"),
        ("hyperstart", {"SockCtlName": "hyper.sock"}, "SockCtlName", "SockCtlName"),
        ("hyperstart", {"ShareDir": "shared"}, "ShareDir", "absolute"),
        ("hyperstart", ["SockCtlName"], "config", "expected a mapping or a HyperConfig, found list"),
        ("hyperstart", KataAgentConfig(), "config", "a KataAgentConfig is the kata agent's"),
        ("kata", HyperConfig(), "config", "a HyperConfig is the hyperstart agent's"),
        ("noop", {"LongLiveConn": True}, "config", "no configuration"),
        ("noop", HyperConfig(), "config", "no configuration"),
    ],
)
def test_every_fault_is_told_by_its_key(agent: str, config: Any, field: str, says: str) -> None:
    with pytest.raises((InvalidArgument, Unsupported), match=says) as caught:
        choose_agent(agent, config)
    assert caught.value.details["field"] == field


@given(
    st.sampled_from(FIXED),
    st.dictionaries(
        st.text() | st.sampled_from(["Address", "SockCtlName", "Dialect"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()),
    ),
)
def test_whatever_a_mapping_holds_only_declared_errors_come_of_it(agent: str, config: dict[str, Any]) -> None:
    failure: KatrioError | None = None
    try:
        choose_agent(agent, config)
    except KatrioError as error:
        failure = error
    assert failure is None or "field" in failure.details


def test_addresses_are_those_of_the_agent_or_of_hyperstart_s_two_channels() -> None:
    def found(agent: str, config: dict[str, Any]) -> list[str]:
        return [str(address) for address in choose_agent(agent, config).addresses]

    assert found("kata", {"Address": "vsock://3:1024", "UseVSock": True}) == ["vsock://3:1024"]
    assert found("hyperstart", {"SockCtlName": "vsock://3:2718"}) == ["vsock://3:2718", "vsock://3:2719"]
    names = {"SockCtlName": "/run/vm/hyper.sock"}
    assert found("hyperstart", names) == ["unix:///run/vm/hyper.sock", "unix:///run/vm/tty.sock"]
    assert found("hyperstart", {**names, "sock_tty_name": "/run/vm/other.sock"})[1] == "unix:///run/vm/other.sock"
    assert choose_agent("kata", at_address("kata", KataAgentConfig(dial_timeout=3), "/run/a.sock")).addresses
    with pytest.raises(InvalidArgument, match="given twice"):
        at_address("kata", {"address": "/run/a.sock"}, "/run/b.sock")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.ini", "x = 1", "ends in .toml"),
        ("a.toml", "x = ", "a.toml"),
        ("a.yaml", "x: [", "a.yaml"),
        ("gone.toml", None, "No such file"),
        ("a.json", "[1]", "expected keys and values, found list"),
        ("a.json", "{" + " " * 70_000 + "}", "at most"),
        ("a.toml", "Dialect = 'ttrpc'", "write one of them"),
    ],
)
def test_a_file_that_is_none_says_what_it_is(name: str, text: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidArgument, match=says):
        agent_settings(path, "ttrpc")


def test_a_file_and_the_dialect_are_one_configuration(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("DialTimeout: 5\n")
    assert agent_settings(path, "grpc") == {"DialTimeout": 5, "Dialect": "grpc"}
    assert agent_settings(None) is None


# what they do


class Peer:
    """A Kata agent that counts its links and keeps what it was asked."""

    def __init__(self) -> None:
        self.dialled = 0
        self.open = 0
        self.requests: list[object] = []
        self.gate = trio.Event()

    async def check(self, payload: bytes, context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        return encode_response(RPCS["Check"], api.HealthCheckResponse(status=1))

    async def version(self, payload: bytes, context: CallContext) -> bytes:
        await trio.lowlevel.checkpoint()
        return encode_response(RPCS["Version"], api.VersionCheckResponse(agent_version="katrio test"))

    async def create_sandbox(self, payload: bytes, context: CallContext) -> bytes:
        self.requests.append(decode_request(RPCS["CreateSandbox"], payload))
        await self.gate.wait()
        return b""

    def dialer(self, nursery: trio.Nursery) -> Any:
        handlers = {"Check": self.check, "Version": self.version, "CreateSandbox": self.create_sandbox}
        methods = {(RPCS[name].service, name): handler for name, handler in handlers.items()}
        server = TtrpcServer(methods, on_error=lambda _service, _method, _error: None)

        async def serve(stream: trio.abc.Stream) -> None:
            self.open += 1
            await server.serve_stream(stream)
            self.open -= 1

        async def dial() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            self.dialled += 1
            near, far = trio.testing.memory_stream_pair()
            nursery.start_soon(serve, far)
            return near

        return dial


@pytest.mark.parametrize("long_live", [True, False])
async def test_a_brief_link_is_closed_when_nothing_is_asked_and_never_under_a_call(
    long_live: bool, autojump_clock: MockClock
) -> None:
    peer = Peer()
    async with trio.open_nursery() as nursery:
        config = KataAgentConfig(long_live_conn=long_live)
        agent = connect_kata(Channels(peer.dialer(nursery)), DEFAULT_LIMITS, config)
        await nursery.start(agent.run)
        nursery.start_soon(agent.create_sandbox, "box", SandboxSpec())
        await trio.testing.wait_all_tasks_blocked()
        before = peer.dialled
        began = trio.current_time()
        for _ in range(5):
            assert (await agent.check()).serving
        assert peer.dialled == before, "one call is in flight, and its link is not closed under it"
        peer.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert peer.open == (1 if long_live else 0)
        for _ in range(3):
            assert (await agent.check()).serving
        # a check asks for the version as well, as another call
        assert peer.dialled - before == (0 if long_live else 6)
        assert trio.current_time() - began < 0.01, "who closes a link on purpose does not wait before the next"
        nursery.cancel_scope.cancel()


async def test_kernel_modules_go_with_the_sandbox(autojump_clock: MockClock) -> None:
    peer = Peer()
    peer.gate.set()
    async with trio.open_nursery() as nursery:
        config = KataAgentConfig(kernel_modules=("e1000e InterruptThrottleRate=3000 EEE=1", "i915"))
        agent = connect_kata(Channels(peer.dialer(nursery)), DEFAULT_LIMITS, config)
        await nursery.start(agent.run)
        await agent.create_sandbox("box", SandboxSpec())
        nursery.cancel_scope.cancel()
    (request,) = peer.requests
    assert isinstance(request, api.CreateSandboxRequest)
    first, second = request.kernel_modules
    assert (first.name, first.parameters) == ("e1000e", ("InterruptThrottleRate=3000", "EEE=1"))
    assert (second.name, second.parameters) == ("i915", ())


async def test_the_dial_timeout_is_how_long_a_guest_is_waited_for(autojump_clock: MockClock) -> None:
    async def nobody() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise Unreachable("nobody")

    limits = replace(DEFAULT_LIMITS, guest_start_seconds=30)
    agent = connect_kata(Channels(nobody), limits, KataAgentConfig(dial_timeout=7))
    began = trio.current_time()
    with pytest.raises(AgentUnreachable):
        async with open_collapsing_nursery() as nursery:
            await nursery.start(agent.run)
    assert 6 < trio.current_time() - began <= 7


async def test_a_share_is_what_a_root_is_named_from(autojump_clock: MockClock) -> None:
    agent = choose_agent("hyperstart", {"ShareDir": SHARE, "ShareTag": "hyperShared"}).connect(
        Channels(_never, _never), DEFAULT_LIMITS
    )
    assert isinstance(agent, HyperstartAgent)
    spec = ContainerSpec(process=ProcessSpec(args=("true",)))
    await agent.create_container("one", spec, f"{SHARE}/one/rootfs")
    with pytest.raises(InvalidArgument, match="sees '/tmp/hyper/shared' alone"):
        await agent.create_container("two", spec, "/elsewhere")


async def _never() -> trio.abc.Stream:
    await trio.sleep_forever()
    raise AssertionError


def test_keys_have_one_plain_form() -> None:
    assert plain_key("Sock_Ctl-Name") == "sockctlname"
