"""Calls on the guest itself: details, files, network, and requests that it must refuse."""

from __future__ import annotations

from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

from actors.conformance.case import Cases, FallsShort
from actors.conformance.expect import check, equal, shown
from actors.errors import NotFound, Unsupported
from actors.schemas.network import Interface, IPFamily
from actors.schemas.oci import Mount
from actors.schemas.resources import Storage

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from actors.conformance.kata import Kata

__all__ = ["CASES"]

CASES = Cases()

SHARED = "/run/kata-containers/shared/containers"
REGULAR = 0o100000
# csi.proto VolumeUsage.Unit
BYTES = 1
_FAMILIES: Mapping[int, int] = {IPFamily.v4: 4, IPFamily.v6: 6}


@contextmanager
def _optional(method: str) -> Generator[None]:
    """Around a call that refers to nothing that could be missing: a build without the call answers NOT_FOUND."""
    try:
        yield
    except NotFound as error:
        raise Unsupported(f"{method}: {error.message}") from error


@CASES.add(
    "guest.details",
    title="The guest's details name the agent's version",
    does="calls GetGuestDetails, and Version",
    expects="agent details with the version that Version tells",
    why="agent.proto GetGuestDetails",
)
async def details(kata: Kata) -> None:
    answer = await kata.call("GetGuestDetails", mem_block_size=True, mem_hotplug_probe=True)
    if answer.agent_details is None:
        raise FallsShort("agent_details in the answer", "none")
    version = (await kata.call("Version")).agent_version
    check(bool(version), "a version", repr(version))
    equal(answer.agent_details.version, version, "version")


@CASES.add(
    "guest.metrics",
    title="Metrics are Prometheus text",
    does="calls GetMetrics",
    expects="lines of a name and a number, with comments that begin with #",
    why="agent.proto GetMetrics, since June 2020",
)
async def metrics(kata: Kata) -> None:
    with _optional("GetMetrics"):
        text = (await kata.call("GetMetrics")).metrics
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    check(bool(lines), "at least one metric", text)
    for line in lines:
        _, _, number = line.rpartition(" ")
        try:
            float(number)
        except ValueError as error:
            raise FallsShort("a name and a number", line) from error


@CASES.add(
    "guest.diagnostic-type-refused",
    title="Diagnostic data of a kind that is not there is refused",
    does="asks for diagnostic data of type no-such-type of a running container",
    expects="invalid_argument",
    why="agent-semantics 5.2: INVALID_ARGUMENT for another type",
)
async def diagnostic(kata: Kata) -> None:
    container = await kata.run()
    with kata.refused("diagnostic data of no-such-type", "invalid_argument"):
        await kata.call("GetDiagnosticData", log_type="no-such-type", container_id=container.id)


@CASES.add(
    "copy.file-seen",
    title="A copied file is there, with its bytes and its mode",
    does="copies a file in two pieces below the shared directory, and mounts it into a container",
    expects="the container reads both pieces, in order",
    why="agent.proto CopyFile: pieces at offsets, whole when the size is reached",
    needs=("isolation",),
)
async def copy_seen(kata: Kata) -> None:
    path = f"{SHARED}/{kata.fresh('copied')}"
    first, second = b"first piece, ", b"second piece\n"
    size = len(first) + len(second)
    for offset, data in ((0, first), (len(first), second)):
        await kata.call(
            "CopyFile", path=path, file_size=size, file_mode=REGULAR | 0o644, dir_mode=0o755, offset=offset, data=data
        )
    spec = kata.spec("cat", "/copied")
    mount = Mount(destination="/copied", source=path, type="bind", options=("bind", "ro"))
    container = await kata.create(kata.with_mounts(spec, mount))
    await container.start()
    equal((await container.init.finish()).stdout, first + second, "the file")


@CASES.add(
    "copy.outside-refused",
    title="A file is not copied to anywhere else",
    does="copies a file to /tmp of the guest",
    expects="a refusal",
    why="agent-semantics 5.2: only below the shared directory",
)
async def copy_outside(kata: Kata) -> None:
    with kata.refused("a copy to /tmp"):
        await kata.call(
            "CopyFile",
            path=f"/tmp/{kata.fresh('escaped')}",
            file_size=1,
            file_mode=REGULAR | 0o644,
            dir_mode=0o755,
            data=b"x",
        )


