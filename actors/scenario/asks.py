"""Verbs of the scenario language that pass their fields on as they are: one ask each, the answer as JSON.

For `verbs`, whose table they join, and `steps`, which performs them all alike: a field that is given goes into
the wire's own argument of that name. Not for verbs with a meaning of their own here, such as exec.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from actors.scenario.bases import ContainerName, Look, SandboxName, Target, Valued
from actors.scenario.model import Bytes, Kind, Number, Step, Text

__all__ = ["ASKS", "CopyFile", "ListProcesses", "ReseedRandom", "Update"]

# a whole number that may be a value
Whole = Annotated[str, Kind.NUMBER]


class Info(Look, frozen=True, kw_only=True, omit_defaults=True):
    """What the actor says of itself: state, children, exit, oom_kills."""

    word = "info"
    info: Target


class Stats(Look, frozen=True, kw_only=True, omit_defaults=True):
    """What the container uses: cpu, memory, pids, block_io, huge_pages, network."""

    word = "stats"
    needs: ClassVar[tuple[str, ...]] = ("stats",)
    stats: ContainerName


class ListProcesses(Look, frozen=True, kw_only=True, omit_defaults=True):
    """The container's processes: their pids as a JSON list, or with `table` what `ps` prints of them."""

    word = "list_processes"
    needs: ClassVar[tuple[str, ...]] = ("process_list",)
    list_processes: ContainerName
    table: bool = False
    args: tuple[Text, ...] = ()


class Update(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Changes limits of a container while it runs; all of them or none."""

    word = "update"
    needs: ClassVar[tuple[str, ...]] = ("limits",)
    update: ContainerName
    memory: Bytes | None = None
    pids: int | None = None
    cpus: Number | None = None


class Capabilities(Look, frozen=True, kw_only=True, omit_defaults=True):
    """What the sandbox's agent can be given."""

    word = "capabilities"
    capabilities: SandboxName


class GetGuestDetails(Look, frozen=True, kw_only=True, omit_defaults=True):
    """What the guest says of itself."""

    word = "get_guest_details"
    get_guest_details: SandboxName


class Disconnect(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Closes the sandbox's own connection to its agent; the next verb dials again."""

    word = "disconnect"
    disconnect: SandboxName


class OnlineCpuMem(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Brings up processors, and memory, that were plugged into the guest's machine."""

    word = "online_cpu_mem"
    online_cpu_mem: SandboxName
    cpus: int
    cpu_only: bool = False
    wait: bool = False


class SetGuestTime(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Sets the guest's clock."""

    word = "set_guest_time"
    set_guest_time: SandboxName
    seconds: Whole
    microseconds: Whole | None = None


class ReseedRandom(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Mixes bytes into the random pool of the guest's kernel."""

    word = "reseed_random"
    reseed_random: SandboxName
    data: Text


class CopyFile(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Puts a small file into the guest's shared directory."""

    word = "copy_file"
    copy_file: SandboxName
    path: Text
    data: Text


class ListInterfaces(Look, frozen=True, kw_only=True, omit_defaults=True):
    """The sandbox's network devices."""

    word = "list_interfaces"
    list_interfaces: SandboxName


class UpdateInterface(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Gives a network device of the sandbox its addresses; the value is how it is then."""

    word = "update_interface"
    update_interface: SandboxName
    interface: Annotated[dict[str, Any], Kind.ARGS]


class ListRoutes(Look, frozen=True, kw_only=True, omit_defaults=True):
    """The sandbox's routes."""

    word = "list_routes"
    list_routes: SandboxName


class UpdateRoutes(Valued, frozen=True, kw_only=True, omit_defaults=True):
    """Replaces the sandbox's routes; the value is how they are then."""

    word = "update_routes"
    update_routes: SandboxName
    routes: tuple[Annotated[dict[str, Any], Kind.ARGS], ...] = msgspec.field(default=())


ASKS: tuple[type[Step], ...] = (
    Info,
    Stats,
    ListProcesses,
    Update,
    Capabilities,
    GetGuestDetails,
    Disconnect,
    OnlineCpuMem,
    SetGuestTime,
    ReseedRandom,
    CopyFile,
    ListInterfaces,
    UpdateInterface,
    ListRoutes,
    UpdateRoutes,
)
