"""What the kata agent makes of a real Kata agent's ways, by the version that it tells: exit codes, and ids it can't take."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio

from actors.agents.base import Channels
from actors.agents.kata.agent import KataAgent, connect_kata
from actors.agents.kata.spec import named_as_asked, oci_process, string_user
from actors.errors import InvalidArgument, NotFound
from actors.limits import DEFAULT_LIMITS
from actors.schemas import agent as api
from actors.schemas.agent import StringUser
from actors.schemas.guestwords import SERVICE, GuestWords, say_words
from actors.schemas.rpcs import RPCS, decode_request, encode_response
from actors.wire.spec import ContainerSpec, ProcessSpec
from tests.support.calls import memory_dialer
from transports.errors import RpcStatusError, StatusCode
from transports.ttrpc.server import TtrpcServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from transports.calls.server import CallContext, Handler

OLD, NEW, GO, OURS = "3.2.0", "4.1.0", "1.3.0-rc0-d32aa7c", "katrio 0.1"
SPEC = ContainerSpec(process=ProcessSpec(args=("sh",)))


@dataclass
class Peer:
    """An agent that says it is of `version`, tells `status` of every end, and refuses signals when told to."""

    version: str
    status: int = 0
    refuses: bool = False
    calls: list[str] = field(default_factory=list[str])

    def answer(self, method: str, request: Any) -> Any:
        self.calls.append(method)
        match method:
            case "Check":
                return api.HealthCheckResponse(status=api.ServingStatus.SERVING)
            case "Version" if self.version == OURS and request.service == SERVICE:
                return api.VersionCheckResponse(say_words(GuestWords("runc", sandbox=False)), self.version)
            case "Version":
                return api.VersionCheckResponse(agent_version=self.version)
            case "WaitProcess":
                return api.WaitProcessResponse(status=self.status)
            case "SignalProcess" if self.refuses:
                raise RpcStatusError(StatusCode.NOT_FOUND, "no such process")
            case _:
                return RPCS[method].response()

    def handler(self, method: str) -> Handler:
        async def handle(payload: bytes, _: CallContext) -> bytes:
            await trio.lowlevel.checkpoint()
            rpc = RPCS[method]
            return encode_response(rpc, self.answer(method, decode_request(rpc, payload)))

        return handle


@asynccontextmanager
async def agent_of(peer: Peer) -> AsyncGenerator[KataAgent]:
    errors: list[Exception] = []
    methods = {(rpc.service, name): peer.handler(name) for name, rpc in RPCS.items()}
    server = TtrpcServer(methods, on_error=lambda _service, _method, error: errors.append(error))
    async with trio.open_nursery() as nursery:
        agent = connect_kata(Channels(memory_dialer(server, nursery)), DEFAULT_LIMITS)
        await nursery.start(agent.run)
        yield agent
        nursery.cancel_scope.cancel()
    assert errors == []


@pytest.mark.parametrize(
    ("version", "told", "code"),
    [
        (OLD, 9, 137),
        ("2.0.0-alpha1", 9, 137),
        ("4.0.0", 9, 137),
        # what the process exited with itself, before it could be killed
        (OLD, 0, 0),
        (OLD, 3, 3),
        # already told as everywhere else
        (OLD, 137, 137),
        (NEW, 137, 137),
        # these tell 128 + N, so 9 is what it exited with
        (NEW, 9, 9),
        ("10.0.0", 9, 9),
        (GO, 9, 9),
        (OURS, 9, 9),
        ("dev", 9, 9),
    ],
)
@pytest.mark.parametrize("everything", [False, True])
async def test_a_bare_9_after_our_sigkill_is_137_where_the_agent_is_known_to_tell_bare_signals(
    version: str, told: int, code: int, everything: bool, autojump_clock: MockClock
) -> None:
    async with agent_of(Peer(version, told)) as agent:
        if everything:
            await agent.kill_all("box")
        else:
            await agent.signal_process("box", "e1", signal.SIGKILL)
        assert (await agent.wait_process("box", "e1")).code == code


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
async def test_a_signal_that_a_process_can_catch_proves_nothing(signum: int, autojump_clock: MockClock) -> None:
    async with agent_of(Peer(OLD, signum)) as agent:
        await agent.signal_process("box", "box", signum)
        assert (await agent.wait_process("box", "box")).code == signum


async def test_a_9_that_was_not_our_doing_is_told_as_it_came(autojump_clock: MockClock) -> None:
    peer = Peer(OLD, 9)
    async with agent_of(peer) as agent:
        assert (await agent.wait_process("box", "box")).code == 9, "nothing was sent"
        await agent.signal_process("box", "e1", signal.SIGKILL)
        assert (await agent.wait_process("box", "box")).code == 9, "another process was killed"
        assert (await agent.wait_process("other", "e1")).code == 9, "another container's was killed"
        peer.refuses = True
        with pytest.raises(NotFound):
            await agent.signal_process("box", "e2", signal.SIGKILL)
        with pytest.raises(NotFound):
            await agent.kill_all("box")
        assert (await agent.wait_process("box", "e2")).code == 9, "the signal was refused"
        with pytest.raises(NotFound):
            await agent.signal_process("box", "e1", signal.SIGKILL)
        assert (await agent.wait_process("box", "e1")).code == 137, "the first one was taken"
        await agent.remove_container("box")
        assert (await agent.wait_process("box", "e1")).code == 9, "the id may come again"


@pytest.mark.parametrize("name", ["image", "sandbox", "shared"])
@pytest.mark.parametrize("version", [OLD, NEW, GO])
async def test_an_id_that_is_a_directory_of_a_real_agents_own_is_refused_and_nothing_is_sent(
    name: str, version: str, autojump_clock: MockClock
) -> None:
    peer = Peer(version)
    async with agent_of(peer) as agent:
        with pytest.raises(InvalidArgument, match=f"container id '{name}'") as caught:
            await agent.create_container(name, SPEC, "/rootfs")
        assert caught.value.details["field"] == "id"
        assert "CreateContainer" not in peer.calls
        await agent.create_container(f"{name}1", SPEC, "/rootfs")
        assert peer.calls[-1] == "CreateContainer"


@pytest.mark.parametrize("name", ["image", "sandbox", "shared"])
async def test_our_guest_has_no_such_directories_and_takes_the_id(name: str, autojump_clock: MockClock) -> None:
    peer = Peer(OURS)
    async with agent_of(peer) as agent:
        await agent.create_container(name, SPEC, "/rootfs")
        assert peer.calls[-1] == "CreateContainer"


@pytest.mark.parametrize(
    ("user", "numbers", "looked_up"),
    [
        ("", (0, 0), None),
        # passwd has its group, and an agent that does not look gets the number all the same
        ("65534", (65534, 0), StringUser(uid="65534", gid="")),
        ("65534:7", (65534, 7), None),
        ("web", (0, 0), StringUser(uid="web", gid="")),
        ("7:web", (0, 0), StringUser(uid="7", gid="web")),
    ],
)
def test_who_is_looked_up_and_who_is_sent_as_numbers(
    user: str, numbers: tuple[int, int], looked_up: StringUser | None
) -> None:
    spec = ProcessSpec(args=("id",), user=user)
    sent = oci_process(spec).user
    assert sent is not None
    assert ((sent.uid, sent.gid), string_user(spec)) == (numbers, looked_up)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ("args", "process.args"),
        ("args[1]", "process.args"),
        ("OCI.process.user.uid", "process.user"),
        ("process.consoleSize.height", "process.size"),
        ("linux.resources.cpu.quota", "resources.cpu_quota_us"),
        ("memory.limit", "resources.memory_bytes"),
        ("process.user", "process.user"),
        ("pids.limit", "resources.pids"),
        ("root", "image"),
        ("mounts[3].source", "mounts"),
        ("grpc.LinuxCPU.Shares", "spec"),
        ("rlimits", "spec"),
        ("arguments", "spec"),
    ],
)
def test_a_guests_names_become_the_verbs_own(told: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught, named_as_asked("spec"):
        raise InvalidArgument(f"resources.{told} is wrong", field=told)
    assert caught.value.details == {"field": field}
