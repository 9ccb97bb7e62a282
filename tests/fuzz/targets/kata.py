"""The Kata API: its bodies both ways, our guest's service, and a kata agent with a guest that spoils its replies.

Well-formed sessions are the captured vectors and a pod's life. Not for the frames themselves: `ttrpc` has those, though they
are spoiled here too.
"""

from __future__ import annotations

import contextlib
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from actors.agents.base import Channels
from actors.agents.kata.agent import KataAgent, connect_kata
from actors.errors import KatrioError
from actors.guest.compose import compose
from actors.guest.platform import BarePlatform
from actors.limits import DEFAULT_LIMITS
from actors.node.protocols import Channel, GuestProtocol
from actors.schemas import agent as api
from actors.schemas.oci import Process, Root, Spec
from actors.schemas.rpcs import (
    RPCS,
    SchemaError,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    rpcs_of,
)
from actors.schemas.status import error_from_status
from actors.wire.spec import ContainerSpec, ProcessSpec, ResourceSpec, SandboxSpec
from actors.wire.verbs import Update
from actors.words import Dialect
from tests.fuzz.layout import Body, Field, Frames, Layout
from tests.fuzz.target import Target, expect, in_virtual_time
from tests.fuzz.targets.calls_live import talk
from tests.fuzz.targets.grpc import FRAMES as HTTP2_FRAMES
from tests.fuzz.targets.grpc import split
from tests.fuzz.targets.ttrpc import FRAMES, TOKENS, vectors
from tests.support.simulated import open_engine
from transports.grpc.calling import ClientConnection
from transports.grpc.client import GrpcClient
from transports.ttrpc.client import TtrpcClient
from transports.ttrpc.codec import (
    REQUEST,
    RESPONSE,
    FrameDecoder,
    encode_frame,
    encode_method,
    encode_status,
)
from transports.ttrpc.codec import decode_response as decode_body
from transports.ttrpc.codec import encode_request as encode_call
from transports.ttrpc.codec import encode_response as encode_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from actors.schemas.rpcs import Rpc

__all__ = ["TARGETS"]

NAMES = tuple(RPCS)
# a byte that says which RPC it is, then the payload
BODIES = Layout(Body.PROTOBUF, header=1, fields=(Field("rpc", 0, 1, (len(NAMES),)),), tokens=TOKENS)
ANSWERS = Layout(Body.PROTOBUF, tokens=TOKENS)
AGENT = "grpc.AgentService"


def _rpc(index: int) -> Rpc:
    return RPCS[NAMES[index % len(NAMES)]]


# bodies


def _payloads() -> Sequence[Frames]:
    found = [(NAMES.index(one.method), body) for one in vectors() for body in (one.request, one.response)]
    frames = [bytes((index,)) + body for index, body in found]
    return [tuple(frames[at : at + 4]) for at in range(0, len(frames), 4)]


def _check_bodies(pieces: Frames) -> None:
    """A body is refused as a schema's error or decodes; what decoded can be encoded again, and then is the same."""
    codecs: tuple[tuple[Callable[[Rpc, bytes, Dialect], Any], Callable[[Rpc, Any, Dialect], bytes]], ...] = (
        (decode_request, encode_request),
        (decode_response, encode_response),
    )
    for piece in pieces:
        if not piece:
            continue
        rpc = _rpc(piece[0])
        for dialect in Dialect:
            if rpc.method not in rpcs_of(dialect):
                continue
            for decode, encode in codecs:
                try:
                    value = decode(rpc, piece[1:], dialect)
                except SchemaError:
                    continue
                again = decode(rpc, encode(rpc, value, dialect), dialect)
                expect(again == value, f"{rpc.method} in {dialect} is another after encoding")


# a guest


def _call(number: int, method: str, payload: bytes) -> bytes:
    service = RPCS[method].service
    return encode_frame(REQUEST, 2 * number + 1, encode_call(encode_method(service, method), payload, 0))


def _session(*requests: tuple[str, Any]) -> Frames:
    return tuple(
        _call(number, method, encode_request(RPCS[method], request))
        for number, (method, request) in enumerate(requests)
    )


def _pod(*args: str) -> list[tuple[str, Any]]:
    process = Process(args=args, cwd="/")
    spec = Spec(version="1.0.2", process=process, root=Root(path="/"))
    return [
        ("CreateSandbox", api.CreateSandboxRequest(hostname="pod", sandbox_id="pod")),
        ("CreateContainer", api.CreateContainerRequest(container_id="c1", exec_id="c1", OCI=spec)),
        ("StartContainer", api.StartContainerRequest(container_id="c1")),
    ]