@CASES.add(
    "copy.climbing-refused",
    title="A path that climbs out of the shared directory is refused",
    does="copies a file to the shared directory/../../../../tmp",
    expects="a refusal",
    why="agent-semantics 5.2: only below the shared directory, whatever the path says",
)
async def copy_climbing(kata: Kata) -> None:
    path = f"{SHARED}/../../../../tmp/{kata.fresh('escaped')}"
    with kata.refused("a copy that climbs"):
        await kata.call("CopyFile", path=path, file_size=1, file_mode=REGULAR | 0o644, dir_mode=0o755, data=b"x")


@CASES.add(
    "network.interfaces",
    title="The list of interfaces has the guest's loopback",
    does="calls ListInterfaces",
    expects="an interface named lo",
    why="agent.proto ListInterfaces: a netlink dump",
)
async def interfaces(kata: Kata) -> None:
    answer = await kata.call("ListInterfaces")
    names = [interface.name or interface.device for interface in answer.Interfaces]
    check("lo" in names, "an interface lo", names)


@CASES.add(
    "network.address-families",
    title="The addresses of interfaces are told with their own families",
    does="calls ListInterfaces, and reads each address as what it is",
    expects="v4 with every IPv4 address, v6 with every IPv6 address, and a mask that fits",
    why="agent.proto IPFamily: v4 is 0, v6 is 1; today's agent tells each as the other",
)
async def address_families(kata: Kata) -> None:
    answer = await kata.call("ListInterfaces")
    told = [address for interface in answer.Interfaces for address in interface.IPAddresses]
    if not told:
        raise Unsupported("the sandbox has no addresses to compare with")
    for address in told:
        try:
            found = ip_address(address.address)
        except ValueError as error:
            raise FallsShort("an IP address", shown(address)) from error
        equal(_FAMILIES.get(address.family, address.family), found.version, f"family of {found}:")
        bits = address.mask.isdecimal() and int(address.mask) <= found.max_prefixlen
        check(bits, f"a mask of 0 to {found.max_prefixlen} bits", address)


@CASES.add(
    "network.interface-missing-refused",
    title="An update without an interface is refused",
    does="calls UpdateInterface with no interface",
    expects="invalid_argument",
    why="agent-semantics 5.2: empty request INVALID_ARGUMENT",
)
async def update_interface(kata: Kata) -> None:
    with kata.refused("an update without an interface", "invalid_argument"):
        await kata.call("UpdateInterface")


@CASES.add(
    "network.interface-unknown-refused",
    title="An interface that is not there can't be updated",
    does="updates the interface of a hardware address that nothing has",
    expects="a refusal",
    why="kata-agent netlink: the link is found by its hardware address",
)
async def unknown_interface(kata: Kata) -> None:
    interface = Interface(device="cf0", name="cf0", hwAddr="02:00:5e:10:00:01", mtu=1500)
    with kata.refused("an update of an interface that is not there"):
        await kata.call("UpdateInterface", interface=interface)


@CASES.add(
    "network.routes-missing-refused",
    title="An update without routes is refused",
    does="calls UpdateRoutes with no routes",
    expects="invalid_argument",
    why="agent-semantics 5.2: empty request INVALID_ARGUMENT",
)
async def update_routes(kata: Kata) -> None:
    with kata.refused("an update without routes", "invalid_argument"):
        await kata.call("UpdateRoutes")


@CASES.add(
    "network.neighbours-missing-refused",
    title="An addition without neighbours is refused",
    does="calls AddARPNeighbors with no neighbours",
    expects="invalid_argument",
    why="agent-semantics 5.2: empty request INVALID_ARGUMENT",
)
async def neighbours(kata: Kata) -> None:
    with kata.refused("an addition without neighbours", "invalid_argument"), _optional("AddARPNeighbors"):
        await kata.call("AddARPNeighbors")


@CASES.add(
    "volume.unknown-refused",
    title="There are no statistics of a volume that is not there",
    does="calls GetVolumeStats for a path that does not exist",
    expects="a refusal",
    why="agent-semantics 5.2: statfs",
)
async def volume(kata: Kata) -> None:
    with kata.refused("statistics of a volume that is not there"):
        await kata.call("GetVolumeStats", volume_guest_path=f"/{kata.fresh('no-volume')}")


