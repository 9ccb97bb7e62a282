"""Every call of the agent API on real guests, compared with the table of `docs/katrio-call.md`; and the host is as before.

The simulated guest's column is `tests/unit/guest/test_kata_service.py`'s, with the same body.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from actors.agents.kata.client import KataClient, open_kata_client
from actors.api import open_guest
from actors.errors import InvalidArgument, NotFound, PermissionDenied, Unsupported
from actors.guest import netlink
from actors.guest.packetfilter import PLACES
from actors.images.store import ImageStore, default_image_root
from actors.launchers.addresses import serve_at
from actors.limits import DEFAULT_LIMITS
from actors.node.busybox import find_static_busybox
from actors.node.facts import choose_engine, missing_for, read_facts
from actors.node.protocols import GuestProtocol
from actors.nurseries import open_collapsing_nursery
from actors.schemas import agent as api
from actors.schemas import network as net
from actors.schemas import resources
from actors.words import Dialect
from tests.support.habits_body import as_real_agents_do, settings_of_a_sandbox, words_through_a_mount
from tests.support.rpc_body import SHARED, Stage, observe, promised
from transports.address import parse_agent_address

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

RUNTIME = choose_engine(read_facts())[0]
HAS_FILTER = all(shutil.which(f"iptables-{end}", path=f"{os.environ['PATH']}:{PLACES}") for end in ("save", "restore"))
RUNNING = [] if RUNTIME == "processes" else [name for name in ("crun", "runc") if shutil.which(name)]
DIALECTS = {GuestProtocol.TTRPC: Dialect.TTRPC, GuestProtocol.GRPC: Dialect.GRPC}
needs_runtime = pytest.mark.skipif(RUNTIME == "processes", reason="no OCI runtime or no control groups here")


@asynccontextmanager
async def a_client(
    engine: str, tmp_path: Path, protocol: GuestProtocol = GuestProtocol.TTRPC
) -> AsyncGenerator[KataClient]:
    directory = tmp_path / "r"
    directory.mkdir(mode=0o700)
    address = f"unix://{directory}/a.sock"
    with trio.fail_after(120):
        async with (
            open_guest(engine=engine, protocol=protocol, run_dir=directory / "guests") as running,
            open_collapsing_nursery() as nursery,
        ):
            await nursery.start(serve_at, running, (parse_agent_address(address),))
            async with open_kata_client(address, dialect=DIALECTS[protocol]) as client:
                yield client
            nursery.cancel_scope.cancel()


def host_filter() -> list[str]:
    """This machine's own packet filter, without counters and dates."""
    if not HAS_FILTER:
        return []
    path = f"{os.environ['PATH']}:{PLACES}"
    saved = subprocess.run(
        [str(shutil.which("iptables-save", path=path))], capture_output=True, text=True, timeout=20, check=True
    )
    return [line.partition(" [")[0] for line in saved.stdout.splitlines() if not line.startswith("#")]


