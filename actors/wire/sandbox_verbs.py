"""The verbs of a sandbox, each declared once: its lifecycle, and calls passed through to its guest.

Like `verbs`, whose types some of them share; `actors.wire.verb` lists what is derived from a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from actors.errors import InvalidArgument
from actors.lifecycle.states import SandboxState
from actors.wire.fields import Path, between
from actors.wire.reports import Capabilities, GuestDetails, Interface, Route
from actors.wire.spec import ContainerSpec
from actors.wire.verb import KATA, NOOP, Concurrency, StepWords, Verb, reading, verbs_of
from actors.wire.verbs import Created, Delete, Info, Nothing, Stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.limits import Limits

__all__ = [
    "SANDBOX_VERBS",
    "Checked",
    "CopyFile",
    "CreateContainer",
    "Interfaces",
    "OnlineCpuMem",
    "ReseedRandom",
    "Routes",
    "SandboxVerbs",
    "SetGuestTime",
    "UpdateInterface",
]

_Natural: TypeAlias = Annotated[int, between(0, 2**63 - 1)]
# the kernel's twelve permission bits
_Mode: TypeAlias = Annotated[int, between(0, 0o7777)]
# the range on Kata's wire
_Owner: TypeAlias = Annotated[int, between(0, 2**31 - 1)]


class CreateContainer(msgspec.Struct, frozen=True):
    id: str
    spec: ContainerSpec


class Checked(msgspec.Struct, frozen=True):
    """What the agent says of itself; `serving` is its health check's answer."""

    serving: bool
    agent_version: str


class OnlineCpuMem(msgspec.Struct, frozen=True):
    """Bring up processors, and memory unless `cpu_only`, that were plugged into the guest's machine."""

    cpus: Annotated[int, between(1, 2**32 - 1)]
    cpu_only: bool = False
    # wait until that many CPUs are online
    wait: bool = False


class SetGuestTime(msgspec.Struct, frozen=True):
    """Since 1970."""

    seconds: _Natural
    microseconds: Annotated[int, between(0, 999_999)] = 0


class ReseedRandom(msgspec.Struct, frozen=True):
    """Random bytes for the guest's pool, 1 to 512 of them."""

    data: bytes