@CASES.add(
    "volume.statistics",
    title="A volume's statistics tell its size",
    does="copies a file, and calls GetVolumeStats for the directory that it lies in",
    expects="bytes in all above 0, and no more of them used than there are",
    why="csi.proto VolumeUsage: available, total, used; statfs",
)
async def volume_statistics(kata: Kata) -> None:
    directory = f"{SHARED}/{kata.fresh('volume')}"
    await kata.call(
        "CopyFile", path=f"{directory}/file", file_size=1, file_mode=REGULAR | 0o644, dir_mode=0o755, data=b"x"
    )
    with _optional("GetVolumeStats"):
        answer = await kata.call("GetVolumeStats", volume_guest_path=directory)
    sizes = [usage for usage in answer.usage if usage.unit == BYTES]
    check(len(sizes) == 1, "one usage in bytes", answer.usage)
    check(sizes[0].total > 0, "a total above 0", sizes[0])
    check(sizes[0].used <= sizes[0].total, "no more used than there are", sizes[0])


@CASES.add(
    "network.routes",
    title="The list of routes has those that a container sees",
    does="calls ListRoutes, and counts the IPv4 routes of /proc/net/route in a container",
    expects="for each device that has a route there, a route of that device in the list",
    why="agent.proto ListRoutes: a netlink dump; containers are in the sandbox's network",
    needs=("isolation",),
)
async def routes(kata: Kata) -> None:
    answer = await kata.call("ListRoutes")
    container = await kata.run()
    lines = (await container.sh("cat /proc/net/route")).stdout.decode(errors="replace").splitlines()[1:]
    wanted = sorted({line.split()[0] for line in lines if line.split()})
    if not wanted:
        raise Unsupported("the sandbox has no routes to compare with")
    listed = sorted({route.device for route in answer.Routes})
    check(set(wanted) <= set(listed), f"routes of {', '.join(wanted)}", listed)


@CASES.add(
    "mounts.unknown-refused",
    title="An ephemeral mount that is not there can't be changed",
    does="calls UpdateEphemeralMounts for a mount point that does not exist",
    expects="a refusal",
    why="agent-semantics 5.2: remounts a tmpfs",
)
async def mounts(kata: Kata) -> None:
    storage = Storage(
        driver="ephemeral",
        fstype="tmpfs",
        source="tmpfs",
        mount_point=f"/{kata.fresh('nowhere')}",
        options=("size=1M",),
    )
    with kata.refused("a change of a mount that is not there"), _optional("UpdateEphemeralMounts"):
        await kata.call("UpdateEphemeralMounts", storages=(storage,))


@CASES.add(
    "policy.nonsense-refused",
    title="A policy that is none is refused",
    does="calls SetPolicy with a text that no policy language has",
    expects="a refusal, where the agent has policies at all",
    why="agent-semantics 5.2: INVALID_ARGUMENT on a bad policy; NOT_FOUND in a build without the feature",
)
async def policy(kata: Kata) -> None:
    with kata.refused("a policy of nonsense"), _optional("SetPolicy"):
        await kata.call("SetPolicy", policy="this is {{{ no policy")


@CASES.add(
    "swap.missing-refused",
    title="Swap that is not there can't be added",
    does="calls AddSwapPath for a file that does not exist",
    expects="a refusal",
    why="agent-semantics 5.2: swapon",
)
async def swap(kata: Kata) -> None:
    with kata.refused("swap of a file that is not there"), _optional("AddSwapPath"):
        await kata.call("AddSwapPath", path=f"/{kata.fresh('no-swap')}")


@CASES.add(
    "random.empty-refused",
    title="A reseed without bytes is refused",
    does="calls ReseedRandomDev with no data",
    expects="a refusal: it would have done nothing",
    why="random(4): RNDADDENTROPY of nothing",
)
async def reseed(kata: Kata) -> None:
    with kata.refused("a reseed without bytes"):
        await kata.call("ReseedRandomDev", data=b"")


@CASES.add(
    "clock.impossible-refused",
    title="A time that can't be is refused",
    does="sets the clock to 5,000,000 microseconds past a second",
    expects="a refusal, and no other time",
    why="settimeofday(2): EINVAL",
    destructive=True,
)
async def clock(kata: Kata) -> None:
    with kata.refused("5,000,000 microseconds"):
        await kata.call("SetGuestDateTime", Sec=1, Usec=5_000_000)
