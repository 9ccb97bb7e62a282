"""The actors that another one owns, by id: the system's sandboxes, a sandbox's containers.

An id is reserved before anything is awaited, and free again once its actor is deleted, could not be made, or has ended. The owner
makes the actor, and runs its task in a nursery of its own; the order of an end is the owner's too.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from actors.cancellable import CancellableTask
from actors.errors import AlreadyExists, KatrioError, ResourceExhausted
from actors.ids import check_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.limits import Limits
    from actors.mailbox import Server
    from actors.stateful import StatefulActor
    from actors.wire.verbs import Stop

__all__ = ["Child", "Children"]

_log = logging.getLogger("katrio")

A = TypeVar("A", bound="StatefulActor[Any, Any, Any]")


@dataclass(eq=False)
class Child(Generic[A]):
    """One reserved id. `forget` frees it; idempotent. `actor` is set once what it needs (`preparing`) is there."""

    address: str
    task: CancellableTask
    forget: Callable[[], None]
    actor: A | None = None
    preparing: trio.CancelScope = field(default_factory=trio.CancelScope)


@dataclass(eq=False, kw_only=True)
class Children(Generic[A]):
    """One owner's; iterating gives the actors that were made.

    Attributes:
        owner: how messages begin: "sandbox 'x' has".
        prefix: of their addresses.
        most: how many there may be.
        shield: a cancel does not reach their tasks: the owner stops them first.
    """

    noun: str
    server: Server
    limits: Limits
    owner: str
    prefix: str = ""
    most: float = math.inf
    shield: bool = False
    _reserved: dict[str, Child[A]] = field(default_factory=dict[str, Child[A]], init=False)

    def __iter__(self) -> Iterator[A]:
        return iter([child.actor for child in self._reserved.values() if child.actor is not None])

    @property
    def ids(self) -> tuple[str, ...]:
        """All that are reserved."""
        return tuple(self._reserved)

    def reserve(self, name: str) -> Child[A]:
        """Raises: InvalidArgument, with the field `id`; AlreadyExists; ResourceExhausted."""
        check_id(name, "id", self.limits.id_length)
        if name in self._reserved:
            raise AlreadyExists(f"{self.owner} a {self.noun} {name!r} already; delete it first")
        if len(self._reserved) >= self.most:
            raise ResourceExhausted(f"{self.owner} {self.most} {self.noun}s already", limit=self.most)
        address = f"{self.prefix}{name}"

        def forget() -> None:
            # the id may belong to another one by the time this one's task has ended
            if self._reserved.get(name) is child:
                del self._reserved[name]
                self.server.unregister(address)

        task = CancellableTask(f"{self.noun} {address!r}", shield=self.shield)
        child = self._reserved[name] = Child[A](address, task, forget)
        return child

    async def stop(self, args: Stop) -> None:
        """Concurrently, each within its grace period; one failure does not affect the others."""
        async with trio.open_nursery() as nursery:
            for child in list(self._reserved.values()):
                nursery.start_soon(self._stop_one, child, args)

    async def _stop_one(self, child: Child[A], args: Stop) -> None:
        if child.actor is None or not child.task.started:
            # it takes back what it has done so far
            child.preparing.cancel()
            child.task.cancel()
            return
        try:
            await child.actor.stop(args)
        except KatrioError as error:
            # the end of its task, or of its guest, ends it in any case
            _log.warning("stop of %s: %s", child.task.name, error)

    def cancel(self) -> None:
        """End their tasks."""
        for child in self._reserved.values():
            child.task.cancel()