class CopyFile(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a file of `size` bytes; pieces come in order, and the file appears with the last one.

    `path` is relative to the guest's shared directory, or begins with its name in the guest
    (/run/kata-containers/shared/containers). Directories that are missing are made with `directory_mode`.
    """

    path: Path
    size: _Natural
    data: bytes
    offset: _Natural = 0
    mode: _Mode = 0o644
    directory_mode: _Mode = 0o755
    uid: _Owner = 0
    gid: _Owner = 0


class Interfaces(msgspec.Struct, frozen=True):
    """Every network device of the sandbox."""

    interfaces: tuple[Interface, ...] = ()


class UpdateInterface(msgspec.Struct, frozen=True):
    """Its addresses become those given; name, mtu and hardware address where they are given."""

    interface: Interface


class Routes(msgspec.Struct, frozen=True):
    """The routes of the sandbox; as an argument of `update_routes` they replace the table."""

    routes: tuple[Route, ...] = ()


def _between(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidArgument(f"{field} is {value}: expected {low} to {high}", field=field.partition("'")[0])


def _valid_processors(args: OnlineCpuMem, limits: Limits) -> None:
    _between("cpus", args.cpus, 1, limits.processors)


def _valid_random(args: ReseedRandom, limits: Limits) -> None:
    _between("data's length", len(args.data), 1, limits.random_bytes)


def _valid_piece(args: CopyFile, limits: Limits) -> None:
    _between("size", args.size, 0, limits.copied_bytes)
    _between("offset", args.offset, 0, args.size)
    _between("data's length", len(args.data), 0 if args.size == 0 else 1, args.size - args.offset)


_SANDBOX = frozenset(SandboxState)
# where it has a guest that can be asked
_UP = frozenset({SandboxState.RUNNING})
# a simulated guest has neither an entropy pool nor a network; others created their network namespace
_MACHINE = KATA - {"kata/simulated"}


class SandboxVerbs:
    """What a sandbox's actor serves."""

    start = Verb(Nothing, Nothing, Concurrency.EXCLUSIVE, frozenset({SandboxState.READY}))
    stop = Verb(Stop, Nothing, Concurrency.PREEMPTIVE, _SANDBOX)
    delete = Verb(
        Delete,
        Nothing,
        Concurrency.PREEMPTIVE,
        frozenset({SandboxState.READY, SandboxState.STOPPED, SandboxState.LOST}),
    )
    check = reading(Nothing, Checked, _UP, plain=True)
    capabilities = reading(
        Nothing,
        Capabilities,
        _UP,
        plain=True,
        step=StepWords("What the sandbox's agent can be given.", "{capabilities: box}"),
    )
    get_guest_details = reading(
        Nothing,
        GuestDetails,
        _UP,
        plain=True,
        step=StepWords("What the guest says of itself.", "{get_guest_details: box}"),
    )
    # the connection is redialled when next needed; disconnecting twice is no error
    disconnect = Verb(
        Nothing,
        Nothing,
        Concurrency.BESIDE,
        _SANDBOX,
        support=KATA,
        step=StepWords(
            "Closes the sandbox's own connection to its agent; the next verb dials again.", "{disconnect: box}"
        ),
    )
    # only inside a VM: elsewhere CPUs and clock are the whole machine's
    online_cpu_mem = Verb(
        OnlineCpuMem,
        Nothing,
        Concurrency.SHARED,
        _UP,
        plain=True,
        valid=_valid_processors,
        support=NOOP,
        step=StepWords(
            "Brings up processors, and memory, that were plugged into the guest's machine.",
            "{online_cpu_mem: box, cpus: 2, wait: true}",
            {"cpus": "How many processors.", "cpu_only": "No memory.", "wait": "Until that many are up."},
        ),
    )
    set_guest_time = Verb(
        SetGuestTime,
        Nothing,
        Concurrency.SHARED,
        _UP,
        plain=True,
        support=NOOP,
        step=StepWords(
            "Sets the guest's clock.",
            "{set_guest_time: box, seconds: 1700000000}",
            {"seconds": "Since 1970.", "microseconds": "And so many more."},
            values=frozenset({"seconds", "microseconds"}),
        ),
    )
    reseed_random = Verb(
        ReseedRandom,
        Nothing,
        Concurrency.SHARED,
        _UP,
        plain=True,
        valid=_valid_random,
        support=_MACHINE,
        step=StepWords(
            "Mixes bytes into the random pool of the guest's kernel.",
            "{reseed_random: box, data: some text}",
            {"data": "1 to 512 bytes, as text."},
        ),
    )
    copy_file = Verb(CopyFile, Nothing, Concurrency.SHARED, _UP, plain=True, valid=_valid_piece, support=KATA)
    list_interfaces = reading(
        Nothing,
        Interfaces,
        _UP,
        plain=True,
        support=_MACHINE,
        step=StepWords("The sandbox's network devices.", "{list_interfaces: box}"),
    )
    update_interface = Verb(
        UpdateInterface,
        Interface,
        Concurrency.SHARED,
        _UP,
        plain=True,
        support=_MACHINE,
        step=StepWords(
            "Gives a network device of the sandbox its addresses; the value is how it is then.",
            "{update_interface: box, interface: {device: eth0, name: eth0, mtu: 1400}}",
            {"interface": "`device`, `name`, `addresses` (`address`, `prefix`), `mtu`, `hardware_address`."},
        ),
    )
    list_routes = reading(
        Nothing,
        Routes,
        _UP,
        plain=True,
        support=_MACHINE,
        step=StepWords("The sandbox's routes.", "{list_routes: box}"),
    )
    update_routes = Verb(
        Routes,
        Routes,
        Concurrency.SHARED,
        _UP,
        plain=True,
        support=_MACHINE,
        step=StepWords(
            "Replaces the sandbox's routes; the value is how they are then.",
            "{update_routes: box, routes: [{destination: 10.0.0.0/8, device: eth0}]}",
            {"routes": "Each with `destination`, `gateway`, `device` and the like; see docs/protocol.md."},
        ),
    )
    info = reading(Nothing, Info)
    events = reading(Nothing, Nothing, streams=True)
    create_container = Verb(CreateContainer, Created, Concurrency.SHARED, _UP)


SANDBOX_VERBS: Mapping[str, Verb[Any, Any]] = verbs_of(SandboxVerbs)