def _requests_of_a_life() -> list[tuple[str, Any]]:
    one = {"container_id": "c1", "exec_id": "c1"}
    other = {"container_id": "c1", "exec_id": "p1"}
    echo = Process(args=("echo", "out"), cwd="/")
    return [
        *_pod("cat"),
        ("WriteStdin", api.WriteStreamRequest(**one, data=b"in")),
        ("ReadStdout", api.ReadStdoutRequest(**one, len=10)),
        ("ExecProcess", api.ExecProcessRequest(container_id="c1", exec_id="p1", process=echo)),
        ("ReadStdout", api.ReadStdoutRequest(**other, len=100)),
        ("WaitProcess", api.WaitProcessRequest(**other)),
        ("PauseContainer", api.PauseContainerRequest(container_id="c1")),
        ("ResumeContainer", api.ResumeContainerRequest(container_id="c1")),
        ("StatsContainer", api.StatsContainerRequest(container_id="c1")),
        ("ListProcesses", api.ListProcessesRequest(container_id="c1", format="json")),
        ("CloseStdin", api.CloseStdinRequest(**one)),
        ("WaitProcess", api.WaitProcessRequest(**one)),
        ("RemoveContainer", api.RemoveContainerRequest(container_id="c1")),
        ("DestroySandbox", api.DestroySandboxRequest()),
    ]


def _requests_of_signals() -> list[tuple[str, Any]]:
    one = {"container_id": "c1", "exec_id": "c1"}
    return [
        *_pod("sleep", "100"),
        ("SignalProcess", api.SignalProcessRequest(**one, signal=15)),
        ("TtyWinResize", api.TtyWinResizeRequest(**one, row=1, column=2)),
        ("UpdateContainer", api.UpdateContainerRequest(container_id="c1")),
        ("SignalProcess", api.SignalProcessRequest(container_id="c1", signal=9)),
        ("WaitProcess", api.WaitProcessRequest(**one)),
    ]


def _lives() -> Sequence[Frames]:
    known = [(one.method, one.request) for one in vectors()]
    captured = [
        tuple(_call(number, method, payload) for number, (method, payload) in enumerate(known[start : start + 6]))
        for start in range(0, len(known), 6)
    ]
    return [_session(*_requests_of_a_life()), _session(*_requests_of_signals()), *captured]


async def _check_service(pieces: Frames, protocol: GuestProtocol) -> None:
    """No bug of ours is met, and another host's calls are served."""
    errors: list[str] = []

    def on_error(service: str, method: str, error: Exception) -> None:
        errors.append(f"{service}/{method}: {error!r}")

    async with open_engine() as engine, trio.open_nursery() as nursery:
        composed = compose(engine, DEFAULT_LIMITS, version="fuzzed", platform=BarePlatform(), on_error=on_error)
        server = composed.servers[protocol]
        await nursery.start(composed.executor.run)
        await nursery.start(server.run)
        serve_stream = server.channels[Channel.AGENT]
        near, far = trio.testing.memory_stream_pair()
        served = trio.Event()

        async def serve() -> None:
            await serve_stream(far)
            served.set()

        nursery.start_soon(serve)
        heard = await talk(near, pieces)
        if protocol is GuestProtocol.TTRPC:
            _check_heard(heard)
        await served.wait()
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(serve_stream, far)
        client = TtrpcClient(near) if protocol is GuestProtocol.TTRPC else GrpcClient(near)
        await nursery.start(client.run)
        check = RPCS["Check"]
        reply = decode_response(check, await client.call(check.service, "Check", b""))
        expect(reply.status == 1, f"another host is told {reply}")
        nursery.cancel_scope.cancel()
    expect(not errors, f"a bug of ours: {errors[:3]}")


def _check_heard(heard: bytes) -> None:
    decoder = FrameDecoder()
    for frame in decoder.feed(heard):
        decode_body(frame.buffer, frame.start, frame.end)
    expect(not decoder.in_frame, "it says half a frame")


def _lives_of_1x() -> Sequence[Frames]:
    """The same in Kata 1.x's dialect, as far as that has it."""
    known = [(one.method, decode_request(RPCS[one.method], one.request)) for one in vectors()]
    captured = [known[start : start + 6] for start in range(0, len(known), 6)]
    return [split(_said_in_1x(chosen)) for chosen in (_requests_of_a_life(), _requests_of_signals(), *captured)]


def _said_in_1x(requests: Sequence[tuple[str, Any]]) -> bytes:
    client = ClientConnection(lambda: 0.0)
    known = rpcs_of(Dialect.GRPC)
    for method, request in requests:
        if method not in known:
            continue
        # what the dialect has no field for can't be said in it
        with contextlib.suppress(SchemaError):
            payload = encode_request(RPCS[method], request, Dialect.GRPC)
            client.send_request(RPCS[method].service, method, payload)
    return client.data_to_send()


# a host