def host_network() -> dict[str, object]:
    """What this machine's own network is: devices, addresses, routes, filter, and neighbours put there to stay."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:

        def dump(kind: int) -> list[bytes]:
            link.send(netlink.dump_message(kind))
            found: list[bytes] = []
            while True:
                for message in netlink.messages(link.recv(256 * 1024)):
                    if message is None:
                        return found
                    found.append(message.body)

        return {
            "filter": host_filter(),
            "devices": [netlink.read_link(body) for body in dump(netlink.GETLINK)],
            "addresses": [netlink.read_address(body) for body in dump(netlink.GETADDR)],
            "routes": [netlink.read_route(body) for body in dump(netlink.GETROUTE)],
            "neighbors": [one for body in dump(netlink.GETNEIGH) if (one := netlink.read_neighbor(body)).state == 0x80],
        }


def rootfs(engine: str) -> str:
    if engine == "processes":
        return "/"
    return str(ImageStore(default_image_root(os.environ, os.geteuid()), find_static_busybox()).resolve("busybox"))


@pytest.mark.parametrize("engine", ["runc", "processes"])
async def test_what_becomes_of_each_call_is_what_the_page_says_and_the_host_is_as_before(
    engine: str, tmp_path: Path
) -> None:
    if engine != "processes" and (missing := missing_for(read_facts(), engine)):
        pytest.skip(f"engine {engine!r}: {missing}")
    before = host_network()
    async with a_client(engine, tmp_path) as client:
        outcomes = await observe(client, engine, rootfs(engine))
    expected = {
        name: word if word != "ok with iptables" else "ok" if HAS_FILTER else "unsupported"
        for name, word in promised(engine).items()
    }
    assert outcomes == expected
    assert host_network() == before


@needs_runtime
async def test_copied_directories_and_links_are_made_as_asked_and_lead_nowhere_else(tmp_path: Path) -> None:
    async with a_client(RUNTIME, tmp_path) as client:

        async def copy(path: str, mode: int, data: bytes = b"") -> None:
            await client.call(api.CopyFileRequest(f"{SHARED}/{path}", len(data), mode, 0o750, 7, 8, 0, data))

        await copy("d", 0o040710)
        await copy("d/data", 0o100600, b"words")
        await copy("d/link", 0o120777, b"data")
        # the same again, as Kubernetes does when a secret changes
        await copy("d/link", 0o120777, b"/etc/passwd")
        await copy("d", 0o040700)
        await copy("out", 0o120777, b"/")
        for path in ("out/file", "d/link/file"):
            with pytest.raises(PermissionDenied):
                await copy(path, 0o100600, b"x")
        for path in ("out", "d/link"):
            with pytest.raises(PermissionDenied):
                await client.call(resources.VolumeStatsRequest(f"{SHARED}/{path}"))
        for path, mode, data, error in (
            ("d/data", 0o040700, b"", InvalidArgument),
            ("d", 0o100600, b"x", InvalidArgument),
            ("p", 0o010600, b"", InvalidArgument),
            ("l", 0o120777, b"", InvalidArgument),
            ("e", 0o040700, b"x", InvalidArgument),
            ("../x", 0o100600, b"x", PermissionDenied),
        ):
            with pytest.raises(error):
                await copy(path, mode, data)
        assert (await client.call(resources.VolumeStatsRequest(SHARED))).usage
        with pytest.raises(NotFound):
            await client.call(resources.VolumeStatsRequest(f"{SHARED}/nothing"))
        with pytest.raises(PermissionDenied):
            await client.call(resources.VolumeStatsRequest("/etc"))
        await client.call(api.CreateSandboxRequest(sandbox_id="box"))
        stage = Stage(client, RUNTIME, rootfs(RUNTIME))
        await stage.running("one", "sleep", "100", mounts=((f"{SHARED}/d", "/copied"),))
        told = await stage.said("one", "sh", "-c", "cd /copied; stat -c '%n %a %u:%g' . data; readlink link; cat data")
        assert told == ". 700 7:8\ndata 600 7:8\n/etc/passwd\nwords"


@pytest.mark.parametrize("engine", sorted({"processes", RUNTIME, *RUNNING}))
@pytest.mark.parametrize("protocol", [GuestProtocol.TTRPC, GuestProtocol.GRPC])
async def test_a_guest_has_the_habits_of_real_agents(protocol: GuestProtocol, engine: str, tmp_path: Path) -> None:
    async with a_client(engine, tmp_path, protocol) as client:
        await as_real_agents_do(Stage(client, engine, rootfs(engine)))


@needs_runtime
async def test_settings_and_last_words_as_kubernetes_has_them(tmp_path: Path) -> None:
    async with a_client(RUNTIME, tmp_path) as client:
        stage = Stage(client, RUNTIME, rootfs(RUNTIME))
        await client.call(api.CreateSandboxRequest(sandbox_id="box"))
        await settings_of_a_sandbox(stage)
        await words_through_a_mount(stage, tmp_path)
        route = net.Route(dest="203.0.113.0/24", device="lo", scope=253, mtu=1300)
        await client.call(net.UpdateRoutesRequest(net.Routes((route,))))
        assert route in (await client.call(net.ListRoutesRequest())).Routes
        for wrong, error in ((replace(route, flags=1), Unsupported), (replace(route, mtu=70_000), InvalidArgument)):
            with pytest.raises(error):
                await client.call(net.UpdateRoutesRequest(net.Routes((wrong,))))
        with pytest.raises(Unsupported):
            await client.call(net.UpdateInterfaceRequest(net.Interface(device="lo", devicePath="00/01")))


async def test_neighbours_that_cannot_be_are_told_with_their_field(tmp_path: Path) -> None:
    right = net.ARPNeighbor(net.IPAddress(0, "198.51.100.9"), device="lo", lladdr="02:00:00:00:00:09")
    async with a_client("processes", tmp_path) as client:
        with pytest.raises(InvalidArgument) as caught:
            await client.call(net.AddARPNeighborsRequest())
        assert caught.value.details["field"] == "neighbors"
        for wrong, field in (
            (net.IPAddress(0, "198.51.100.9/24"), "toIPAddress.address"),
            (None, "toIPAddress.address"),
        ):
            one = net.ARPNeighbor(wrong, device="lo", lladdr=right.lladdr)
            with pytest.raises(InvalidArgument) as caught:
                await client.call(net.AddARPNeighborsRequest(net.ARPNeighbors((right, one))))
            assert caught.value.details["field"] == field
        for one, field in (
            (net.ARPNeighbor(right.toIPAddress, "lo", "02:00"), "lladdr"),
            (net.ARPNeighbor(right.toIPAddress, "lo", right.lladdr, state=1 << 16), "state"),
            (net.ARPNeighbor(right.toIPAddress, "lo", right.lladdr, flags=-1), "flags"),
        ):
            with pytest.raises(InvalidArgument) as caught:
                await client.call(net.AddARPNeighborsRequest(net.ARPNeighbors((one,))))
            assert caught.value.details["field"] == field
        one = net.ARPNeighbor(right.toIPAddress, "eth7", right.lladdr)
        with pytest.raises(NotFound):
            await client.call(net.AddARPNeighborsRequest(net.ARPNeighbors((one,))))
        if HAS_FILTER:
            with pytest.raises(InvalidArgument, match="iptables-restore refuses it"):
                await client.call(net.SetIPTablesRequest(data=b"*filter\n-A NOWHERE -j DROP\nCOMMIT\n"))
        else:
            with pytest.raises(Unsupported, match="no iptables-restore"):
                await client.call(net.SetIPTablesRequest(data=b"*filter\nCOMMIT\n"))


@pytest.mark.parametrize("engine", [RUNTIME] if RUNTIME == "processes" else [RUNTIME, "processes"])
async def test_a_sandbox_finds_nothing_of_the_one_before_it(engine: str, tmp_path: Path) -> None:
    """Whatever can be set through the agent, and what its containers left in the namespaces that they share."""
    async with a_client(engine, tmp_path) as client:
        stage = Stage(client, engine, rootfs(engine))

        async def begin(name: str) -> dict[str, object]:
            await client.call(api.CreateSandboxRequest(sandbox_id=name))
            await stage.running("one", "sleep", "100")
            with pytest.raises(NotFound):
                await client.call(resources.VolumeStatsRequest(f"{SHARED}/file"))
            return {
                # a program of the guest's and a container see the same network, whichever thread has started it
                "seen": await stage.said("one", "cat", "/proc/net/fib_trie", "/proc/net/arp", "/proc/sysvipc/shm"),
                "interfaces": (await client.call(net.ListInterfacesRequest())).Interfaces,
                "routes": (await client.call(net.ListRoutesRequest())).Routes,
                "filter": _rules((await client.call(net.GetIPTablesRequest())).data) if HAS_FILTER else b"",
            }

        first = await begin("first")
        wanted = net.Interface(device="lo", name="lo9", mtu=4321, IPAddresses=(net.IPAddress(0, "198.51.100.1", "24"),))
        await client.call(net.UpdateInterfaceRequest(wanted))
        routes = net.Routes((net.Route(dest="203.0.113.0/24", device="lo9", scope=253),))
        await client.call(net.UpdateRoutesRequest(routes))
        neighbor = net.ARPNeighbor(net.IPAddress(0, "198.51.100.9"), device="lo9", lladdr="02:00:00:00:00:09")
        await client.call(net.AddARPNeighborsRequest(net.ARPNeighbors((neighbor,))))
        if HAS_FILTER:
            rules = b"*filter\n-A INPUT -s 192.0.2.7/32 -j DROP\nCOMMIT\n"
            await client.call(net.SetIPTablesRequest(data=rules))
        size = DEFAULT_LIMITS.copied_bytes
        begun = api.CopyFileRequest(f"{SHARED}/begun", size - 1, 0o100600, 0o750, 0, 0, 0, b"x")
        await client.call(begun)
        await client.call(api.CopyFileRequest(f"{SHARED}/file", 1, 0o100600, 0o750, 0, 0, 0, b"x"))
        await client.call(api.DestroySandboxRequest())
        assert await begin("second") == first
        # the room for copies is the whole again, and a copy that was begun is none
        await client.call(api.CopyFileRequest(f"{SHARED}/other", size, 0o100600, 0o750, 0, 0, 0, b"x"))
        await client.call(api.DestroySandboxRequest())
        await client.call(api.DestroySandboxRequest())
        assert await begin("third") == first


def _rules(saved: bytes) -> list[bytes]:
    """Without counters and dates; tables without a rule are as none."""
    return [line for line in saved.splitlines() if line.startswith(b"-A")]
