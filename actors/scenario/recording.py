"""A courier that writes down what is asked through it: for Python scenarios' journals, and for `katrio record`.

Wraps the courier of a handle, so that every handle made from it is recorded as well. Streams and events pass through
unrecorded: output is told elsewhere. Not for turning what was asked into a file: `transcript`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from actors.errors import KatrioError
from actors.handles import SystemHandle

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from actors.mailbox import Courier

__all__ = ["Asked", "recorded"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """One ask that has ended: with an answer, or with the code of an error (`cancelled` when nobody waited any more)."""

    to: str
    verb: str
    args: object
    began: float
    ended: float
    answer: object = None
    code: str = ""


class _Now(Protocol):
    def __call__(self) -> float: ...


def recorded(system: SystemHandle, now: _Now, listener: Callable[[Asked], None]) -> SystemHandle:
    """A handle on the same system; the listener is told of every ask through it, when it has ended."""
    return SystemHandle(cast("Courier", _Recorded(system.courier, now, listener)))


class _Recorded:
    def __init__(self, courier: Courier, now: _Now, listener: Callable[[Asked], None]) -> None:
        self._courier = courier
        self.limits = courier.limits
        self._now = now
        self._listener = listener

    async def ask(self, to: str, verb: str, args: object, result: type[T], **options: Any) -> T:
        began = self._now()
        answer: object = None
        code = "cancelled"
        try:
            answer = value = await self._courier.ask(to, verb, args, result, **options)
            code = ""
            return value
        except KatrioError as error:
            code = error.code
            raise
        finally:
            self._listener(Asked(to, verb, args, began, self._now(), answer, code))

    def open_stream(self, to: str, verb: str, args: object, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._courier.open_stream(to, verb, args, **options)

    def open_events(self, to: str, verb: str, args: object, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._courier.open_events(to, verb, args, **options)