@cache
def _asked() -> tuple[tuple[str, Callable[[KataAgent], Awaitable[object]]], ...]:
    """The calls of one host, in order, each with the RPC that it makes."""
    spec = ContainerSpec(process=ProcessSpec(args=("sh",)))
    return (
        ("Check", lambda agent: agent.check()),
        ("GetGuestDetails", lambda agent: agent.get_guest_details()),
        ("CreateSandbox", lambda agent: agent.create_sandbox("pod", SandboxSpec())),
        ("CreateContainer", lambda agent: agent.create_container("c1", spec, "/")),
        ("ExecProcess", lambda agent: agent.exec_process("c1", "p1", spec.process)),
        ("ReadStdout", lambda agent: agent.read_stdout("c1", "p1", 16)),
        ("WriteStdin", lambda agent: agent.write_stdin("c1", "p1", b"abc")),
        ("StatsContainer", lambda agent: agent.stats_container("c1")),
        ("ListProcesses", lambda agent: agent.list_pids("c1")),
        ("ListProcesses", lambda agent: agent.list_table("c1", ())),
        ("ListInterfaces", lambda agent: agent.list_interfaces()),
        ("ListRoutes", lambda agent: agent.list_routes()),
        ("UpdateContainer", lambda agent: agent.update_container("c1", Update(ResourceSpec(pids=3)))),
        ("GetDiagnosticData", lambda agent: agent.container_state("c1")),
        ("GetOOMEvent", lambda agent: agent.next_oom()),
        ("SignalProcess", lambda agent: agent.signal_process("c1", "p1", 15)),
        ("WaitProcess", lambda agent: agent.wait_process("c1", "p1")),
    )


def _bodies_of_answers() -> Sequence[Frames]:
    known = {one.method: one.response for one in vectors()}
    plain = tuple(encode_answer(known.get(method, b"")) for method, _ in _asked())
    detail = b"\x0a\x2btype.googleapis.com/google.protobuf.Struct\x12\x0e\x0a\x0c\x0a\x05field\x12\x03\x1a\x01x"
    statuses = tuple(encode_status(code, "no", (detail,)) for code in range(-1, 18))
    every = tuple(encode_answer(one.response) for one in vectors())
    return [plain, (*plain[:2], *statuses), every[:20], every[20:]]


async def _check_agent(pieces: Frames) -> None:
    """Each verb of a host returns or raises an error of ours, whatever body answers it."""
    answers = iter(pieces)

    async def serve(stream: trio.abc.Stream) -> None:
        decoder = FrameDecoder()
        try:
            while data := await stream.receive_some():
                for frame in decoder.feed(bytes(data)):
                    body = next(answers, encode_answer(b""))
                    await stream.send_all(encode_frame(RESPONSE, frame.stream_id, body))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async with trio.open_nursery() as nursery:

        async def dial() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            near, far = trio.testing.memory_stream_pair()
            nursery.start_soon(serve, far)
            return near

        agent = connect_kata(Channels(dial), DEFAULT_LIMITS)
        try:
            async with trio.open_nursery() as link:
                await link.start(agent.run)
                for _, ask in _asked():
                    try:
                        await ask(agent)
                    except KatrioError:
                        continue
                link.cancel_scope.cancel()
        except* KatrioError:
            pass
        nursery.cancel_scope.cancel()


def _check_statuses(pieces: Frames) -> None:
    """A status is an error of ours whatever it carries."""
    for piece in pieces:
        try:
            response = decode_body(piece, 0, len(piece))
        except ValueError:
            continue
        for changes_state in (False, True):
            error = error_from_status(
                response.code, response.message, (*response.details, piece), changes_state=changes_state
            )
            expect(len(error.message) <= 4096, "a text without a bound")


TARGETS = (
    Target("kata-bodies", "the payloads of every RPC", BODIES, _payloads, _check_bodies, stream=False, share=2,
           calls=(40_000, 2000)),
    Target("kata-statuses", "failures of an agent, with details", ANSWERS, _bodies_of_answers, _check_statuses,
           stream=False, share=2, calls=(20_000, 2000)),
    Target("kata-service", "our guest's service", FRAMES, _lives, in_virtual_time(partial(_check_service, protocol=GuestProtocol.TTRPC)), share=1,
           calls=(1_000_000, 2000)),
    Target("kata-1x-service", "our guest's service in Kata 1.x's dialect", HTTP2_FRAMES, _lives_of_1x,
           in_virtual_time(partial(_check_service, protocol=GuestProtocol.GRPC)), share=1, calls=(1_000_000, 3000)),
    Target("kata-agent", "a kata agent and its replies", ANSWERS, _bodies_of_answers, in_virtual_time(_check_agent),
           stream=False, share=1, calls=(400_000, 2000)),
)  # fmt: skip
