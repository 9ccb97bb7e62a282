"""The guest's kata service: every call of the API has its answer, and the simulated guest's are those of the page."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from actors.agents.kata.client import KataClient
from actors.agents.kata.spec import oci_spec
from actors.errors import InvalidArgument, Unsupported
from actors.guest.embedded import EmbeddedPlatform
from actors.guest.executor import Executor
from actors.guest.metrics import Family, Sample, render
from actors.guest.model import GuestModel
from actors.guest.platform import BarePlatform
from actors.guest.services.kata import KataService
from actors.guest.services.kata_guest import GuestCalls
from actors.guest.services.kata_refused import REFUSED
from actors.guest.shared import SHARED_DIRECTORY
from actors.limits import DEFAULT_LIMITS
from actors.node.protocols import GuestProtocol
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas import rpcs
from actors.schemas.guestwords import SERVICE, GuestWords, read_words
from actors.schemas.rpcs import RPCS, rpcs_of
from actors.schemas.status import TAKES_DETAILS
from actors.simulation.engine import SimulatedEngine
from actors.wire.spec import ContainerSpec, ProcessSpec
from actors.words import Dialect
from tests.support.conformance import open_simulated_kata
from tests.support.habits_body import as_real_agents_do
from tests.support.rpc_body import EXERCISES, Stage, observe, promised
from transports.errors import StatusCode
from transports.ttrpc.codec import (
    REQUEST,
    FrameDecoder,
    decode_response,
    encode_frame,
    encode_metadata,
    encode_method,
    encode_request,
)

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

COLUMNS = ("runc", "processes", "simulated")


@pytest.mark.parametrize("column", COLUMNS)
def test_the_page_has_every_call_and_the_body_makes_every_call(column: str) -> None:
    table = promised(column)
    assert set(table) == set(RPCS) == set(EXERCISES)
    assert set(table.values()) <= {"ok", "ok with iptables", "unsupported", "waits"}
    # 1.x's own calls are refused too, and are no rows
    assert {table.get(name, "unsupported") for name in REFUSED} == {"unsupported"}


async def test_what_a_simulated_guest_answers_is_what_the_page_says(autojump_clock: MockClock) -> None:
    async with open_simulated_kata() as target, trio.open_nursery() as nursery:
        link = target.link()
        await nursery.start(link.run)
        assert await observe(KataClient(link, timeout=60), "simulated", "/") == promised("simulated")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("protocol", [GuestProtocol.TTRPC, GuestProtocol.GRPC])
async def test_a_simulated_guest_has_the_habits_of_real_agents(
    protocol: GuestProtocol, autojump_clock: MockClock
) -> None:
    async with open_simulated_kata(protocol) as target, trio.open_nursery() as nursery:
        link = target.link()
        await nursery.start(link.run)
        await as_real_agents_do(Stage(KataClient(link, timeout=60), "simulated", "/"))
        nursery.cancel_scope.cancel()


async def test_a_guest_says_what_it_is_to_who_asks_by_its_name(autojump_clock: MockClock) -> None:
    """Others are told what every Kata agent says."""
    platform = BarePlatform()
    guest = GuestCalls(GuestModel(DEFAULT_LIMITS), platform, DEFAULT_LIMITS, version="1.2", engine="processes")
    ask = guest.methods()["Version"]
    for asked, words in ((SERVICE, GuestWords("processes", sandbox=False)), ("grpc.Health", None), ("", None)):
        answer = await ask(api.CheckRequest(asked))
        assert isinstance(answer, api.VersionCheckResponse)
        assert read_words(answer.grpc_version) == words
        assert answer.agent_version == "1.2"


async def test_programs_are_told_a_name_as_long_as_the_kernel_takes_it_in_bytes(autojump_clock: MockClock) -> None:
    async with open_simulated_kata() as target, trio.open_nursery() as nursery:
        link = target.link()
        await nursery.start(link.run)
        client = KataClient(link, timeout=60)
        for long in ("x" * 65, "\u00fc" * 33, "x\0"):
            with pytest.raises(InvalidArgument) as caught:
                await client.call(api.CreateSandboxRequest(hostname=long, sandbox_id="box"))
            assert caught.value.details["field"] == "hostname"
        for name, told in (("x" * 64, "x" * 64), ("\u00fc" * 32, "\u00fc" * 32), ("", "box")):
            await client.call(api.CreateSandboxRequest(hostname=name, sandbox_id="box"))
            spec = oci_spec(ContainerSpec(process=ProcessSpec(args=("hostname",))), "/")
            await client.call(api.CreateContainerRequest(container_id="one", OCI=spec))
            await client.call(api.StartContainerRequest(container_id="one"))
            said = await client.call(api.ReadStdoutRequest(container_id="one", exec_id="one", len=1000))
            assert said.data.decode() == f"{told}\n"
            await client.call(api.DestroySandboxRequest())
        nursery.cancel_scope.cancel()


async def test_a_file_that_was_begun_ends_with_its_sandbox(autojump_clock: MockClock) -> None:
    begun = api.CopyFileRequest(path=f"{SHARED_DIRECTORY}/file", file_size=6, data=b"abc")
    async with open_simulated_kata() as target, trio.open_nursery() as nursery:
        link = target.link()
        await nursery.start(link.run)
        client = KataClient(link, timeout=60)
        await client.call(api.CreateSandboxRequest(sandbox_id="box"))
        await client.call(begun)
        await client.call(api.DestroySandboxRequest())
        await client.call(api.CreateSandboxRequest(sandbox_id="next"))
        with pytest.raises(InvalidArgument) as caught:
            await client.call(replace(begun, offset=3, data=b"def"))
        assert caught.value.details["field"] == "offset"
        nursery.cancel_scope.cancel()


def test_a_guest_has_a_handler_for_every_call_of_either_dialect() -> None:
    limits = DEFAULT_LIMITS
    executor = Executor(SimulatedEngine(random.Random(0)), GuestModel(limits), limits)
    service = KataService(executor, limits, version="x", engine="simulated", platform=BarePlatform())
    for dialect in Dialect:
        assert {name for _, name in service.handlers(dialect)} == set(rpcs_of(dialect))


async def test_without_a_network_of_its_own_a_guest_looks_at_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    for end in ("save", "restore"):
        program = tmp_path / f"iptables-{end}"
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    platform = EmbeddedPlatform(namespaces=False)
    neighbor = net.ARPNeighbor(net.IPAddress(0, "198.51.100.9"), device="lo", lladdr="02:00:00:00:00:09")
    for work in (
        platform.interfaces(),
        platform.update_interface(net.Interface(device="lo", mtu=1400)),
        platform.routes(),
        platform.update_routes(()),
        platform.add_neighbors((neighbor,)),
        platform.packet_filter(ipv6=False),
        platform.set_packet_filter(b"*filter\nCOMMIT\n", ipv6=False),
    ):
        with pytest.raises(Unsupported, match="this guest has no network of its own"):
            await work
    assert not (tmp_path / "ran").exists()
    names = {family.name for family in await platform.measures()}
    assert "kata_guest_netdev_stat" not in names
    assert "kata_agent_total_rss" in names


@pytest.mark.parametrize(
    ("metadata", "has_details"),
    [
        (b"", False),
        (encode_metadata((("trace-id", "1"), ("katrio-details", "yes"))), False),
        (encode_metadata((("trace-id", "1"), TAKES_DETAILS)), True),
    ],
)
async def test_a_failure_has_details_for_a_caller_alone_that_takes_them(
    metadata: bytes, *, has_details: bool, autojump_clock: MockClock
) -> None:
    """Kata's Go clients up to 3.2 panic on them. Every kind of failure: a refusal of ours, and a payload that is none."""
    asked = encode_method("grpc.AgentService", "StartContainer")
    nobody = RPCS["StartContainer"].request(container_id="nobody")
    async with open_simulated_kata() as target:
        stream = await target.dialer()
        for number, payload in ((1, rpcs.encode_request(RPCS["StartContainer"], nobody)), (3, b"\xff")):
            await stream.send_all(encode_frame(REQUEST, number, encode_request(asked, payload, 0, metadata)))
            (frame,) = FrameDecoder().feed(bytes(await stream.receive_some()))
            response = decode_response(frame.buffer, frame.start, frame.end)
            assert frame.stream_id == number
            assert response.code != 0
            assert bool(response.details) is has_details
        await stream.aclose()


