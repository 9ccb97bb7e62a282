"""Kata 1.x's dialect against a peer that is none of ours: grpcio, as client of our guest and as server of our client."""

from __future__ import annotations

import importlib
from concurrent import futures
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from actors.agents.kata.spec import oci_spec
from actors.schemas import agent as api
from actors.schemas.rpcs import decode_response, encode_request, rpcs_of
from actors.wire.spec import ContainerSpec, ProcessSpec
from actors.words import Dialect
from tests.support.guest_command import served
from transports.errors import EndpointBroken, RpcStatusError, Unreachable
from transports.grpc.client import GrpcClient
from transports.stream import unix_dialer

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

# it has no types
grpc: Any = importlib.import_module("grpc")
RPCS = rpcs_of(Dialect.GRPC)
LARGE = 4 * 1024 * 1024 - 1024


class GrpcioClient:
    """Calls our guest with the bytes that we encode, by somebody else's HTTP/2."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def call(self, method: str, timeout: float = 30, **fields: Any) -> Any:
        rpc = RPCS[method]
        ask = self._channel.unary_unary(f"/{rpc.service}/{method}")
        payload: bytes = ask(encode_request(rpc, rpc.request(**fields), Dialect.GRPC), timeout=timeout)
        return decode_response(rpc, payload, Dialect.GRPC)

    def failure(self, method: str, timeout: float = 30, **fields: Any) -> tuple[Any, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, timeout, **fields)
        error: Any = caught.value
        return error.code(), error.details()


def test_grpcio_uses_our_guest_as_it_would_an_agent_of_1_x(tmp_path: Path) -> None:
    directory = tmp_path / "own"
    directory.mkdir(mode=0o700)
    address = f"unix://{directory}/a.sock"
    words = ("--address", address, "--dialect", "grpc", "--run-dir", str(directory / "run"), "--engine", "processes")
    with served(*words) as (_, ready), grpc.insecure_channel(address) as channel:
        assert ready["dialect"] == "grpc"
        client = GrpcioClient(channel)
        assert client.call("Check").status == api.ServingStatus.SERVING
        assert client.call("Version").agent_version.startswith("katrio")
        client.call("CreateSandbox", sandbox_id="sb", hostname="sb")
        spec = oci_spec(ContainerSpec(process=ProcessSpec(args=("sh", "-c", "cat; echo err >&2; exit 7"))), "/")
        client.call("CreateContainer", container_id="co", exec_id="co", OCI=spec)
        client.call("StartContainer", container_id="co")
        one: dict[str, Any] = {"container_id": "co", "exec_id": "co"}
        assert client.failure("ReadStdout", 0.3, **one, len=10)[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        sent = bytes(range(256)) * 16
        assert client.call("WriteStdin", **one, data=sent).len == len(sent)
        client.call("CloseStdin", **one)
        seen = b""
        while len(seen) < len(sent):
            seen += client.call("ReadStdout", **one, len=1000).data
        assert seen == sent
        # the only way in which 1.x tells an end
        assert client.failure("ReadStdout", **one, len=10) == (grpc.StatusCode.UNKNOWN, "EOF")
        assert client.call("ReadStderr", **one, len=100).data == b"err\n"
        assert client.call("WaitProcess", **one).status == 7
        assert client.failure("StartContainer", container_id="nope")[0] is grpc.StatusCode.NOT_FOUND
        assert client.failure("StartTracing")[0] is grpc.StatusCode.UNIMPLEMENTED
        code, text = client.failure("CreateContainer", container_id="other", OCI=spec, agent_pidns=True)
        assert (code, "agent_pidns" in text) == (grpc.StatusCode.UNIMPLEMENTED, True)
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            channel.unary_unary("/grpc.AgentService/GetMetrics")(b"", timeout=30)
        client.call("RemoveContainer", container_id="co")
        client.call("DestroySandbox")


@contextmanager
def grpcio_server(path: Path) -> Generator[Any]:
    """Serves Echo, Fail and Never."""

    def echo(payload: bytes, _: Any) -> bytes:
        return payload

    def fail(_: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now:\n50 % of \u20ac")
        raise AssertionError

    def wait(_: bytes, context: Any) -> bytes:
        done = futures.Future[None]()
        context.add_callback(lambda: done.set_result(None))
        done.result(30)
        return b""

    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Never": grpc.unary_unary_rpc_method_handler(wait),
    }
    with futures.ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.S", methods),))
        server.add_insecure_port(f"unix:{path}")
        server.start()
        try:
            yield server
        finally:
            server.stop(0).wait()


async def test_our_client_uses_a_grpcio_server(tmp_path: Path) -> None:
    with grpcio_server(tmp_path / "s") as server:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                client = GrpcClient(await unix_dialer(str(tmp_path / "s"))())
                await nursery.start(client.run)
                for payload in (b"", b"x", bytes(LARGE)):
                    assert await client.call("t.S", "Echo", payload) == payload

                async def caller(number: int) -> None:
                    payload = bytes((number,)) * (number * 1500)
                    assert await client.call("t.S", "Echo", payload) == payload

                async with trio.open_nursery() as callers:
                    for number in range(60):
                        callers.start_soon(caller, number)
                with pytest.raises(RpcStatusError) as caught:
                    await client.call("t.S", "Fail", b"")
                assert caught.value.message == "not now:\n50 % of \u20ac"
                with pytest.raises(RpcStatusError, match="UNIMPLEMENTED"):
                    await client.call("t.S", "Nope", b"")
                with pytest.raises(RpcStatusError, match="DEADLINE_EXCEEDED"):
                    await client.call("t.S", "Never", b"", timeout_nano=100_000_000)
                with trio.move_on_after(0.1):
                    await client.call("t.S", "Never", b"")
                assert await client.call("t.S", "Echo", b"alive") == b"alive"
                await trio.to_thread.run_sync(lambda: server.stop(1).wait())
        # it said GOAWAY, and the client's task has ended by itself
        assert not client.accepting
        assert isinstance(client.ended, EndpointBroken)
        with pytest.raises((EndpointBroken, Unreachable)):
            await client.call("t.S", "Echo", b"")
