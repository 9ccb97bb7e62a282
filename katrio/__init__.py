"""Sandboxes and containers as Trio actors: what a program that embeds katrio imports.

    async with katrio.open_system() as system:
        box = await system.create_sandbox("box")
        await box.start()
        container = await box.create_container("one", ContainerSpec(process=ProcessSpec(args=("sleep", "100"))))
        await container.start()
        hello = await container.exec("hello", ProcessSpec(args=("echo", "hello")))
        print((await hello.collect()).stdout)

Every error is a `KatrioError`, named by whose fault it was. `docs/embedding.md` goes on from here. What is not exported may change
without a word.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from actors import VERSION

if TYPE_CHECKING:
    from actors.agents.hyperstart.config import HyperConfig
    from actors.agents.kata.config import KataAgentConfig
    from actors.api import connect_system, open_system
    from actors.errors import (
        AgentError,
        AgentProtocolError,
        AgentUnreachable,
        AlreadyExists,
        Busy,
        CallerCancelled,
        Expired,
        GuestDied,
        InternalError,
        InvalidArgument,
        InvalidTransition,
        KatrioError,
        NotFound,
        OutcomeUnknown,
        PermissionDenied,
        ResourceExhausted,
        Unsupported,
    )
    from actors.handles import (
        ActorEvent,
        Completed,
        ContainerHandle,
        ProcessHandle,
        SandboxHandle,
        SeenEvent,
        SystemHandle,
    )
    from actors.limits import DEFAULT_LIMITS, Limits
    from actors.wire.reports import (
        Address,
        BlockCounter,
        Capabilities,
        ContainerStats,
        CpuStats,
        GuestDetails,
        HugePageStats,
        Interface,
        MemoryStats,
        MemoryUse,
        NetworkStats,
        PidsStats,
        Route,
    )
    from actors.wire.spec import (
        ContainerSpec,
        ExitStatus,
        MountSpec,
        ProcessSpec,
        ResourceSpec,
        SandboxSpec,
        Stopped,
        TerminalSize,
    )

__all__ = [
    "DEFAULT_LIMITS",
    "ActorEvent",
    "Address",
    "AgentError",
    "AgentProtocolError",
    "AgentUnreachable",
    "AlreadyExists",
    "BlockCounter",
    "Busy",
    "CallerCancelled",
    "Capabilities",
    "Completed",
    "ContainerHandle",
    "ContainerSpec",
    "ContainerStats",
    "CpuStats",
    "ExitStatus",
    "Expired",
    "GuestDetails",
    "GuestDied",
    "HugePageStats",
    "HyperConfig",
    "Interface",
    "InternalError",
    "InvalidArgument",
    "InvalidTransition",
    "KataAgentConfig",
    "KatrioError",
    "Limits",
    "MemoryStats",
    "MemoryUse",
    "MountSpec",
    "NetworkStats",
    "NotFound",
    "OutcomeUnknown",
    "PermissionDenied",
    "PidsStats",
    "ProcessHandle",
    "ProcessSpec",
    "ResourceExhausted",
    "ResourceSpec",
    "Route",
    "SandboxHandle",
    "SandboxSpec",
    "SeenEvent",
    "Stopped",
    "SystemHandle",
    "TerminalSize",
    "Unsupported",
    "connect_system",
    "open_system",
]

__version__ = VERSION

# A name is imported when it is first asked for: who only makes a `ContainerSpec` or catches an error waits for no Trio. Its place
# is the first of these whose `__all__` has it; those that import little come first
_PLACES = (
    "actors.errors",
    "actors.limits",
    "actors.wire.spec",
    "actors.wire.reports",
    "actors.agents.kata.config",
    "actors.agents.hyperstart.config",
    "actors.handles",
    "actors.api",
)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in __all__:
            for place in map(import_module, _PLACES):
                if name in place.__all__:
                    found = globals()[name] = getattr(place, name)
                    return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