@pytest.mark.parametrize(
    ("metadata", "code"),
    [(b"", StatusCode.UNAVAILABLE), (encode_metadata((TAKES_DETAILS,)), StatusCode.FAILED_PRECONDITION)],
)
async def test_a_size_without_a_terminal_has_the_code_of_todays_agent(
    metadata: bytes, code: StatusCode, autojump_clock: MockClock
) -> None:
    async with open_simulated_kata() as target, trio.open_nursery() as nursery:
        link = target.link()
        await nursery.start(link.run)
        client = KataClient(link, timeout=60)
        await client.call(api.CreateSandboxRequest(sandbox_id="box"))
        await Stage(client, "simulated", "/").running("one", "sleep", "1000")
        stream = await target.dialer()
        asked = api.TtyWinResizeRequest(container_id="one", exec_id="one", row=2, column=3)
        payload = rpcs.encode_request(RPCS["TtyWinResize"], asked)
        request = encode_request(encode_method("grpc.AgentService", "TtyWinResize"), payload, 0, metadata)
        await stream.send_all(encode_frame(REQUEST, 1, request))
        (frame,) = FrameDecoder().feed(bytes(await stream.receive_some()))
        assert decode_response(frame.buffer, frame.start, frame.end).code == code
        await stream.aclose()
        nursery.cancel_scope.cancel()


def test_metrics_are_prometheus_text() -> None:
    text = render(
        [
            Family("a_total", "counter", "How many.", (Sample(3, {}),)),
            Family("b", "gauge", "Odd names.", (Sample(0.5, {"x": 'q"\\\n', "y": "1"}),)),
            Family("none", "gauge", "Nothing.", ()),
        ]
    )
    assert text == (
        "# HELP a_total How many.\n# TYPE a_total counter\na_total 3\n"
        '# HELP b Odd names.\n# TYPE b gauge\nb{x="q\\"\\\\\\n",y="1"} 0.5\n'
    )
