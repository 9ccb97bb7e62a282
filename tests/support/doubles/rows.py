"""What a row of a double's table is, and the words in which rows look at it: over the wire, as a client does.

For `rows_today`, `rows_kata1x` and `rows_hyperstart`. A row is shown by whoever is given a subject of the conformance
suite, whatever is behind it: the simulated engine in virtual time, or a process at an address.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import trio

from actors.conformance.expect import is_loss
from actors.errors import Expired, KatrioError
from tests.support.doubles.power import Options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from actors.agents.kata.rpclink import RpcLink
    from actors.conformance.kata import Kata
    from actors.conformance.subject import Target

__all__ = ["Row", "Rows", "ended", "failing", "hangs", "one_more_link"]

F = TypeVar("F", bound="Callable[[Any], Awaitable[None]]")
# what is answered at all is answered sooner, also by a process on a busy machine
HANGS_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that the real one does.

    Attributes:
        does: what, in one line.
        shown: looks at it; raises when it is not so.
        options: what the double is made like for it.
        ends: afterwards the agent is gone, stuck or not itself: nothing else is shown on the same one.
        simulated: only the simulated engine shows it.
    """

    id: str
    does: str
    shown: Callable[[Any], Awaitable[None]] = field(repr=False)
    options: Options = field(default_factory=Options)
    ends: bool = False
    simulated: bool = False


class Rows:
    """A double's, in order; `add` is the decorator that makes a function one of them."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def __iter__(self) -> Iterator[Row]:
        return iter(tuple(self._rows))

    def add(
        self, name: str, does: str, *, options: Options | None = None, ends: bool = False, simulated: bool = False
    ) -> Callable[[F], F]:
        """See `Row`."""

        def made(function: F) -> F:
            self._rows.append(Row(name, does, function, options or Options(), ends, simulated))
            return function

        return made


async def hangs(call: Callable[[], Awaitable[object]], seconds: float = HANGS_SECONDS) -> None:
    """It is not answered, and given up; a server that heeds deadlines may have been told of this one."""
    with trio.move_on_after(seconds), suppress(Expired):
        answer = await call()
        raise AssertionError(f"it was answered: {answer!r}")


async def failing(call: Callable[[], Awaitable[object]], status: str, text: str = "") -> str:
    """It fails with that code: a gRPC code's name where ours has none. Its message."""
    with pytest.raises(KatrioError) as caught:
        await call()
    error = caught.value
    assert status in (error.code, error.details.get("status")), (error.code, error.details, error.message)
    assert text in error.message, error.message
    return error.message


async def ended(target: Target) -> None:
    """Nobody answers on a new link."""
    with pytest.raises(KatrioError) as caught:
        await target.check_alive()
    assert is_loss(caught.value), caught.value


@asynccontextmanager
async def one_more_link(kata: Kata) -> AsyncGenerator[RpcLink]:
    """A link that can be closed while the row goes on."""
    async with trio.open_nursery() as nursery:
        link = kata.target.link()
        await nursery.start(link.run)
        yield link
        nursery.cancel_scope.cancel()
