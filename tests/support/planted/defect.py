"""What a planted defect is: which part of our guest is another one, where real agents had it, and which cases notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from actors.guest.executor import Executor
from actors.guest.model import GuestModel
from actors.guest.services.hyperstart import HyperstartService
from actors.guest.services.kata_containers import ContainerCalls
from actors.guest.services.kata_guest import GuestCalls
from actors.guest.services.kata_processes import ProcessCalls
from actors.node.protocols import GuestProtocol
from actors.simulation.engine import SimulatedEngine
from transports.calls.server import CallServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trio

    from actors.errors import KatrioError
    from transports.calls.server import CallContext, Handler
    from transports.errors import RpcStatusError

__all__ = ["Around", "Defect", "Kit", "Told"]


Around: TypeAlias = "Callable[[Handler, bytes, CallContext], Awaitable[bytes]]"
Told: TypeAlias = "Callable[[str, KatrioError], RpcStatusError]"


async def _straight(handler: Handler, payload: bytes, context: CallContext) -> bytes:
    return await handler(payload, context)


def _untouched(stream: trio.abc.Stream) -> trio.abc.Stream:
    return stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """The parts of a guest: classes of the product's, or what makes one of theirs.

    Attributes:
        around: what every call passes through.
        told: what a call, by its name, is answered when it fails; None: as the product does.
        without: calls that it does not have.
        version: what it says it is; empty: the product.
        rpc: what lies between a client's bytes and the server; `control` and `streams` are that for hyperstart's channels.
    """

    engine: type[SimulatedEngine] = SimulatedEngine
    model: type[GuestModel] = GuestModel
    executor: Callable[..., Executor] = Executor
    guest: Callable[..., GuestCalls] = GuestCalls
    containers: Callable[..., ContainerCalls] = ContainerCalls
    processes: Callable[..., ProcessCalls] = ProcessCalls
    around: Around = _straight
    told: Told | None = None
    without: frozenset[str] = frozenset()
    version: str = ""
    server: type[CallServer] = CallServer
    hyperstart: Callable[..., HyperstartService] = HyperstartService
    rpc: Callable[[trio.abc.Stream], trio.abc.Stream] = _untouched
    control: Callable[[trio.abc.Stream], trio.abc.Stream] = _untouched
    streams: Callable[[trio.abc.Stream], trio.abc.Stream] = _untouched


@dataclass(frozen=True, slots=True)
class Defect:
    """One row.

    Attributes:
        id: its name.
        source: where an agent had it, or has it.
        caught_by: ids of cases that notice; the first is the one that is about it.
    """

    id: str
    source: str
    kit: Kit
    caught_by: tuple[str, ...]
    protocol: GuestProtocol = GuestProtocol.TTRPC
